"""Memory that is taken away, set up: disks and their areas, who pages, what guests' kernels do at their times."""

from __future__ import annotations

from vmcfg.scenario.spec import Balloon, Host

from .disks import Queue
from .guest_paging import GuestPager
from .host_paging import HostPager
from .page_cache import PageCache, lay_files
from .vcpu import Vcpu, to_cycles

POLL, TOUCH, LOOK, AHEAD = range(4)
Due = tuple[int, int, int, int]  # cycles, VM, what of these, which one it is or how much has been touched


class Pressure:
    def __init__(
        self, host: Host, vcpus: list[Vcpu], pager: HostPager, seed: int, disks: list[Queue], slice_cycles: int
    ) -> None:
        pager.first = [vcpu for vcpu in vcpus if vcpu.number == 0]
        self.guests = [GuestPager(vcpu, pager, seed, disks) for vcpu in pager.first]
        for guest in self.guests:
            guest.cache = PageCache(guest, lay_files(guest.vcpu.vm, disks))
        self.hz = host.cpu.hz
        self.slice_cycles = slice_cycles
        self.due: list[Due] = []
        self.pager, self.marks = pager, host.paging.watermarks if host.paging else None
        if self.marks:
            self._at(AHEAD, len(self.guests), 1, self.marks.every_ns)
        for number in range(len(self.guests)):
            how = self.guests[number].cache.how
            if how:
                self._at(LOOK, number, 1, how.flush_every_ns)
            balloon = self._balloon(number)
            if balloon:
                self._at(POLL, number, 1, balloon.poll_ns)
                for step in balloon.steps:
                    if step.target_pages is None:
                        self.due.append((to_cycles(step.at_ns, self.hz), number, TOUCH, 0))

    def happen(self, now: int) -> None:
        """All that is due at the end of a slice: by time, by VM, polls before touches, looks for dirty pages last."""
        while self.due and min(self.due)[0] <= now:
            first = min(self.due)
            self.due.remove(first)
            time, number, what, count = first
            if what == AHEAD:
                assert self.marks
                self.pager.look(now)
                self._at(AHEAD, number, count + 1, self.marks.every_ns)
                continue
            guest, balloon, cache = self.guests[number], self._balloon(number), self.guests[number].cache
            if what == LOOK:
                assert cache.how
                cache.write_back()
                self._at(LOOK, number, count + 1, cache.how.flush_every_ns)
                continue
            assert balloon
            if what == TOUCH:
                touched, is_done = guest.driver.touch(count)
                if not is_done:
                    self.due.append((time + self.slice_cycles, number, TOUCH, touched))
                continue
            self._at(POLL, number, count + 1, balloon.poll_ns)
            if guest.spaces.is_off or now < guest.spaces.is_up_at:
                continue
            said = [s.target_pages for s in balloon.steps if s.at_ns <= count * balloon.poll_ns]
            guest.driver.contact(min([pages for pages in said if pages is not None][-1], balloon.most_pages))

    def _balloon(self, number: int) -> Balloon | None:
        return self.guests[number].vcpu.vm.balloon

    def _at(self, what: int, number: int, count: int, every_ns: int) -> None:
        self.due.append((to_cycles(count * every_ns, self.hz), number, what, count))
