"""Watches pages that leave memory and come back, by the host's doing or the guest's, and the disks that carry them."""

from __future__ import annotations

from typing import Any

from vmcfg.guest.reclaim import AT_ONCE, IN_FILE
from vmcfg.trace import paging_steps as steps
from vmcfg.trace.handlers import into_exits
from vmcfg.trace.recorder import Recorder
from vmcfg.trace.twin import Arguments, Run, Watcher
from vmcfg.vmm import machine as at
from vmcfg.vmm.swap import NO_SLOT


class PagingWatch:
    """Stands before what moves pages."""

    def __init__(self, told: Recorder) -> None:
        self._told = told
        self._chosen = 0  # the page that the guest's policy has chosen last

    def watchers(self) -> dict[str, Watcher]:
        """Return what stands before which kernel."""
        return {
            "vmcfg.vmm.paging._return_page": self._return_page,
            "vmcfg.vmm.compression.decompress": self._decompress,
            "vmcfg.vmm.compression.keep": self._keep,
            "vmcfg.vmm.reclaiming._send_out": self._send_out,
            "vmcfg.vmm.reclaiming._drop_image": self._drop_image,
            "vmcfg.vmm.devices.request": self._request,
            "vmcfg.vmm.balloon.pop": self._pop,
            "vmcfg.vmm.verbs.gpa_access": self._read_past,
            "vmcfg.vmm.verbs.gpa_read_into": self._written_past,
            "vmcfg.guest.reclaim._choose": self._choose,
            "vmcfg.guest.reclaim._send_out": self._guest_page_out,
            "vmcfg.guest.swapping.swap_in": self._guest_page_in,
            "vmcfg.guest.shared_memory.bring_in": self._shared_page_in,
        }

    def _return_page(self, run: Run, given: Arguments) -> Any:
        gpid = int(given["gpid"])
        place = f"slot {self._place(gpid):,}"
        with self._told.inside():
            result = run()
        self._told.say(steps.Arrive(self._told.places.guest_page(gpid), self._place(gpid), place))
        return result

    def _decompress(self, run: Run, given: Arguments) -> Any:
        gpid = self._told.places.gpid(int(given["ppn"]))
        with self._told.inside():
            result = run()
        self._told.say(steps.Arrive(self._told.places.guest_page(gpid), self._place(gpid), "the compression cache"))
        return result

    def _keep(self, run: Run, given: Arguments) -> Any:
        gpid, quarters = int(given["gpid"]), int(given["quarters"])
        mpn = self._place(gpid)
        with self._told.inside():
            result = run()
        where = f"the compression cache, {quarters} quarter{'s' * (quarters != 1)} of a frame"
        self._told.say(steps.Leave(self._told.places.guest_page(gpid), mpn, where))
        return result

    def _send_out(self, run: Run, given: Arguments) -> Any:
        gpid = int(given["gpid"])
        result = run()
        where = f"slot {self._place(gpid):,}"
        self._told.say(steps.Leave(self._told.places.guest_page(gpid), int(given["mpn"]), where))
        return result

    def _drop_image(self, run: Run, given: Arguments) -> Any:
        gpid = int(given["gpid"])
        mpn = self._place(gpid)
        with self._told.inside():
            is_dropped = run()
        if is_dropped:
            where = "nowhere: its guest's disk has it"
            self._told.say(steps.Leave(self._told.places.guest_page(gpid), mpn, where))
        return is_dropped

    def _request(self, run: Run, given: Arguments) -> Any:
        done = run()
        disk = self._told.places.disk(int(given["device"]))
        place, pages = int(given["place"]), int(given["pages"])
        self._told.say(steps.Request(disk, bool(given["is_write"]), place, pages, int(given["now"]), int(done)))
        return done

    def _pop(self, run: Run, given: Arguments) -> Any:
        pages = int(self._told.machine.guests.vm[int(given["vm"]), at.BALLOON_PAGES])
        self._told.say(steps.PopBalloon(pages))
        return run()

    def _read_past(self, run: Run, given: Arguments) -> Any:
        return self._past_tlbs(run, given, "read")

    def _written_past(self, run: Run, given: Arguments) -> Any:
        return self._past_tlbs(run, given, "overwritten")

    def _past_tlbs(self, run: Run, given: Arguments, how: str) -> Any:
        with self._told.inside() as inner:
            cycles = run()
        self._told.say(steps.PastTlbs(int(given["ppn"]), how, tuple(into_exits(inner))))
        return cycles

    def _choose(self, run: Run, given: Arguments) -> Any:
        gpid = run()
        self._chosen = int(gpid)
        return gpid

    def _guest_page_out(self, run: Run, given: Arguments) -> Any:
        with self._told.inside() as inner:
            place = run()
        if place != NO_SLOT:
            page = self._told.places.guest_page(self._chosen)
            self._told.say(steps.GuestPageOut(page, _place_of(int(place)), tuple(inner)))
        return place

    def _guest_page_in(self, run: Run, given: Arguments) -> Any:
        slot = int(self._told.machine.guests.tables[int(given["leaf"])]) >> at.PPN_SHIFT
        return self._from_slot(run, slot & at.PPN_MASK)

    def _shared_page_in(self, run: Run, given: Arguments) -> Any:
        held = int(self._told.machine.files.cached[int(given["page"])])
        return self._from_slot(run, -1 - held) if held < 0 else run()

    def _from_slot(self, run: Run, slot: int) -> Any:
        with self._told.inside() as inner:
            result = run()
        self._told.say(steps.GuestPageIn(slot, tuple(inner)))
        return result

    def _place(self, gpid: int) -> int:
        """Return the frame of a page, or its place outside memory."""
        return int(self._told.machine.host.pmap[gpid]) >> at.MPN_SHIFT


def _place_of(place: int) -> str:
    """Say where a page goes that the guest pages out."""
    if place == AT_ONCE:
        return "nowhere: its file has it"
    return f"page {place - IN_FILE:,} of its disk's files" if place >= IN_FILE else f"slot {place:,}"
