"""Watches page walks: every table entry that is read, in which dimension, and how the walk ends.

The guest's entries are read by one kernel, the host's leaf is marked by another. The host's entries above it have no
kernel of their own; there the EPT itself tells, as an array that says what is read from it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vmcfg.hardware.data_caches import L1, L2, LINE_BYTES, LLC, MEMORY
from vmcfg.mmu.nested_tlb import ABSENT
from vmcfg.mmu.tally import BITS, ONE
from vmcfg.mmu.walks import COMPLETE, GUEST_PAGE_FAULT, HOST_VIOLATION, LOG_FULL, SHADOW_FAULT, TLB_MISS
from vmcfg.trace import places, steps
from vmcfg.trace.foresight import Foresight
from vmcfg.trace.recorder import Recorder
from vmcfg.trace.twin import Arguments, Run, Watcher
from vmcfg.vmm import machine as at

ENDS = {
    COMPLETE: "complete",
    GUEST_PAGE_FAULT: "guest_fault",
    HOST_VIOLATION: "violation",
    LOG_FULL: "log_full",
    TLB_MISS: "tlb_miss",
    SHADOW_FAULT: "shadow_fault",
}
FOUND = {L1: "L1", L2: "L2", LLC: "LLC", MEMORY: "memory"}


class WalkWatch:
    """Stands before the walkers."""

    def __init__(self, told: Recorder) -> None:
        self._told = told
        self._references = 0
        self._is_walking = False
        self._found: tuple[int, int] | None = None  # where a line will be found, and the line, until its entry is read
        self._looking_up = 0  # cycles of a walk's lines
        self._foresight = Foresight()

    def watchers(self) -> dict[str, Watcher]:
        """Return what stands before which kernel."""
        return {
            "vmcfg.engine.access.walk": self._walk,
            "vmcfg.engine.other_walks.dirty_walk": self._dirty_walk,
            "vmcfg.mmu.references.refer": self._note_line,
            "vmcfg.mmu.walks.read_guest_entry": self._read_guest_entry,
            "vmcfg.mmu.shadow._read_entry": self._read_shadow_entry,
            "vmcfg.mmu.host_walk.translate": self._translate,
            "vmcfg.mmu.host_walk._read_host_leaf": self._read_host_leaf,
            "vmcfg.vmm.dirty_log.log_page": self._log_page,
            "vmcfg.vmm.large_pages.level_behind": self._level_behind,
            "vmcfg.mmu.host_walk._read_large_leaf": self._read_large_leaf,
        }

    def watched_machine(self) -> at.Machine:
        """Return the same machine, whose EPT tells when it is read; its answers are those of the twin."""
        machine = self._told.machine
        ept = _WatchedEpt(machine.host.ept, self._read_ept)
        host = machine.host._replace(ept=ept)  # type: ignore[arg-type]
        return machine._replace(host=host, answers=machine.answers.copy())

    def _walk(self, run: Run, given: Arguments) -> Any:
        self._told.vpn = int(given["vpn"])
        self._references = self._looking_up = 0
        outer, self._told.is_looking_up, self._is_walking = self._told.is_looking_up, True, True
        with self._told.inside() as inner:
            result = run()
        self._told.is_looking_up, self._is_walking = outer, False
        end, _, _, tally, _ = map(int, result)
        cycles = self._looking_up + self._foresight.cycles_of(self._told.machine, given["walker"], tally)
        guest_refs, host_refs = int(tally & ONE), int(tally >> BITS & ONE)
        assert self._references == guest_refs + host_refs, "a reference was not seen"
        is_dirty_walk = bool(given["is_quiet"])
        self._told.say(steps.Walk(is_dirty_walk, ENDS[end], guest_refs, host_refs, cycles, tuple(inner)))
        return result

    def _dirty_walk(self, run: Run, given: Arguments) -> Any:
        with self._told.no_lookups():  # it searches the TLBs only to set D
            return run()

    def _note_line(self, run: Run, given: Arguments) -> Any:
        run()
        caches, walker = self._told.machine.data_caches, given["walker"]
        if walker.has_data_caches:
            place, line = self._foresight.place_of_last(caches, walker), int(caches.lines[caches.noted[0] - 1])
            self._found = place, line
            self._looking_up += int(caches.latency[place])

    def _read_guest_entry(self, run: Run, given: Arguments) -> Any:
        level, slot = int(given["level"]), int(given["slot"])
        before = places.guest_bits(int(self._told.machine.guests.tables[slot]))
        entry = run()
        bits = places.guest_bits(int(entry))
        target = places.guest_target(int(entry), level)
        address = self._told.places.guest_address(self._told.vpn, level)
        index = self._told.places.guest_index(self._told.vpn, level)
        self._refer("guest", level, index, address, places.guest_value(int(entry)), bits, _new(before, bits), target)
        return entry

    def _read_shadow_entry(self, run: Run, given: Arguments) -> Any:
        level, slot, entries = int(given["level"]), int(given["slot"]), self._told.machine.shadow.entries
        before = places.guest_bits(int(entries[slot]))
        result = run()
        entry = int(entries[slot])  # also where it forbids the store, and the walker gets nothing
        bits, target = places.guest_bits(entry), places.shadow_target(entry, level)
        address = self._told.places.shadow_address(slot, self._told.vpn, level)
        index = places.index_of(self._told.vpn, level)
        self._refer("shadow", level, index, address, places.guest_value(entry), bits, _new(before, bits), target)
        return result

    def _translate(self, run: Run, given: Arguments) -> Any:
        ppn = int(given["ppn"])
        tables = {table_ppn: level for level, (_, table_ppn) in self._told.places.guest_path(self._told.vpn).items()}
        of = f"guest L{tables[ppn]} table" if given["is_table"] else "the page"
        with self._told.inside() as inner:
            result = run()
        self._told.say(steps.HostWalk(ppn, of, bool(result[0] != ABSENT), tuple(inner)))
        return result

    def _read_ept(self, place: int, entry: int) -> None:
        """Hear of an entry above the leaf that a walker or a handler has read; leaves have kernels of their own."""
        if not self._is_walking or entry < 0:
            return
        level = self._told.places.ept_level(place)
        first = int(self._told.machine.guests.vm[self._told.places.vm, at.EPT + level])
        index = (place - first) & places.INDEX_MASK
        ppn = (place - first) << 9 * (level - 1)
        address = self._told.places.host_address(ppn, level)
        target = f"mpn {entry - 1:#x}, host L{level - 1}" if entry else ""
        bits = places.HOST_PRESENT if entry else ""
        self._refer("host", level, index, address, places.host_value(entry - 1, bits), bits, "", target)

    def _read_host_leaf(self, run: Run, given: Arguments) -> Any:
        gpid = int(given["gpid"])
        before = places.host_bits(int(self._told.machine.host.pmap[gpid]))
        with self._told.inside() as logged:
            page = run()
        after = places.host_bits(int(self._told.machine.host.pmap[gpid]))
        self._refer_to_host_leaf(self._told.places.ppn_of(gpid), before, after)
        for step in logged:
            self._told.say(step)
        return page

    def _level_behind(self, run: Run, given: Arguments) -> Any:
        was_walking, self._is_walking = self._is_walking, False  # the walk has found the leaf, and asks which it was
        level = run()
        self._is_walking = was_walking
        return level

    def _log_page(self, run: Run, given: Arguments) -> Any:
        index = int(self._told.machine.vcpu[int(given["vcpu"]), at.LOG_INDEX])
        run()
        self._told.say(steps.LogPage(self._told.places.ppn_of(int(given["gpid"])), index))

    def _read_large_leaf(self, run: Run, given: Arguments) -> Any:
        place, gpid = int(given["place"]), int(given["gpid"])
        before = places.large_bits(int(self._told.machine.host.ept[place]))
        with self._told.inside() as logged:
            page = run()
        bits = places.large_bits(int(self._told.machine.host.ept[place]))
        level, ppn = self._told.places.ept_level(place), self._told.places.ppn_of(gpid)
        first = self._told.places.frame_of(places.first_of(ppn, level))
        value = places.host_value(first, bits) | places.LARGE_BIT
        address = self._told.places.host_address(ppn, level)
        target = f"mpn {first:#x}, {places.SIZES[level]}"
        index = places.index_of(ppn, level)
        self._refer("host", level, index, address, value, bits, _new(before, bits), target)
        for step in logged:
            self._told.say(step)
        return page

    def _refer_to_host_leaf(self, ppn: int, before: str, bits: str) -> None:
        frame = self._told.places.frame_of(ppn)
        target = f"mpn {frame:#x}" if bits else ""
        address = self._told.places.host_address(ppn, 1)
        value = places.host_value(frame, bits)
        self._refer("host", 1, places.index_of(ppn, 1), address, value, bits, _new(before, bits), target)

    def _refer(
        self, dimension: str, level: int, index: int, address: int, entry: int, bits: str, newly_set: str, leads_to: str
    ) -> None:
        self._references += 1
        found, cycles = FOUND[MEMORY], int(self._told.machine.cost[at.WALK_REFERENCE])
        if self._found is not None:
            where, line = self._found
            assert line == address // LINE_BYTES, "an entry was looked up elsewhere"
            found, cycles = FOUND[where], int(self._told.machine.data_caches.latency[where])
            self._found = None
        self._told.say(
            steps.Reference(
                self._references, dimension, level, index, address, entry, bits, newly_set, leads_to, found, cycles
            )
        )


class _WatchedEpt:
    """An array that tells what is read from it."""

    def __init__(self, array: Any, told: Callable[[int, int], None]) -> None:
        self._array = array
        self._told = told

    def __getitem__(self, place: Any) -> Any:
        value = self._array[place]
        self._told(int(place), int(value))
        return value

    def __setitem__(self, place: Any, value: Any) -> None:
        self._array[place] = value


def _new(before: str, after: str) -> str:
    return "".join(bit for bit in after if bit not in before)
