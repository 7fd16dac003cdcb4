"""Where a core's TLB entries of 2 MiB and 1 GiB are held: in a store of their own, with the others, or nowhere."""

from __future__ import annotations

from attrs import astuple

from vmcfg.engine.large_tlbs import NOWHERE
from vmcfg.hardware.core import L1, L2, LARGE_TLBS
from vmcfg.plan.model import HostPlan
from vmcfg.scenario.spec import SHARED, CacheShape


def homes_of(host: HostPlan) -> list[int]:
    """Return the stores of a core for entries of 2 MiB and 1 GiB, in the first level and in the second."""
    homes = astuple(host.large_tlbs, recurse=False) if host.large_tlbs else (None,) * 4
    usual = [L1, L1, L2, L2]
    return [_home(host, home, LARGE_TLBS + place, usual[place]) for place, home in enumerate(homes)]


def _home(host: HostPlan, home: CacheShape | str | None, own: int, usual: int) -> int:
    if home == SHARED and host.stores[usual].shape:
        return usual
    return own if isinstance(home, CacheShape) else NOWHERE
