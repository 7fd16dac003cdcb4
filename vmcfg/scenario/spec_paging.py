"""What moves pages out of memory: disks, swap areas, who pages and how. A part of the Scenario: see `scenario.spec`."""

from __future__ import annotations

from attrs import field, frozen

LATER = {"is_later": True}  # a field that scenarios from before do not have in their digest, if it is not used
KEYED = ("lfu", "lru2", "lru2_history", "opt")  # policies that keep two numbers per page
TOLD = ("lru", *KEYED)  # those that must be told of every access


@frozen
class Disk:
    """A queue of requests: see `vmm.devices`."""

    name: str
    latency_ns: int
    bandwidth: int  # bytes per second
    seek_ns: int


@frozen
class Swap:
    """Room for pages on a disk of the host, which is given by its place among them."""

    pages: int
    disk: int


class Choosing:
    """Whoever has a policy that chooses pages: what else follows from its name."""

    victim: str

    @property
    def has_keys(self) -> bool:
        """Tell whether the policy keeps numbers for each page."""
        return self.victim in KEYED

    @property
    def foresees(self) -> bool:
        """Tell whether the policy knows of the future."""
        return self.victim == "opt"


@frozen
class GuestReclaim(Choosing):
    """How a guest frees its memory, to its own swap area and from its page cache: see `guest.reclaim`."""

    swap: Swap | None  # None: it has files only, whose pages it need not keep
    victim: str
    keep_free_pages: int

    @property
    def leaves_marks(self) -> bool:
        """Tell whether the policy remembers of what is out when it went: see `guest.refaults`."""
        return self.victim == "two_list"

    @property
    def is_told(self) -> bool:
        """Tell whether the policy is told of every access, and looks at no A bits."""
        return self.victim in TOLD


@frozen
class Boot:
    """What a guest does before its workload and its balloon driver begin: see `guest.zeroing`."""

    duration_ns: int  # at least
    zeroes: int  # bytes of its memory per second; 0: none


@frozen
class FreePageReporting:
    """How a guest tells its host what is free: see `guest.reporting`."""

    every_ns: int
    blocks: int  # at a time


@frozen
class BalloonStep:
    """From `at_ns` on another target; or, where `target_pages` is None, the guest touches its balloon."""

    at_ns: int
    target_pages: int | None


@frozen
class Balloon:
    """What a host asks a guest's balloon driver for: see `guest.balloon`."""

    steps: tuple[BalloonStep, ...]  # by time
    poll_ns: int
    most_pages: int


@frozen
class File:
    """A file on a guest's virtual disk, which is a disk of the host, given by its place among them."""

    name: str
    pages: int
    disk: int


@frozen
class PageCache:
    """How a guest keeps pages of files in its memory: see `guest.page_cache`."""

    read_ahead_pages: int  # read at once, that which is missing among them
    flush_every_ns: int
    flush_after_ns: int


@frozen
class Compression:
    """A cache of compressed pages before the disk: see `vmm.compression`."""

    max_ppm: int  # of a VM's memory that its cache may take


@frozen
class Compresses:
    """How well a VM's pages compress: of a million, those that fit a quarter of a frame, and those that fit a half."""

    quarter_ppm: int
    half_ppm: int


@frozen
class Watermarks:
    """Between which numbers of free frames a host pages ahead of need, and how often it looks."""

    start_below_frames: int
    stop_above_frames: int
    every_ns: int


@frozen
class HostPaging(Choosing):
    """How a host pages: see `vmm.paging`."""

    victim: str
    batch_pages: int
    cluster_slots: int
    has_preventer: bool
    is_told: bool = field(default=False, metadata=LATER)  # of every access, and not only of A bits
    capacity_pages: int = field(default=0, metadata=LATER)  # that may be in frames; 0: as many as there are
    has_mapper: bool = field(default=False, metadata=LATER)
    watermarks: Watermarks | None = field(default=None, metadata=LATER)  # None: it pages when frames are needed
