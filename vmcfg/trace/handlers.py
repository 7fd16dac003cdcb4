"""Watches what answers a walk that could not finish: the guest's page-fault handler, and the VMM's verbs."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from vmcfg.hardware.core import TABLE_BITS
from vmcfg.metrics.events import Event, Exit
from vmcfg.trace import places, steps
from vmcfg.trace.recorder import Recorder
from vmcfg.trace.twin import Arguments, Run, Watcher
from vmcfg.vmm import machine as at


class HandlerWatch:
    """Stands before the handlers and what they do."""

    def __init__(self, told: Recorder) -> None:
        self._told = told
        self._tables_to_make: list[int] = []  # levels of EPT tables that the page being backed still lacks
        self._backing = 0
        self._exit = (0, 0)  # reason of the exit just made, and cycles of leaving and entering
        self._shadow_level = 0  # of the shadow table being made

    def watchers(self) -> dict[str, Watcher]:
        """Return what stands before which kernel."""
        return {
            "vmcfg.guest.fault.guest_fault": self._guest_fault,
            "vmcfg.guest.pages.page_take": self._page_take,
            "vmcfg.guest.pages.table_page_take": self._page_take,
            "vmcfg.guest.pages.block_take": self._guest_block_take,
            "vmcfg.guest.splitting.split": self._split,
            "vmcfg.guest.collapsing.collapse": self._collapse,
            "vmcfg.mmu.tables.gpt_write": self._gpt_write,
            "vmcfg.guest.switching._charge_load": self._load_cr3,
            "vmcfg.guest.switching._read_root": self._read_root,
            "vmcfg.vmm.verbs.gpa_overwrite": self._gpa_overwrite,
            "vmcfg.vmm.verbs._missing": self._missing,
            "vmcfg.vmm.verbs.vm_exit": self._vm_exit,
            "vmcfg.mmu.pml.drain_log": self._drain_log,
            "vmcfg.mmu.pml.write_anyway": self._drain_log,
            "vmcfg.vmm.promotion.promote": self._promote,
            "vmcfg.vmm.reclaiming.page_out": self._host_page_out,
            "vmcfg.mmu.paravirt.bounce": self._violation,
            "vmcfg.mmu.paravirt.hypercall": self._violation,
            "vmcfg.mmu.software_tlb.trap": self._violation,
            "vmcfg.mmu.software_tlb.write": self._violation,
            "vmcfg.mmu.software_tlb.privileged": self._violation,
            "vmcfg.mmu.shadow.shadow_fault": self._shadow_answer,
            "vmcfg.mmu.shadow_answers.written": self._shadow_answer,
            "vmcfg.mmu.shadow_answers.cr3_loaded": self._shadow_answer,
            "vmcfg.mmu.shadow_answers.page_invalidated": self._shadow_answer,
            "vmcfg.vmm.shadow_pages.new_shadow": self._new_shadow,
            "vmcfg.vmm.verbs.back": self._back,
            "vmcfg.vmm.frames.frame_take": self._frame_take,
            "vmcfg.vmm.frames.frame_free": self._frame_free,
            "vmcfg.vmm.frames.block_take": self._block_take,
        }

    def _guest_fault(self, run: Run, given: Arguments) -> Any:
        self._told.vpn = int(given["vpn"])
        row = int(self._told.machine.vcpu[self._told.vcpu, at.ROW])
        before = int(self._told.machine.counters[row, Event.GUEST_FAULT_CYCLES])
        with self._told.inside() as inner:
            cycles = run()
        own = int(self._told.machine.counters[row, Event.GUEST_FAULT_CYCLES]) - before
        entry_cycles = int(self._told.machine.cost[at.GUEST_FAULT])
        self._told.say(steps.GuestFault(entry_cycles, own, int(cycles) - own, tuple(inner)))
        return cycles

    def _page_take(self, run: Run, given: Arguments) -> Any:
        lowest = min(self._told.places.guest_path(self._told.vpn))
        with self._told.inside():  # a page for a table may be taken as any other
            ppn = run()
        purpose = "the page" if lowest == 1 else f"guest L{lowest - 1} table"
        self._told.say(steps.TakePage(int(ppn), purpose))
        return ppn

    def _guest_block_take(self, run: Run, given: Arguments) -> Any:
        ppn = run()
        self._told.say(steps.TakePage(int(ppn), f"the page of {places.SIZES[int(given['level'])]}"))
        return ppn

    def _split(self, run: Run, given: Arguments) -> Any:
        level, outer_vpn = int(given["level"]), self._told.vpn
        self._told.vpn, self._told.places.new_level = int(given["vpn"]), level - 1
        with self._told.inside() as inner:
            result = run()
        self._told.vpn, self._told.places.new_level = outer_vpn, 0
        first = places.first_of(int(given["vpn"]), level)
        self._told.say(steps.Resize("split", first, places.SIZES[level], tuple(inner)))
        return result

    def _collapse(self, run: Run, given: Arguments) -> Any:
        outer_vpn, self._told.vpn = self._told.vpn, int(given["vpn"])
        with self._told.inside() as inner:
            cycles = run()
        self._told.vpn = outer_vpn
        self._told.say(steps.Resize("collapse", int(given["vpn"]), places.SIZES[at.BLOCK_LEVEL], tuple(inner)))
        return cycles

    def _gpa_overwrite(self, run: Run, given: Arguments) -> Any:
        with self._told.inside() as inner:
            cycles = run()
        done = tuple(into_exits(inner))
        self._told.say(steps.Zero(int(given["ppn"]), int(self._told.machine.cost[at.ZERO_PAGE]), done))
        return cycles

    def _gpt_write(self, run: Run, given: Arguments) -> Any:
        level, index, address = self._told.places.written(int(given["slot"]))
        entry = int(given["entry"])
        with self._told.inside() as answers:
            cycles = run()
        self._told.say(
            steps.WriteEntry(
                level=level,
                index=index,
                address=address,
                entry=places.guest_value(entry),
                bits=places.guest_bits(entry),
                leads_to=places.guest_target(entry, level),
                cycles=int(self._told.machine.cost[at.GPT_WRITE]),
            )
        )
        for step in answers:
            self._told.say(step)
        return cycles

    def _load_cr3(self, run: Run, given: Arguments) -> Any:
        cycles = run()
        self._told.say(steps.LoadCr3(*self._told.places.loaded_root(), int(cycles)))
        return cycles

    def _read_root(self, run: Run, given: Arguments) -> Any:
        with self._told.inside() as inner:
            cycles = run()
        for read in inner:  # a read past the TLBs, of which only an exit is to be seen
            for step in getattr(read, "steps", ()):
                self._told.say(step)
        return cycles

    def _violation(self, run: Run, given: Arguments) -> Any:
        with self._told.inside() as inner:
            cycles = run()
        reason, transition = self._exit
        self._told.say(steps.Exit(Exit(reason).name.lower(), transition, int(cycles) - transition, tuple(inner)))
        return cycles

    def _missing(self, run: Run, given: Arguments) -> Any:
        return run() if self._told.places.is_shadow else self._violation(run, given)

    def _drain_log(self, run: Run, given: Arguments) -> Any:
        return self._violation(run, given)  # an exit like that one

    def _promote(self, run: Run, given: Arguments) -> Any:
        self._backing = int(given["ppn"])
        return self._violation(run, given)

    def _host_page_out(self, run: Run, given: Arguments) -> Any:
        if self._told.places.is_shadow:
            return self._shadow_answer(run, given)
        with self._told.inside() as inner:
            cycles = run()
        if cycles:
            reason, transition = self._exit
            self._told.say(steps.Exit(Exit(reason).name.lower(), transition, int(cycles) - transition, tuple(inner)))
        return cycles

    def _vm_exit(self, run: Run, given: Arguments) -> Any:
        cycles = run()
        self._exit = int(given["reason"]), int(cycles) - int(given["handler_cycles"])
        if self._told.places.is_shadow:  # exits have no verb of their own there: an answer takes what precedes into it
            reason, transition = self._exit
            self._told.say(steps.Exit(Exit(reason).name.lower(), transition, int(given["handler_cycles"]), ()))
        return cycles

    def _shadow_answer(self, run: Run, given: Arguments) -> Any:
        with self._told.inside() as inner:
            result = run()
        for step in into_exits(inner):
            self._told.say(step)
        return result

    def _new_shadow(self, run: Run, given: Arguments) -> Any:
        self._shadow_level = int(given["level"])
        return run()

    def _back(self, run: Run, given: Arguments) -> Any:
        self._backing = int(given["ppn"])
        levels = range(self._told.places.host_levels, 1, -1)
        self._tables_to_make = [level - 1 for level in levels if not self._told.places.ept_entry(self._backing, level)]
        return run()

    def _frame_take(self, run: Run, given: Arguments) -> Any:
        mpn = run()
        purpose = f"ppn {self._backing:#x}"
        if given["kind"] == at.FRAME_OVERHEAD:
            is_shadow = self._told.places.is_shadow
            purpose = f"shadow L{self._shadow_level}" if is_shadow else f"host L{self._tables_to_make.pop(0)}"
            purpose += " table"
        self._told.say(steps.TakeFrame(int(mpn), purpose))
        return mpn

    def _frame_free(self, run: Run, given: Arguments) -> Any:
        self._told.say(steps.GiveFrame(int(given["mpn"])))
        return run()

    def _block_take(self, run: Run, given: Arguments) -> Any:
        mpn, level = run(), int(given["level"])
        first = places.first_of(self._backing, level)
        purpose = f"ppn {first:#x} and all of its {places.SIZES[level]}"
        self._told.say(steps.TakeFrame(int(mpn), purpose, 1 << TABLE_BITS * (level - 1)))
        return mpn


def into_exits(inner: list[steps.Step]) -> list[steps.Step]:
    """Put what precedes an exit into it: the VMM counts one when it has done its work."""
    done: list[steps.Step] = []
    before: list[steps.Step] = []
    for step in inner:
        if isinstance(step, steps.Exit) and not step.steps:
            done.append(evolve(step, steps=tuple(before)))
            before = []
        else:
            before.append(step)
    return done + before
