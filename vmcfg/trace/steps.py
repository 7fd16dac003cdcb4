"""What can happen during an access, as values: plain integers and names, in the order in which it happened.

Pages and frames are page numbers, addresses are machine addresses in bytes, costs are cycles of the host. A step that
has steps of its own (a walk, a host walk in it, a guest's fault, an exit) holds them in `steps`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from attrs import fields, frozen

from vmcfg.trace.paging_steps import PagingStep


@frozen
class Held:
    """An entry of a translation cache: `space` owns it, and it covers `pages` pages from `page` on."""

    space: str
    page: int
    pages: int


@frozen
class Probe:
    """A lookup in one set of a translation cache; `way` is None on a miss, `leads_to` is "" then.

    `serves` is False where the nested TLB has an entry, but without D, and a write needs it: no hit either.
    """

    step: ClassVar = "probe"
    cache: str
    dimension: str  # tlb, guest or host
    set: int
    sets: int
    way: int | None
    leads_to: str
    is_dirty: bool
    cycles: int
    serves: bool = True


@frozen
class Fill:
    """A new entry of a translation cache, and the one that made room for it."""

    step: ClassVar = "fill"
    cache: str
    dimension: str
    set: int
    way: int
    held: Held
    leads_to: str
    is_dirty: bool
    evicted: Held | None


@frozen
class Drop:
    """An entry that was invalidated by itself."""

    step: ClassVar = "drop"
    cache: str
    set: int
    way: int
    held: Held


@frozen
class Flush:
    """A cache that was emptied; `entries` of it were valid."""

    step: ClassVar = "flush"
    cache: str
    entries: int


@frozen
class SetDirty:
    """The D bit of a TLB entry was set."""

    step: ClassVar = "set_dirty"
    cache: str
    set: int
    way: int


@frozen
class Reference:
    """One table entry read by the walker. `bits` are those set afterwards, `newly_set` those that the walker set.

    `found` is the data cache that held its line (L1, L2, LLC), or memory; memory too where a reference has a flat cost.
    """

    step: ClassVar = "reference"
    number: int
    dimension: str  # guest, host or shadow
    level: int
    index: int
    address: int
    entry: int
    bits: str
    newly_set: str
    leads_to: str
    found: str
    cycles: int


@frozen
class LogPage:
    """A guest page was written into the vCPU's log of modified pages, at this place of it."""

    step: ClassVar = "log_page"
    ppn: int
    index: int


@frozen
class HostWalk:
    """The translation of one guest page on the way: `of` says which."""

    step: ClassVar = "host_walk"
    ppn: int
    of: str
    is_present: bool
    steps: tuple[Step, ...]


@frozen
class Walk:
    """A page walk, and how it ended: complete, guest_fault, violation, log_full, tlb_miss, shadow_fault.

    A dirty walk only sets D. References to shadow tables are among the host's.
    """

    step: ClassVar = "walk"
    is_dirty_walk: bool
    end: str
    guest_refs: int
    host_refs: int
    cycles: int
    steps: tuple[Step, ...]


@frozen
class TakePage:
    """The guest took one of its free pages."""

    step: ClassVar = "take_page"
    ppn: int
    purpose: str


@frozen
class Zero:
    """The guest zeroed a page, past the TLBs; an exit in `steps` if the page had no frame."""

    step: ClassVar = "zero"
    ppn: int
    cycles: int
    steps: tuple[Step, ...]


@frozen
class WriteEntry:
    """The guest wrote an entry of its page table."""

    step: ClassVar = "write_entry"
    level: int
    index: int
    address: int
    entry: int
    bits: str
    leads_to: str
    cycles: int


@frozen
class Resize:
    """The guest put a table in place of a large page's entry, from page `vpn` on (split), or the reverse (collapse)."""

    step: ClassVar = "resize"
    how: str
    vpn: int
    size: str  # of the large page
    steps: tuple[Step, ...]


@frozen
class LoadCr3:
    """The guest loaded CR3, on its own vCPU or by an interrupt on another; with PAE also the root's four entries."""

    step: ClassVar = "load_cr3"
    ppn: int
    has_pointers: bool
    cycles: int


@frozen
class GuestFault:
    """A page fault handled by the guest; `own_cycles` are its handler's, without exits."""

    step: ClassVar = "guest_fault"
    entry_cycles: int
    own_cycles: int
    exit_cycles: int
    steps: tuple[Step, ...]


@frozen
class TakeFrame:
    """The VMM took a free frame, or a block of so many that begins there."""

    step: ClassVar = "take_frame"
    mpn: int
    purpose: str
    frames: int = 1


@frozen
class GiveFrame:
    """The VMM gave a frame back."""

    step: ClassVar = "give_frame"
    mpn: int


@frozen
class Exit:
    """The VMM got control, did what is in `steps`, and re-entered the guest."""

    step: ClassVar = "exit"
    reason: str
    transition_cycles: int
    handler_cycles: int
    steps: tuple[Step, ...]

    @property
    def cycles(self) -> int:
        return self.transition_cycles + self.handler_cycles


Step = (
    Probe | Fill | Drop | Flush | SetDirty | Reference | LogPage | HostWalk | Walk
    | TakePage | Zero | WriteEntry | Resize | LoadCr3 | GuestFault | TakeFrame | GiveFrame | Exit | PagingStep
)  # fmt: skip


@frozen
class Access:
    """One access, whole. `parts` are charged cycles by name; they add up to end_clock - start_clock.

    `idle_cycles` passed on the core since the vCPU's access before (or since 0): it was not yet due, or others ran.
    """

    number: int  # touch of its vCPU, from 1
    vcpu: str
    mode: str
    phase: str
    kind: str  # load, store or fetch
    vpn: int
    core: int
    per_touch: int  # accesses that the touch stands for
    idle_cycles: int | None  # None where the access before was not watched
    start_clock: int
    end_clock: int
    waits_until: int  # when the last disk that it has asked is done: past, if it waits for none
    parts: Mapping[str, int]
    raw_walk_cycles: int
    walkers: int
    steps: tuple[Step, ...]

    @property
    def cycles(self) -> int:
        return sum(self.parts.values())

    def all(self, kind: type) -> list[Any]:
        """Return all steps of one kind, at any depth, in their order."""
        return [step for step in _every(self.steps) if isinstance(step, kind)]


def as_data(value: Any) -> Any:
    """Return an access or a step as dicts and lists, ready for JSON; a step says in `step` what it is."""
    if isinstance(value, tuple):
        return [as_data(item) for item in value]
    if not hasattr(type(value), "__attrs_attrs__"):
        return dict(value) if isinstance(value, Mapping) else value
    kind = {"step": value.step} if hasattr(value, "step") else {}
    return kind | {field.name: as_data(getattr(value, field.name)) for field in fields(type(value))}


def _every(steps: tuple[Step, ...]) -> Iterator[Step]:
    for step in steps:
        yield step
        yield from _every(getattr(step, "steps", ()))
