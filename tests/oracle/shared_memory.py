"""Shared memory of a guest without a file: dictionaries by virtual page, which is the same for all of its processes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from vmcfg.scenario.spec import Region

if TYPE_CHECKING:
    from .vcpu import Vcpu


class SharedMemory:
    """A page of it is in a guest page, in a slot of the guest's swap area, or nowhere yet."""

    def __init__(self, regions: Iterable[Region] = ()) -> None:
        spans = [range(each.base_vpn, each.base_vpn + each.pages) for each in regions if each.is_shared]
        self.vpns = [vpn for span in spans for vpn in span]
        self.known = set(self.vpns)
        self.held: dict[int, int] = {}
        self.by_ppn: dict[int, int] = {}
        self.slots: dict[int, int] = {}

    def hold(self, vpn: int, ppn: int) -> None:
        self.held[vpn] = ppn
        self.by_ppn[ppn] = vpn

    def forget(self) -> None:
        """It is nowhere yet, as when the guest booted."""
        for each in (self.held, self.by_ppn, self.slots):
            each.clear()

    def drop(self, ppn: int) -> int:
        """It is in that guest page no more; returns which it was."""
        vpn = self.by_ppn.pop(ppn)
        del self.held[vpn]
        return vpn


def free_if_last(vcpu: Vcpu, vpns: Iterable[int]) -> None:
    """Nobody can come to want what the only process of a guest does not map."""
    memory, shared, guest = vcpu.memory, vcpu.memory.shared, vcpu.memory.guest
    if len(vcpu.spaces.living()) > 1:
        return
    for vpn in vpns:
        if vpn in shared.slots:
            assert guest
            guest.release(vcpu, shared.slots.pop(vpn))
        elif vpn in shared.held and shared.held[vpn] not in memory.sharers:
            ppn = shared.held[vpn]
            shared.drop(ppn)
            if guest and guest.how:
                guest.candidates.leave(ppn)
            memory.free_ppn(ppn)
