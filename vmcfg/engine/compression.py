"""Plan → Compression: the host's compression cache at t = 0, empty; and what must hold of it at each epoch's end."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate, pairwise

import numpy as np

from vmcfg.jit import as_python
from vmcfg.plan.disks import cache_frames
from vmcfg.plan.model import HostPlan
from vmcfg.reclaim.layer import FIFO, is_resident, new_layer
from vmcfg.rng import mixed_key
from vmcfg.vmm import compression
from vmcfg.vmm import machine as at


def compression_of(host: HostPlan, seed: int, zeros: Callable[[str], np.ndarray]) -> at.Compression:
    """Return the caches of a host's VMs; `zeros` allocates a planned array."""
    has_one = host.compression is not None
    limits = [cache_frames(host.compression, vm.vm.memory_pages) for vm in host.vms]
    rows = np.zeros((len(host.vms), compression.FIELDS), np.int64)
    rows[:, compression.LIMIT] = limits
    rows[:, compression.FIRST] = list(accumulate([0, *limits[:-1]]))
    for number, plan in enumerate(host.vms):
        if plan.vm.compresses:
            shares = plan.vm.compresses.quarter_ppm, plan.vm.compresses.half_ppm
            rows[number, [compression.QUARTER, compression.HALF]] = shares
    bounds = [*(vm.base for vm in host.vms), host.pages]
    pages = [(end - first) * has_one for first, end in pairwise(bounds)]
    return at.Compression(
        vm=rows,
        streams=np.array([mixed_key(seed, f"{vm.vm.name}/compressibility") for vm in host.vms], np.uint64),
        frames=zeros("compression.frames"),
        spare=zeros("compression.spare"),
        quarters=zeros("compression.quarters"),
        free=new_layer(FIFO, [limit * compression.QUARTERS for limit in limits]),
        entries=new_layer(FIFO, pages),
    )


def check_compression(host: HostPlan, machine: at.Machine) -> None:
    """Raise AssertionError unless each compressed page lies in just the quarters that are its own, in held frames."""
    cache, pmap = machine.compression, machine.host.pmap
    held = np.flatnonzero(cache.frames)
    frames = cache.frames[held] - 1
    assert (machine.host.kind[frames] == at.FRAME_OVERHEAD).all(), "a frame of the cache is not the VMM's"
    assert cache.vm[:, compression.HELD].sum() == len(held), "frames of caches are miscounted"
    for number, plan in enumerate(host.vms):
        first, limit = cache.vm[number, compression.FIRST], cache.vm[number, compression.LIMIT]
        quarters = cache.quarters[first * 4 : (first + limit) * 4].reshape(-1, 4)
        is_held = cache.frames[first : first + limit] != 0
        assert ((quarters != 0).any(axis=1) == is_held).all(), "an empty frame is kept, or one in use is not"
        kinds = pmap[plan.base : plan.base + plan.vm.memory_pages] & at.KIND_MASK
        compressed = (np.flatnonzero(kinds == at.COMPRESSED) + plan.base).tolist()
        places = {gpid: int(pmap[gpid] >> at.MPN_SHIFT) for gpid in compressed}
        assert all(cache.quarters[place] == gpid + 1 for gpid, place in places.items()), "a page is not in its place"
        found = np.unique(quarters[quarters != 0]).tolist()
        assert found == [gpid + 1 for gpid in compressed], "the cache holds other pages than the pmap says"
        resident = as_python(is_resident)
        assert all(resident(cache.entries, gpid) for gpid in compressed), "a compressed page is in no order"
        counted = cache.entries.owners[number, 0]
        assert counted == len(compressed), f"{counted} entries are in order, {len(compressed)} pages are compressed"
        _check_free(machine, number, quarters)


def _check_free(machine: at.Machine, number: int, quarters: np.ndarray) -> None:
    """Free halves are whole ones in their list; a free quarter beside a used one is in the other."""
    pairs = (quarters == 0).reshape(-1, 2)
    halves = pairs.all(axis=1) & np.repeat((quarters != 0).any(axis=1), 2)
    singles = pairs[:, 0] != pairs[:, 1]
    owners = machine.compression.free.owners[number]
    assert [int(singles.sum()), int(halves.sum())] == owners[:2].tolist(), "free quarters and halves are miscounted"
