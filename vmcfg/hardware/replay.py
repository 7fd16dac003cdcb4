"""One store by itself, over a sequence of keys: what a simulator of caches does, and nothing of a machine around it."""

from __future__ import annotations

from collections.abc import Callable

from vmcfg.hardware.assoc import MIDDLE, NARROW, fill, find, geometry, set_of, tag_of, touch
from vmcfg.jit import by_reference, entry


def specialise(room: int) -> Callable[..., int]:
    """Return the replay for stores that are lean with so much room (see `hardware.sets.geometry`)."""

    @entry
    def replay(all_stores, keys):
        """Look up keys (i64[n], not negative) in store 0, filling what is missed; return the number of misses."""
        stores = by_reference(all_stores)
        built = geometry(stores, 0, True, room)
        misses = 0
        for position in range(keys.shape[0]):
            index = set_of(built, keys[position])
            tag = tag_of(0, keys[position])
            way = find(stores, built, index, tag)
            if way >= 0:
                touch(stores, built, index, way)
            else:
                misses += 1
                fill(stores, built, index, tag, 0, 0)
        return misses

    return replay


REPLAYS = {room: specialise(room) for room in (NARROW, MIDDLE)}
