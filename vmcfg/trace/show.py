"""An access as text for people: one line per step, in order, in columns that run through the whole access.

Indentation says whose table is read: the guest's entries stand at the margin, the host's, which are only read to find
them, further in. Numbers count references. Colour says the same once more, and is never the only one to say it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from vmcfg.trace import steps
from vmcfg.trace.paging_steps import Leave
from vmcfg.trace.paint import Paint, unpainted
from vmcfg.trace.rows import Row, cycles_cell, indented, some
from vmcfg.trace.show_paging import SHOWN as SHOWN_OF_PAGING
from vmcfg.trace.steps import Access, Step

PAGE_BITS = 12
FEW = 4  # steps that are alike and all shown
MEMORY = "memory"
GAP = "  "
RIGHT = (0, 2, 3, 7)  # columns that are aligned to the right
HEADS = ("#", "table or cache", "place", "address", "bits", "found", "leads to", "cycles", "")
ENDS = {"complete": "", "guest_fault": ", ends in a guest fault", "violation": ", ends in an EPT violation",
        "log_full": ", ends because the log is full", "tlb_miss": ": the processor makes none",
        "shadow_fault": ", ends in a fault on the shadow table"}
ALL_BITS = {"guest": "PWAD", "host": "RWXAD", "shadow": "PWAD"}


def render(access: Access, paint: Paint = unpainted) -> str:
    """Return an access as text, with a line's end after each line."""
    lines = [paint(_title(access), "title"), *_before(access), "", *_table(access, paint), "", *_sum(access, paint)]
    return "\n".join(lines) + "\n"


def _title(access: Access) -> str:
    page = f"page {access.vpn:#x} (address {access.vpn << PAGE_BITS:#x})"
    return f"access {access.number} of {access.vcpu}: {access.kind} of {page}"


def _before(access: Access) -> Iterator[str]:
    yield f"{access.mode}; {access.phase}; core {access.core}, cycle {access.start_clock:,}"
    if access.idle_cycles:
        what = "since the access before" if access.number > 1 else "before it"
        yield f"{access.idle_cycles:,} cycles passed on the core {what}: waiting, other vCPUs, or the VMM"


def _sum(access: Access, paint: Paint) -> Iterator[str]:
    parts = " + ".join(f"{name} {cycles:,}" for name, cycles in access.parts.items() if cycles)
    clocks = f" (cycle {access.start_clock:,} → {access.end_clock:,})"
    yield paint(f"{parts} = {access.cycles:,} cycles", "title") + clocks
    if access.walkers > 1 and access.raw_walk_cycles:
        walk = access.parts["walk"]
        yield f"{access.raw_walk_cycles:,} cycles of walks over {access.walkers} walkers: {walk:,} are charged here"
    if access.waits_until > access.end_clock:
        waiting = access.waits_until - access.end_clock
        yield f"then it waits for a disk, until cycle {access.waits_until:,}: {waiting:,} cycles"
    if access.per_touch > 1:
        yield f"base: this touch stands for {access.per_touch:,} accesses, of which the others hit the first-level TLB"


def _table(access: Access, paint: Paint) -> Iterator[str]:
    rows = [Row(*HEADS, style="quiet"), *_rows(access.steps, 0)]
    aligned = [row for row in rows if any(row[2:9])]  # a line that is only words widens no column
    widths = [max(len(row[column]) for row in aligned) for column in range(len(HEADS))]
    for row in rows:
        cells = [
            row[column].rjust(width) if column in RIGHT else row[column].ljust(width)
            for column, width in enumerate(widths)
            if width
        ]
        yield paint(GAP.join(cells).rstrip(), row.style)


def _rows(all_steps: tuple[Step, ...], depth: int) -> Iterator[Row]:
    for alike in _groups(all_steps):
        yield from _SHOWN[type(alike[0])](alike[0], depth)
        if len(alike) > FEW:
            yield Row(what=indented(f"… and {len(alike) - 2:,} likewise", depth), style="quiet")
            yield from _SHOWN[type(alike[-1])](alike[-1], depth)
        else:
            yield from (row for step in alike[1:] for row in _SHOWN[type(step)](step, depth))


def _groups(all_steps: tuple[Step, ...]) -> Iterator[list[Step]]:
    """Group steps that large pages take by the hundred, one entry or page after the other; others stay alone."""
    group: list[Step] = []
    for step in all_steps:
        if group and not _follows(step, group[-1]):
            yield group
            group = []
        group.append(step)
    if group:
        yield group


def _follows(step: Step, before: Step) -> bool:
    if isinstance(step, steps.WriteEntry) and isinstance(before, steps.WriteEntry):
        is_same_table = step.address >> PAGE_BITS == before.address >> PAGE_BITS
        return is_same_table and step.index == before.index + 1
    if isinstance(step, steps.GiveFrame | Leave):
        return type(before) is type(step)
    return isinstance(step, steps.Zero) and isinstance(before, steps.Zero) and step.steps == before.steps == ()


def _probe(step: steps.Probe, depth: int) -> Iterator[Row]:
    is_hit = step.way is not None and step.serves
    yield Row(
        what=indented(step.cache, depth),
        place=f"set {step.set}",
        bits="D" if step.is_dirty else "",
        found="hit" if is_hit else "miss" if step.serves else "no D",
        leads_to=step.leads_to,
        cycles=cycles_cell(step.cycles),
        note="" if step.way is None else f"way {step.way}",
        style="hit" if is_hit else "quiet",
    )


def _reference(step: steps.Reference, depth: int) -> Iterator[Row]:
    yield Row(
        number=str(step.number),
        what=indented(f"{step.dimension} L{step.level}", depth),
        place=f"[{step.index}]",
        address=f"{step.address:#x}",
        bits=_bits(step.bits, step.dimension),
        found=step.found if step.bits else "absent",
        leads_to=step.leads_to,
        cycles=cycles_cell(step.cycles),
        note=_of_reference(step),
        style=step.dimension,
    )


def _of_reference(step: steps.Reference) -> str:
    if step.newly_set:
        return f"sets {' and '.join(step.newly_set)}"
    return f"its line was in {step.found}" if not step.bits and step.found != MEMORY else ""


def _log_page(step: steps.LogPage, depth: int) -> Iterator[Row]:
    what = indented(f"log ppn {step.ppn:#x}", depth)
    yield Row(what=what, place=f"[{step.index}]", note="as modified", style="host")


def _host_walk(step: steps.HostWalk, depth: int) -> Iterator[Row]:
    yield Row(what=indented(f"where is {step.of}, ppn {step.ppn:#x}?", depth + 1), style="quiet")
    yield from _rows(step.steps, depth + 2)


def _walk(step: steps.Walk, depth: int) -> Iterator[Row]:
    refs = step.guest_refs + step.host_refs
    what = "dirty walk, which only sets D" if step.is_dirty_walk else "walk"
    title = f"{what}: {some(refs, 'reference')}{ENDS[step.end]}"
    yield Row(what=indented(title, depth), style="title")
    yield from _rows(step.steps, depth + 1)


def _fill(step: steps.Fill, depth: int) -> Iterator[Row]:
    yield Row(
        what=indented(f"→ {step.cache}", depth),
        place=f"set {step.set}",
        bits="D" if step.is_dirty else "",
        found="filled",
        leads_to=step.leads_to,
        note=f"way {step.way}" + (f", evicts {_held(step.evicted)}" if step.evicted else ""),
        style="quiet",
    )


def _drop(step: steps.Drop, depth: int) -> Iterator[Row]:
    note = f"way {step.way}: {_held(step.held)}"
    yield Row(what=indented(step.cache, depth), place=f"set {step.set}", found="dropped", note=note)


def _flush(step: steps.Flush, depth: int) -> Iterator[Row]:
    note = f"{step.entries:,} entries" if step.entries != 1 else "1 entry"
    yield Row(what=indented(step.cache, depth), found="flushed", note=note)


def _set_dirty(step: steps.SetDirty, depth: int) -> Iterator[Row]:
    yield Row(what=indented(step.cache, depth), place=f"set {step.set}", bits="D", note=f"way {step.way}, sets D")


def _guest_fault(step: steps.GuestFault, depth: int) -> Iterator[Row]:
    yield Row(what=indented("guest fault, handled by the guest", depth), style="event")
    note = "exception and handler, without what follows"
    yield Row(what=indented("handler", depth + 1), cycles=cycles_cell(step.entry_cycles), note=note)
    yield from _rows(step.steps, depth + 1)


def _take_page(step: steps.TakePage, depth: int) -> Iterator[Row]:
    yield Row(what=indented(f"take ppn {step.ppn:#x}", depth), leads_to=f"for {step.purpose}")


def _zero(step: steps.Zero, depth: int) -> Iterator[Row]:
    yield Row(what=indented(f"zero ppn {step.ppn:#x}", depth), cycles=cycles_cell(step.cycles))
    yield from _rows(step.steps, depth + 1)


def _write_entry(step: steps.WriteEntry, depth: int) -> Iterator[Row]:
    yield Row(
        what=indented(f"write guest L{step.level}", depth),
        place=f"[{step.index}]",
        address=f"{step.address:#x}",
        bits=_bits(step.bits, "guest"),
        leads_to=step.leads_to,
        cycles=cycles_cell(step.cycles),
        style="guest",
    )


def _resize(step: steps.Resize, depth: int) -> Iterator[Row]:
    what = {"split": f"split the page of {step.size}", "collapse": f"collapse 512 pages to {step.size}"}[step.how]
    yield Row(what=indented(f"{what} at page {step.vpn:#x}", depth), style="event")
    yield from _rows(step.steps, depth + 1)


def _load_cr3(step: steps.LoadCr3, depth: int) -> Iterator[Row]:
    what = "root and its 4 entries" if step.has_pointers else "root"
    yield Row(what=indented("load CR3", depth), leads_to=f"ppn {step.ppn:#x}, {what}", cycles=cycles_cell(step.cycles))


def _exit(step: steps.Exit, depth: int) -> Iterator[Row]:
    yield Row(what=indented(f"exit: {step.reason}", depth), style="event")
    yield Row(what=indented("out and in", depth + 1), cycles=cycles_cell(step.transition_cycles))
    yield Row(what=indented("handler", depth + 1), cycles=cycles_cell(step.handler_cycles), note="of the VMM")
    yield from _rows(step.steps, depth + 1)


def _take_frame(step: steps.TakeFrame, depth: int) -> Iterator[Row]:
    yield Row(what=indented(f"take mpn {step.mpn:#x}", depth), leads_to=f"for {step.purpose}", style="host")


def _give_frame(step: steps.GiveFrame, depth: int) -> Iterator[Row]:
    yield Row(what=indented(f"give mpn {step.mpn:#x} back", depth), style="host")


def _of_paging(step: Any, depth: int) -> Iterator[Row]:
    yield SHOWN_OF_PAGING[type(step)](step, depth)
    yield from _rows(getattr(step, "steps", ()), depth + 1)


_SHOWN: dict[type, Callable[[Any, int], Iterator[Row]]] = {
    steps.Probe: _probe,
    steps.Fill: _fill,
    steps.Drop: _drop,
    steps.Flush: _flush,
    steps.SetDirty: _set_dirty,
    steps.Reference: _reference,
    steps.LogPage: _log_page,
    steps.HostWalk: _host_walk,
    steps.Walk: _walk,
    steps.LoadCr3: _load_cr3,
    steps.GuestFault: _guest_fault,
    steps.TakePage: _take_page,
    steps.Zero: _zero,
    steps.WriteEntry: _write_entry,
    steps.Resize: _resize,
    steps.Exit: _exit,
    steps.TakeFrame: _take_frame,
    steps.GiveFrame: _give_frame,
    **dict.fromkeys(SHOWN_OF_PAGING, _of_paging),
}


def _held(held: steps.Held) -> str:
    if held.pages == 1:
        return f"page {held.page:#x} of {held.space}"
    return f"pages {held.page:#x} … {held.page + held.pages - 1:#x} of {held.space}"


def _bits(bits: str, dimension: str) -> str:
    return "".join(bit if bit in bits else "-" for bit in ALL_BITS[dimension])
