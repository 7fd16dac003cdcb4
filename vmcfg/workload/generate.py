"""Batches of accesses: pages picked by patterns, stores drawn from the vCPU's stream, traces copied from records.

Touch i of a vCPU uses the words 4i … 4i + 3 of its stream: page, line, kind, spare. A batch is generated
before it is simulated because a loop that only draws keeps several draws in flight, and because the walker can
then look ahead. Nothing is filtered on the way: what is generated is simulated, one access at a time.
"""

from __future__ import annotations

import numpy as np

from vmcfg.jit import by_reference, entry, kernel, part
from vmcfg.rng import chance, word
from vmcfg.vmm import machine as at
from vmcfg.workload import fields as work
from vmcfg.workload.patterns import hot_cold, mixture, pointer_chase, sequential, stride, uniform, zipf
from vmcfg.workload.patterns.drawn import KIND_WORD, WORDS, drawn_of
from vmcfg.workload.patterns.order import scatter, vpn_of


@entry
def fill_buffer(machine, vcpu):
    """Fill a vCPU's buffer; return how many accesses there are."""
    m = by_reference(machine)
    generate(m, vcpu)
    return m.vcpu[vcpu, at.BUFFERED]


@part
def generate(m, vcpu):
    """Fill the vCPU's buffer with its next accesses, to the end of its phase at most."""
    phase = m.vcpu[vcpu, at.PHASE]
    first = m.vcpu[vcpu, at.RETIRED]
    count = min(at.BATCH, m.vcpu[vcpu, at.PHASE_END] - first)
    kind = m.work.phases[phase, work.KIND]
    if kind == work.TRACE:
        _copy_records(m, vcpu, phase, count)
    else:
        if kind == work.MIXTURE:
            _mix(m, vcpu, phase, first, count)
        else:
            _draw_pages(m, vcpu, phase, first, count)
        _draw_stores(m, vcpu, phase, first, count)
    m.vcpu[vcpu, at.NEXT] = 0
    m.vcpu[vcpu, at.BUFFERED] = count


@kernel
def _draw_pages(m, vcpu, phase, first, count):
    """Draw ranks in a loop of each pattern's own, then scatter them; ranks that are pages are put in place at once."""
    drawn = drawn_of(m, phase)
    key = m.work.stream[vcpu]
    buffer = m.work.buffer
    nth = first - m.vcpu[vcpu, at.PHASE_FIRST]
    base = np.int64(0) if drawn.scatter_bits else drawn.first_vpn
    if drawn.kind == work.UNIFORM:
        for j in range(count):
            buffer[vcpu, j] = base + uniform.rank(m, drawn, key, np.uint64(first + j), nth + j)
    elif drawn.kind == work.HOT_COLD:
        for j in range(count):
            buffer[vcpu, j] = base + hot_cold.rank(m, drawn, key, np.uint64(first + j), nth + j)
    elif drawn.kind == work.ZIPF:
        for j in range(count):
            buffer[vcpu, j] = base + zipf.rank(m, drawn, key, np.uint64(first + j), nth + j)
    elif drawn.kind == work.STRIDE:
        position = stride.position(drawn, nth)
        for j in range(count):
            buffer[vcpu, j] = base + (position >> stride.PAGE_SHIFT)
            position = stride.following(drawn, position)
    else:  # in sequence, which a chase scatters
        rank = sequential.rank(m, drawn, key, np.uint64(first), nth)
        for j in range(count):
            buffer[vcpu, j] = base + rank
            rank = sequential.following(drawn, rank)
    if drawn.scatter_bits:
        for j in range(count):
            place = scatter(drawn.scatter, drawn.scatter_bits, drawn.pages, buffer[vcpu, j])
            buffer[vcpu, j] = drawn.first_vpn + place


@kernel
def _mix(m, vcpu, phase, first, count):
    """Draw each touch from the part that the mixture chooses."""
    if first == m.vcpu[vcpu, at.PHASE_FIRST]:
        mixture.begin(m, vcpu, phase)
    for j in range(count):
        touch = np.uint64(first + j)
        part = mixture.choose(m, vcpu, phase, touch)
        row = m.work.phases[phase, work.FIRST_PART] + part
        m.work.buffer[vcpu, j] = _page(m, row, m.work.stream[vcpu], touch, mixture.advance(m, vcpu, part))


@part
def _page(m, row, key, touch, nth):
    """Return the virtual page of one touch of a pattern."""
    drawn = drawn_of(m, row)
    if drawn.kind == work.UNIFORM:
        rank = uniform.rank(m, drawn, key, touch, nth)
    elif drawn.kind == work.SEQUENTIAL:
        rank = sequential.rank(m, drawn, key, touch, nth)
    elif drawn.kind == work.HOT_COLD:
        rank = hot_cold.rank(m, drawn, key, touch, nth)
    elif drawn.kind == work.ZIPF:
        rank = zipf.rank(m, drawn, key, touch, nth)
    elif drawn.kind == work.STRIDE:
        rank = stride.rank(m, drawn, key, touch, nth)
    else:
        rank = pointer_chase.rank(m, drawn, key, touch, nth)
    return vpn_of(drawn, rank)


@kernel
def _draw_stores(m, vcpu, phase, first, count):
    share = m.work.phases[phase, work.WRITE_PPM]
    key = m.work.stream[vcpu]
    buffer = m.work.buffer
    load = np.int64(at.LOAD) << at.KIND_SHIFT
    store = np.int64(at.STORE) << at.KIND_SHIFT
    if share == 0:
        for j in range(count):
            buffer[vcpu, j] = (buffer[vcpu, j] << at.VPN_SHIFT) | load
        return
    most = chance(np.uint64(share))
    for j in range(count):
        drawn = word(key, np.uint64(first + j) * WORDS + KIND_WORD)
        kind = store if drawn <= most else load
        buffer[vcpu, j] = (buffer[vcpu, j] << at.VPN_SHIFT) | kind


@kernel
def _copy_records(m, vcpu, phase, count):
    first = m.work.phases[phase, work.FIRST_RECORD]
    length = m.work.phases[phase, work.RECORDS]
    pages = m.work.phases[phase, work.FIRST_INDEX]
    position = (m.vcpu[vcpu, at.RETIRED] - m.vcpu[vcpu, at.PHASE_FIRST]) % length
    buffer, records, vpns = m.work.buffer, m.work.records, m.work.vpns
    for j in range(count):
        record = np.int64(records[first + position])
        vpn = vpns[pages + (record >> 2)]
        buffer[vcpu, j] = (vpn << at.VPN_SHIFT) | ((record & 3) << at.KIND_SHIFT)
        position = position + 1 if position + 1 < length else np.int64(0)
