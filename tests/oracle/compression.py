"""A VM's compression cache, between its memory and the host's disk: what goes in, what comes out, and whose frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmcfg.scenario.spec import MILLION, Host

from .cache import Cache
from .memory import Memory
from .streams import draw, stream_key, word

if TYPE_CHECKING:
    from .host_paging import HostPager
    from .vcpu import Vcpu


class CompressionCache:
    """Entries are guest pages; its frames are the VMM's."""

    def __init__(self, host: Host, memory: Memory, seed: int) -> None:
        assert host.compression and memory.vm.compresses
        self.cache = Cache(memory.vm.memory_pages * host.compression.max_ppm // MILLION)
        self.frames = memory.frames
        self.mpns: list[int] = []  # of the cache's frames
        self.key = stream_key(seed, f"{memory.vm.name}/compressibility")
        self.shares = memory.vm.compresses

    def compress(self, vcpu: Vcpu, ppn: int) -> int:
        """How many quarters of a frame a page takes, 0 if more than two; the attempt costs the same."""
        vcpu.spent += vcpu.costs["compress_page"]
        drawn = draw(word(self.key, ppn), MILLION)
        if drawn < self.shares.quarter_ppm:
            return 1
        return 2 if drawn < self.shares.quarter_ppm + self.shares.half_ppm else 0

    def keep(self, ppn: int, quarters: int) -> None:
        """Puts in a page that has just given its frame back."""
        for _ in range(self.cache.keep(ppn, quarters)):
            self.mpns.append(self.frames.take("overhead"))

    def drop(self, ppn: int) -> None:
        """Takes a page out; a frame that holds nothing any more goes back."""
        before = self.cache.frames
        self.cache.drop(ppn)
        left = [id(frame) for frame in self.cache.frames]
        for place, frame in enumerate(before):
            if id(frame) not in left:
                self.frames.give_back(self.mpns.pop(place))
                return

    def oldest(self) -> int:
        return next(iter(self.cache.entries))

    def pages(self) -> dict[str, int]:
        """What the cache holds, for tables."""
        quarters = [quarter for frame in self.cache.frames for quarter in frame]
        return {
            "compressed": len(self.cache.entries),
            "cache_quarters": sum(quarter is not None for quarter in quarters),
            "cache_frames": len(self.cache.frames),
            "cache_limit": self.cache.limit,
        }


def keep_compressed(
    host: HostPager, vcpu: Vcpu, number: int, ppn: int, mpn: int, sent: list[tuple[int, int]]
) -> bool:
    """Puts a page into its VM's cache, if it fits; the oldest there make room, decompressed and sent to the disk."""
    cache, first = host.memories[number].cache, host.first[number]
    if not cache or not cache.cache.limit:
        return False
    quarters = cache.compress(vcpu, ppn)
    while quarters and not cache.cache.has_place(quarters):
        assert host.area
        if host.frames.free == 0 or host.area.slots - len(host.area.held) < 2:
            quarters = 0
            break
        oldest, frame = cache.oldest(), host.frames.take("reserved")
        cache.drop(oldest)
        sent.append(host.send(number, oldest, frame))
        vcpu.spent += vcpu.costs["decompress_page"]
        first.count("compressed_evicted")
    if not quarters:
        first.count("compress_rejected")
        return False
    host.frames.give_back(mpn)
    cache.keep(ppn, quarters)
    first.count("compressions")
    return True
