"""Which pages a vCPU has touched: its stream, generated once more when the run is over.

What a vCPU touches does not depend on time; only how many touches fit into a phase may. These were counted. So nothing
has to be written down during a run, and the loop over accesses knows nothing of it.
"""

from __future__ import annotations

import numpy as np

from vmcfg.engine.foresight import CHUNK, copy_of
from vmcfg.jit import by_reference, entry, pinned
from vmcfg.metrics.events import Event
from vmcfg.metrics.result import CurveResult
from vmcfg.plan.model import HostPlan
from vmcfg.reclaim.curves import MILLION, Curve, curve_of_sample, lru_curve
from vmcfg.rng import chance, mixed_key, word
from vmcfg.vmm import machine as at
from vmcfg.workload.generate import generate


def curve_result(host: HostPlan, machine: at.Machine, number: int, seed: int, rate_ppm: int) -> CurveResult:
    """Return the misses of a VM's touches by size of memory under LRU, as `rate_ppm` millionths of its pages tell."""
    pages, touches = _pages(host, machine, number, seed, rate_ppm)
    _, dense = np.unique(pages, return_inverse=True)
    numbers = dense.astype(np.int32)
    curve = lru_curve(numbers) if rate_ppm == MILLION else curve_of_sample(numbers, touches, rate_ppm)
    return CurveResult(touches, tuple((size, curve.at(size)) for size in _sizes(curve)))


def _sizes(curve: Curve) -> list[int]:
    """Return powers of two, and all pages; the smallest is the least that a sample can tell of."""
    least, most = (int(curve.capacities[place]) for place in (min(1, len(curve.capacities) - 1), -1))
    powers = (1 << bits for bits in range(most.bit_length()))
    return [*(power for power in powers if least <= power < most), most]


def _pages(host: HostPlan, machine: at.Machine, number: int, seed: int, rate_ppm: int) -> tuple[np.ndarray, int]:
    """Return the virtual page of each touch of a VM's only vCPU, of sampled pages only; and the number of touches."""
    plan = host.vms[number]
    vcpu = next(place for place, each in enumerate(host.vcpus) if each.vm == number)
    copy = copy_of(machine)
    copy.vcpu[vcpu, at.RETIRED] = 0
    counted = machine.counters[plan.first_row : plan.first_row + 1 + plan.phases, Event.TOUCHES].tolist()
    ends = [counted[0] + counted[1], *counted[2:]]  # the first phase goes on where the warm-up has ended
    kept = [np.zeros(0, np.int64)]
    for phase, touches in enumerate(ends):
        first = int(copy.vcpu[vcpu, at.RETIRED])
        copy.vcpu[vcpu, [at.PHASE, at.PHASE_FIRST, at.PHASE_END]] = plan.first_phase + phase, first, first + touches
        while copy.vcpu[vcpu, at.RETIRED] < first + touches:
            chunk = np.zeros(CHUNK, np.int64)
            kept.append(chunk[: int(_keep(pinned(copy), vcpu, mixed_key(seed, "shards"), np.uint64(rate_ppm), chunk))])
    return np.concatenate(kept), sum(ends)


@entry
def _keep(machine, vcpu, key, rate_ppm, pages):
    """Write down the sampled pages among a vCPU's next touches in its phase, as many as fit; return how many."""
    m = by_reference(machine)
    threshold = chance(rate_ppm)
    count = 0
    while count + at.BATCH <= pages.shape[0] and m.vcpu[vcpu, at.RETIRED] < m.vcpu[vcpu, at.PHASE_END]:
        generate(m, vcpu)
        for position in range(m.vcpu[vcpu, at.BUFFERED]):
            page = (m.work.buffer[vcpu, position] >> at.VPN_SHIFT) & at.VPN_MASK
            if word(key, np.uint64(page)) <= threshold:
                pages[count] = page
                count += 1
        m.vcpu[vcpu, at.RETIRED] += m.vcpu[vcpu, at.BUFFERED]
    return count
