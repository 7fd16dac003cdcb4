"""Which kernels are watched, and what each of them says about an access.

`Watch` stands before a dozen kernels of the twin. Most of it only writes down what went in and came out; where a kernel
changes something, the state before is looked at too. A kernel that is renamed, or whose arguments are, stops this file
at once and loudly; one whose *work* moves elsewhere shows in the tests, which count the steps against the counters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from vmcfg.hardware import sets as layout
from vmcfg.hardware.core import L2, NESTED_TLB, STORES
from vmcfg.metrics.events import Event
from vmcfg.metrics.events import Exit as Reason
from vmcfg.mmu.walks import COMPLETE, GUEST_PAGE_FAULT, HOST_VIOLATION
from vmcfg.trace import places, steps
from vmcfg.trace.places import Places
from vmcfg.trace.twin import Arguments, Run, Watcher
from vmcfg.vmm import machine as at

ENDS = {COMPLETE: "complete", GUEST_PAGE_FAULT: "guest_fault", HOST_VIOLATION: "violation"}


class Touch(NamedTuple):
    """What was touched: the word of the vCPU's buffer, and where its workload stood."""

    word: int
    phase: int
    is_warm: bool


class Watch:
    """Collects the steps of one access of one vCPU."""

    def __init__(self, machine: at.Machine, seen_from: Places, vcpu: int) -> None:
        self._machine = machine
        self._places = seen_from
        self._vcpu = vcpu
        self.touch = Touch(0, 0, False)
        self._steps: list[steps.Step] = []
        self._vpn = 0  # of the walk or fault that is under way
        self._references = 0
        self._is_walking = False
        self._is_looking_up = True
        self._tables_to_make: list[int] = []
        self._backing = 0
        self._exit = (0, 0)  # reason and cycles of the exit that was just made

    def watchers(self) -> dict[str, Watcher]:
        """Return what stands before which kernel."""
        return {
            "vmcfg.hardware.sets.find": self._find,
            "vmcfg.hardware.assoc.fill": self._fill,
            "vmcfg.hardware.assoc.drop": self._drop,
            "vmcfg.hardware.assoc.flush": self._flush,
            "vmcfg.hardware.assoc.set_dirty": self._set_dirty,
            "vmcfg.mmu.walks.read_guest_entry": self._read_guest_entry,
            "vmcfg.mmu.nested._translate": self._translate,
            "vmcfg.mmu.nested._mark": self._mark,
            "vmcfg.mmu.tables.gpt_write": self._gpt_write,
            "vmcfg.guest.pages.page_take": self._page_take,
            "vmcfg.guest.fault.demand_fault": self._demand_fault,
            "vmcfg.vmm.frames.frame_take": self._frame_take,
            "vmcfg.vmm.verbs.back": self._back,
            "vmcfg.vmm.verbs.gpa_access": self._gpa_access,
            "vmcfg.vmm.verbs.violation": self._violation,
            "vmcfg.vmm.verbs.vm_exit": self._vm_exit,
            "vmcfg.engine.access.walk": self._walk,
            "vmcfg.engine.access.dirty_walk": self._dirty_walk,
            "vmcfg.engine.turn.stretch": self._stretch,
        }

    def watched_machine(self) -> at.Machine:
        """Return the same machine, whose EPT tells when it is read."""
        ept = _WatchedEpt(self._machine.host.ept, self._read_ept)
        return self._machine._replace(host=self._machine.host._replace(ept=ept))  # type: ignore[arg-type]

    def collected(self) -> tuple[steps.Step, ...]:
        """Return the steps since the last call."""
        done, self._steps = self._steps, []
        return tuple(done)

    def _stretch(self, run: Run, given: Arguments) -> Any:
        v = self._machine.vcpu[self._vcpu]
        position = int(v[at.NEXT])
        word = int(self._machine.work.buffer[self._vcpu, position])
        touch = Touch(word, int(v[at.PHASE]), bool(v[at.IS_WARM]))
        why = run()
        if v[at.NEXT] > position:
            self.touch = touch
        return why

    # --- translation caches --------------------------------------------------------------------------------------

    def _find(self, run: Run, given: Arguments) -> Any:
        way = run()
        if self._is_looking_up:
            index = int(given["index"])
            cache = self._places.cache_of(index)
            is_hit = bool(way >= 0)
            payload = self._places.payload(cache, index, int(way)) if is_hit else 0
            self._steps.append(
                steps.Probe(
                    cache=self._places.cache_name(cache),
                    dimension=places.dimension_of(cache),
                    set=index - self._places.first_set(cache),
                    sets=self._places.sets(cache),
                    way=int(way) if is_hit else None,
                    leads_to=self._places.leads_to(cache, payload) if is_hit else "",
                    is_dirty=is_hit and self._places.is_dirty(index, int(way)),
                    cycles=self._hit_cycles(cache) if is_hit else 0,
                )
            )
        return way

    def _hit_cycles(self, cache: int) -> int:
        kind = cache % STORES
        if kind < L2:
            return 0
        cost = {L2: at.L2_HIT, NESTED_TLB: at.NESTED_TLB_HIT}.get(kind, at.WALK_CACHE_HIT)
        return int(self._machine.cost[cost])

    def _fill(self, run: Run, given: Arguments) -> Any:
        index, tag = int(given["index"]), int(given["tag"])
        cache = self._places.cache_of(index)
        before = self._places.tags_of(cache, index)
        run()
        way = self._places.tags_of(cache, index).index(tag)
        evicted = before[way]
        self._steps.append(
            steps.Fill(
                cache=self._places.cache_name(cache),
                dimension=places.dimension_of(cache),
                set=index - self._places.first_set(cache),
                way=way,
                held=self._places.held(cache, tag),
                leads_to=self._places.leads_to(cache, int(given["payload"])),
                is_dirty=bool(given["dirty"]),
                evicted=None if evicted in (layout.EMPTY, tag) else self._places.held(cache, evicted),
            )
        )

    def _drop(self, run: Run, given: Arguments) -> Any:
        cache, tag = int(given["cache"]), int(given["tag"])
        first, sets = self._places.first_set(cache), self._places.sets(cache)
        held = [(index, self._places.tags_of(cache, index)) for index in range(first, first + sets)]
        with self._no_lookups():
            run()
        for index, tags in held:
            if tag in tags:
                name, what = self._places.cache_name(cache), self._places.held(cache, tag)
                self._steps.append(steps.Drop(name, index - first, tags.index(tag), what))

    def _flush(self, run: Run, given: Arguments) -> Any:
        cache = int(given["cache"])
        first, sets = self._places.first_set(cache), self._places.sets(cache)
        tags = [tag for index in range(first, first + sets) for tag in self._places.tags_of(cache, index)]
        run()
        if sets:
            entries = sum(tag != layout.EMPTY for tag in tags)
            self._steps.append(steps.Flush(self._places.cache_name(cache), entries))

    def _set_dirty(self, run: Run, given: Arguments) -> Any:
        index = int(given["index"])
        cache = self._places.cache_of(index)
        run()
        name = self._places.cache_name(cache)
        self._steps.append(steps.SetDirty(name, index - self._places.first_set(cache), int(given["way"])))

    # --- walks ---------------------------------------------------------------------------------------------------

    def _walk(self, run: Run, given: Arguments) -> Any:
        self._vpn = int(given["vpn"])
        self._references = 0
        outer, self._is_looking_up, self._is_walking = self._is_looking_up, True, True
        with self._inside() as inner:
            result = run()
        self._is_looking_up, self._is_walking = outer, False
        end, _, _, guest_refs, host_refs, guest_hits, host_hits, nested_hits = (int(field) for field in result)
        assert self._references == guest_refs + host_refs, "a reference was not seen"
        cost = self._machine.cost
        cycles = (guest_refs + host_refs) * int(cost[at.WALK_REFERENCE])
        cycles += (guest_hits + host_hits) * int(cost[at.WALK_CACHE_HIT]) + nested_hits * int(cost[at.NESTED_TLB_HIT])
        is_dirty_walk = bool(given["is_quiet"])
        self._steps.append(steps.Walk(is_dirty_walk, ENDS[end], guest_refs, host_refs, cycles, tuple(inner)))
        return result

    def _dirty_walk(self, run: Run, given: Arguments) -> Any:
        with self._no_lookups():  # it searches the TLBs only to set D
            return run()

    def _read_guest_entry(self, run: Run, given: Arguments) -> Any:
        level, slot = int(given["level"]), int(given["slot"])
        before = places.guest_bits(int(self._machine.guests.tables[slot]))
        entry = run()
        bits = places.guest_bits(int(entry))
        target = places.guest_target(int(entry), level)
        address = self._places.guest_address(self._vpn, level)
        index = places.index_of(self._vpn, level)
        self._refer("guest", level, index, address, places.guest_value(int(entry)), bits, _new(before, bits), target)
        return entry

    def _translate(self, run: Run, given: Arguments) -> Any:
        ppn = int(given["ppn"])
        tables = {table_ppn: level for level, (_, table_ppn) in self._places.guest_path(self._vpn).items()}
        of = f"guest L{tables[ppn]} table" if given["is_table"] else "the page"
        seen = self._references
        with self._inside() as inner:
            result = run()
            is_present, references = bool(result[0]), int(result[1])
            if self._references - seen < references:  # the leaf was absent: nothing was marked
                self._refer_to_host_leaf(ppn, "", "")
        self._steps.append(steps.HostWalk(ppn, of, is_present, tuple(inner)))
        return result

    def _read_ept(self, place: int, entry: int) -> None:
        """Hear of an entry above the leaf that a walker, or a handler, has read."""
        if not self._is_walking:
            return
        level = self._places.ept_level(place)
        first = int(self._machine.guests.vm[self._places.vm, at.EPT + level])
        index = (place - first) & places.INDEX_MASK
        ppn = (place - first) << 9 * (level - 1)
        address = self._places.host_address(ppn, level)
        target = f"mpn {entry - 1:#x}, host L{level - 1}" if entry else ""
        bits = places.HOST_PRESENT if entry else ""
        self._refer("host", level, index, address, places.host_value(entry - 1, bits), bits, "", target)

    def _mark(self, run: Run, given: Arguments) -> Any:
        gpid = int(given["gpid"])
        before = places.host_bits(int(self._machine.host.state[gpid]))
        run()
        after = places.host_bits(int(self._machine.host.state[gpid]))
        self._refer_to_host_leaf(self._places.ppn_of(gpid), before, after)

    def _refer_to_host_leaf(self, ppn: int, before: str, bits: str) -> None:
        frame = self._places.frame_of(ppn)
        target = f"mpn {frame:#x}" if bits else ""
        address = self._places.host_address(ppn, 1)
        value = places.host_value(frame, bits)
        self._refer("host", 1, places.index_of(ppn, 1), address, value, bits, _new(before, bits), target)

    def _refer(
        self, dimension: str, level: int, index: int, address: int, entry: int, bits: str, newly_set: str, leads_to: str
    ) -> None:
        self._references += 1
        cycles = int(self._machine.cost[at.WALK_REFERENCE])
        self._steps.append(
            steps.Reference(
                self._references, dimension, level, index, address, entry, bits, newly_set, leads_to, cycles
            )
        )

    # --- the guest -----------------------------------------------------------------------------------------------

    def _demand_fault(self, run: Run, given: Arguments) -> Any:
        self._vpn = int(given["vpn"])
        row = int(self._machine.vcpu[self._vcpu, at.ROW])
        before = int(self._machine.counters[row, Event.GUEST_FAULT_CYCLES])
        with self._inside() as inner:
            cycles = run()
        own = int(self._machine.counters[row, Event.GUEST_FAULT_CYCLES]) - before
        entry_cycles = int(self._machine.cost[at.GUEST_FAULT])
        self._steps.append(steps.GuestFault(entry_cycles, own, int(cycles) - own, tuple(inner)))
        return cycles

    def _page_take(self, run: Run, given: Arguments) -> Any:
        lowest = min(self._places.guest_path(self._vpn))
        ppn = run()
        purpose = "the page" if lowest == 1 else f"guest L{lowest - 1} table"
        self._steps.append(steps.TakePage(int(ppn), purpose))
        return ppn

    def _gpa_access(self, run: Run, given: Arguments) -> Any:
        with self._inside() as inner:
            cycles = run()
        self._steps.append(steps.Zero(int(given["ppn"]), int(self._machine.cost[at.ZERO_PAGE]), tuple(inner)))
        return cycles

    def _gpt_write(self, run: Run, given: Arguments) -> Any:
        level = min(self._places.guest_path(self._vpn))
        address = self._places.guest_address(self._vpn, level)
        entry = int(given["entry"])
        cycles = run()
        self._steps.append(
            steps.WriteEntry(
                level=level,
                index=places.index_of(self._vpn, level),
                address=address,
                entry=places.guest_value(entry),
                bits=places.guest_bits(entry),
                leads_to=places.guest_target(entry, level),
                cycles=int(self._machine.cost[at.GPT_WRITE]),
            )
        )
        return cycles

    # --- the VMM -------------------------------------------------------------------------------------------------

    def _violation(self, run: Run, given: Arguments) -> Any:
        with self._inside() as inner:
            cycles = run()
        reason, transition = self._exit
        self._steps.append(steps.Exit(Reason(reason).name.lower(), transition, int(cycles) - transition, tuple(inner)))
        return cycles

    def _vm_exit(self, run: Run, given: Arguments) -> Any:
        cycles = run()
        self._exit = int(given["reason"]), int(cycles) - int(given["handler_cycles"])
        return cycles

    def _back(self, run: Run, given: Arguments) -> Any:
        self._backing = int(given["ppn"])
        self._tables_to_make = []
        if self._machine.guests.vm[self._places.vm, at.EPT + at.HOST_LEVELS] >= 0:
            levels = range(at.HOST_LEVELS, 1, -1)
            self._tables_to_make = [level - 1 for level in levels if not self._places.ept_entry(self._backing, level)]
        return run()

    def _frame_take(self, run: Run, given: Arguments) -> Any:
        mpn = run()
        purpose = f"ppn {self._backing:#x}"
        if given["kind"] == at.FRAME_OVERHEAD:
            purpose = f"host L{self._tables_to_make.pop(0)} table"
        self._steps.append(steps.TakeFrame(int(mpn), purpose))
        return mpn

    @contextmanager
    def _inside(self) -> Iterator[list[steps.Step]]:
        """Collect the steps of a step."""
        outer, self._steps = self._steps, []
        try:
            yield self._steps
        finally:
            self._steps = outer

    @contextmanager
    def _no_lookups(self) -> Iterator[None]:
        """Let searches of caches pass that look nothing up."""
        outer, self._is_looking_up = self._is_looking_up, False
        try:
            yield
        finally:
            self._is_looking_up = outer


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
