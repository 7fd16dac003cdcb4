"""`watermarks`: memory is taken back before it is needed, between two marks.

Whoever needs a frame when there is none waits until a disk has written another page. So kernels keep some free: as soon
as there is less than the lower mark they page out, in the background, up to the upper one (kswapd's `low` and `high` in
Linux; ESX's states `soft` and `high`, Waldspurger, OSDI 2002, section 6.3). Two marks in place of one, for else each
touch near it would send a page or two, with a flush for them. It loses where the guests work with all that they have:
what is kept free helps nobody meanwhile, and a higher mark means more pages that are read back.
"""

from __future__ import annotations


class Watermarks:
    """Frames `start_below` which paging ahead begins, and those at which it ends: `stop_above` is the larger."""

    def __init__(self, start_below: int, stop_above: int) -> None:
        assert start_below < stop_above
        self._start_below, self._stop_above = start_below, stop_above
        self._is_paging = False

    def wanted(self, free_frames: int) -> int:
        """Return how many frames are to be freed now, by how many are free or about to be.

        Once begun it goes on until the upper mark is reached: what could not be sent out at once is, the next time.
        """
        if free_frames < self._start_below:
            self._is_paging = True
        elif free_frames >= self._stop_above:
            self._is_paging = False
        return self._stop_above - free_frames if self._is_paging else 0
