"""Batches of accesses: patterns drawn from the vCPU's stream, traces copied from their records.

Touch i of a vCPU uses the words 4i … 4i + 3 of its stream: page, line, kind, spare. A batch is generated
before it is simulated because a loop that only draws keeps several draws in flight, and because the walker can
then look ahead. Nothing is filtered on the way: what is generated is simulated, one access at a time.
"""

from __future__ import annotations

import numpy as np

from vmcfg.jit import kernel, part
from vmcfg.rng import mix, mulhi, word
from vmcfg.vmm import machine as at
from vmcfg.workload.zipf import draw

UNIFORM, SEQUENTIAL, ZIPF, HOT_COLD, TRACE = range(5)

# Fields of work.phases[phase, field].
(
    KIND,
    FIRST_VPN,
    PAGES,
    WRITE_PPM,
    HOT_PAGES,
    HOT_SHARE_PPM,
    SCATTER_BITS,  # 0: ranks are pages
    PER_TOUCH,
    TOUCHES,  # per vCPU, UNLIMITED if open-ended
    CYCLES,  # likewise
    STEP,  # paced: cycles between touches, 0: back to back
    STEP_REMAINDER,  # per STEP_DIVISOR of a cycle
    STEP_DIVISOR,
    FIRST_RECORD,
    RECORDS,
    FIRST_INDEX,  # of the trace's pages in work.vpns
    TRACE_TOUCHES,  # records × repeats
    ZIPF_TABLE,  # row of work.zipf_shape
) = range(18)
PHASE_FIELDS = 18

MILLION = np.uint64(1_000_000)
_KIND_WORD = np.uint64(2)
_SPARE_WORD = np.uint64(3)
_FOUR = np.uint64(4)


@part
def generate(m, vcpu):
    """Fill the vCPU's buffer with its next accesses, to the end of its phase at most."""
    phase = m.vcpu[vcpu, at.PHASE]
    first = m.vcpu[vcpu, at.RETIRED]
    count = min(at.BATCH, m.vcpu[vcpu, at.PHASE_END] - first)
    kind = m.work.phases[phase, KIND]
    if kind == TRACE:
        _copy_records(m, vcpu, phase, count)
    else:
        _draw_pages(m, vcpu, phase, kind, first, count)
        _draw_stores(m, vcpu, phase, first, count)
    m.vcpu[vcpu, at.NEXT] = 0
    m.vcpu[vcpu, at.BUFFERED] = count


@kernel
def _draw_pages(m, vcpu, phase, kind, first, count):
    base = m.work.phases[phase, FIRST_VPN]
    pages = m.work.phases[phase, PAGES]
    key = m.work.stream[vcpu]
    buffer = m.work.buffer
    if kind == UNIFORM:
        for j in range(count):
            page = mulhi(word(key, np.uint64(first + j) * _FOUR), np.uint64(pages))
            buffer[vcpu, j] = base + np.int64(page)
    elif kind == SEQUENTIAL:
        place = (first - m.vcpu[vcpu, at.PHASE_FIRST]) % pages
        for j in range(count):
            buffer[vcpu, j] = base + place
            place = place + 1 if place + 1 < pages else np.int64(0)
    elif kind == HOT_COLD:
        for j in range(count):
            buffer[vcpu, j] = _hot_cold_rank(m, phase, key, np.uint64(first + j) * _FOUR)
        _place(m, vcpu, phase, count)
    else:
        places = m.work.zipf_places
        table = m.work.phases[phase, ZIPF_TABLE]
        place = (places[table, 0], places[table, 1], places[table, 2], places[table, 3])
        for j in range(count):
            buffer[vcpu, j] = _zipf_rank(m.work.zipf, place, key, np.uint64(first + j) * _FOUR)
        _place(m, vcpu, phase, count)


@kernel
def _hot_cold_rank(m, phase, key, index):
    hot = np.uint64(m.work.phases[phase, HOT_PAGES])
    share = np.uint64(m.work.phases[phase, HOT_SHARE_PPM])
    page = word(key, index)
    if mulhi(word(key, index + _SPARE_WORD), MILLION) < share:
        return np.int64(mulhi(page, hot))
    return np.int64(hot + mulhi(page, np.uint64(m.work.phases[phase, PAGES]) - hot))


@kernel
def _zipf_rank(table, place, key, index):
    """Draw until a rank is accepted: attempt a takes the same words of the stream with the key mix(key + a)."""
    rank = draw(table, place, word(key, index), word(key, index + _SPARE_WORD))
    attempt = np.uint64(0)
    while rank < 0:
        attempt += np.uint64(1)
        again = mix(key + attempt)
        rank = draw(table, place, word(again, index), word(again, index + _SPARE_WORD))
    return rank


@kernel
def _place(m, vcpu, phase, count):
    """Turn ranks into virtual pages."""
    base = m.work.phases[phase, FIRST_VPN]
    bits = m.work.phases[phase, SCATTER_BITS]
    pages = m.work.phases[phase, PAGES]
    for j in range(count):
        rank = m.work.buffer[vcpu, j]
        if bits:
            rank = scatter(m.work.scatter[phase], bits, pages, rank)
        m.work.buffer[vcpu, j] = base + rank


@kernel
def scatter(mixed_key, bits, pages, rank):
    """Return the place of `rank` under a permutation of 0 … pages - 1 (1 < pages ≤ 2^bits).

    Three rounds of xor, odd multiplication and shift are a bijection on 2^bits; walking its cycle until the
    value falls below `pages` makes one on any smaller range.
    """
    mask = (np.uint64(1) << np.uint64(bits)) - np.uint64(1)
    half = np.uint64((bits + 1) // 2)
    x = np.uint64(rank)
    while True:
        for turn in range(3):
            salt = word(mixed_key, np.uint64(turn))
            x = ((x ^ salt) * (salt | np.uint64(1))) & mask
            x ^= x >> half
        if x < np.uint64(pages):
            return np.int64(x)


@kernel
def _draw_stores(m, vcpu, phase, first, count):
    share = np.uint64(m.work.phases[phase, WRITE_PPM])
    key = m.work.stream[vcpu]
    buffer = m.work.buffer
    load = np.int64(at.LOAD) << at.KIND_SHIFT
    store = np.int64(at.STORE) << at.KIND_SHIFT
    if share == np.uint64(0):
        for j in range(count):
            buffer[vcpu, j] |= load
        return
    for j in range(count):
        kind = word(key, np.uint64(first + j) * _FOUR + _KIND_WORD)
        buffer[vcpu, j] |= store if mulhi(kind, MILLION) < share else load


@kernel
def _copy_records(m, vcpu, phase, count):
    first = m.work.phases[phase, FIRST_RECORD]
    length = m.work.phases[phase, RECORDS]
    pages = m.work.phases[phase, FIRST_INDEX]
    position = (m.vcpu[vcpu, at.RETIRED] - m.vcpu[vcpu, at.PHASE_FIRST]) % length
    buffer, records, vpns = m.work.buffer, m.work.records, m.work.vpns
    for j in range(count):
        record = np.int64(records[first + position])
        buffer[vcpu, j] = vpns[pages + (record >> 2)] | ((record & 3) << at.KIND_SHIFT)
        position = position + 1 if position + 1 < length else np.int64(0)
