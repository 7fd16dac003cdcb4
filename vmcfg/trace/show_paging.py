"""Steps of paging as lines: see `trace.show`, which adds the steps that they hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vmcfg.trace import paging_steps as steps
from vmcfg.trace.rows import Row, cycles_cell, indented, some


def _leave(step: steps.Leave, depth: int) -> Row:
    what = indented(f"{step.page} leaves", depth)
    return Row(what=what, leads_to=f"to {step.where}", note=f"from mpn {step.mpn:#x}", style="host")


def _arrive(step: steps.Arrive, depth: int) -> Row:
    what = indented(f"{step.page} comes back", depth)
    return Row(what=what, leads_to=f"mpn {step.mpn:#x}", note=f"from {step.place}", style="host")


def _request(step: steps.Request, depth: int) -> Row:
    what = f"{step.disk} {'writes' if step.is_write else 'reads'} {some(step.pages, 'page')}"
    note = f"done at cycle {step.done_clock:,}, {step.done_clock - step.asked_clock:,} later"
    return Row(what=indented(what, depth), place=f"[{step.place}]", note=note, style="event")


def _past_tlbs(step: steps.PastTlbs, depth: int) -> Row:
    return Row(what=indented(f"ppn {step.ppn:#x} is {step.how} past the TLBs", depth))


def _pop_balloon(step: steps.PopBalloon, depth: int) -> Row:
    return Row(what=indented(f"the balloon of {some(step.pages, 'page')} pops", depth), style="event")


def _guest_page_out(step: steps.GuestPageOut, depth: int) -> Row:
    what = indented(f"the guest pages {step.page} out", depth)
    return Row(what=what, leads_to=f"to {step.where}", style="event")


def _guest_page_in(step: steps.GuestPageIn, depth: int) -> Row:
    return Row(what=indented(f"the guest pages slot {step.slot:,} in", depth), style="event")


def _wait(step: steps.Wait, depth: int) -> Row:
    what = indented("waits for frames that are on their way", depth)
    return Row(what=what, cycles=cycles_cell(step.cycles), style="event")


SHOWN: dict[type, Callable[[Any, int], Row]] = {
    steps.Wait: _wait,
    steps.Leave: _leave,
    steps.Arrive: _arrive,
    steps.Request: _request,
    steps.PastTlbs: _past_tlbs,
    steps.PopBalloon: _pop_balloon,
    steps.GuestPageOut: _guest_page_out,
    steps.GuestPageIn: _guest_page_in,
}
