"""Memory that is taken away, set up: disks and their areas, who pages, and what balloon drivers do at their times."""

from __future__ import annotations

from vmcfg.scenario.spec import Balloon, Host

from .disks import Queue
from .guest_paging import GuestPager
from .host_paging import HostPager
from .vcpu import Vcpu, to_cycles

POLL, TOUCH = range(2)
Due = tuple[int, int, int, int]  # cycles, VM, POLL or TOUCH, which poll it is or how much has been touched


class Pressure:
    def __init__(
        self, host: Host, vcpus: list[Vcpu], pager: HostPager, seed: int, disks: list[Queue], slice_cycles: int
    ) -> None:
        pager.first = [vcpu for vcpu in vcpus if vcpu.number == 0]
        self.guests = [GuestPager(vcpu, pager, seed, disks) for vcpu in pager.first]
        self.hz = host.cpu.hz
        self.slice_cycles = slice_cycles
        self.due: list[Due] = []
        for number in range(len(self.guests)):
            balloon = self._balloon(number)
            if balloon:
                self._poll_at(number, 1, balloon.poll_ns)
                for step in balloon.steps:
                    if step.target_pages is None:
                        self.due.append((to_cycles(step.at_ns, self.hz), number, TOUCH, 0))

    def happen(self, now: int) -> None:
        """All that is due at the end of a slice: by time, by VM, polls before touches."""
        while self.due and min(self.due)[0] <= now:
            first = min(self.due)
            self.due.remove(first)
            time, number, what, count = first
            guest, balloon = self.guests[number], self._balloon(number)
            assert balloon
            if what == TOUCH:
                touched, is_done = guest.touch_balloon(count)
                if not is_done:
                    self.due.append((time + self.slice_cycles, number, TOUCH, touched))
                continue
            self._poll_at(number, count + 1, balloon.poll_ns)
            said = [s.target_pages for s in balloon.steps if s.at_ns <= count * balloon.poll_ns]
            guest.contact(min([pages for pages in said if pages is not None][-1], balloon.most_pages))

    def _balloon(self, number: int) -> Balloon | None:
        return self.guests[number].vcpu.vm.balloon

    def _poll_at(self, number: int, count: int, poll_ns: int) -> None:
        self.due.append((to_cycles(count * poll_ns, self.hz), number, POLL, count))
