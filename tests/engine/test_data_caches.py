"""The data caches of page walks, line by line: against lists, against pycachesim, and the arithmetic behind them."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from attrs import evolve
from engine.processors import data_caches
from hypothesis import given
from hypothesis import strategies as st
from machines import examples
from oracle import tiny
from oracle.lines import LINE_BYTES, lines_of_cores

from vmcfg.engine.build import build
from vmcfg.engine.turn import MOST_WALKING
from vmcfg.hardware import data_caches as lines
from vmcfg.jit import by_reference, entry
from vmcfg.metrics.events import Found
from vmcfg.mmu.tally import MOST_REFERENCES
from vmcfg.plan import compile_plan
from vmcfg.scenario.spec import DataCache, DataCaches
from vmcfg.workload.inputs import load_inputs

CORES = 2
KIB = 1024
REAL = DataCaches(
    DataCache(32 * KIB, 8, 4), DataCache(256 * KIB, 16, 14), DataCache(13 * 4096 * LINE_BYTES * 11, 11, 54), 200
)
WIDE = DataCaches(DataCache(3 * 17 * LINE_BYTES, 17, 4), None, DataCache(16 * 32 * LINE_BYTES, 32, 54), 200)
MOST_LINES = 1 << 31


@entry
def look_up_rows(all_caches, ends, cores, numbers):
    """Note rows of lines, each row from the core of its first, and look it up at its end; return the cycles of all."""
    caches = by_reference(all_caches)
    cycles = begin = np.int64(0)
    for row in range(ends.shape[0]):
        for position in range(begin, ends[row]):
            lines.note(caches, numbers[position])
        caches.noted[0] = 0
        cycles += lines.look_up(caches, cores[begin], np.int64(0), np.int64(0), ends[row] - begin)
        begin = ends[row]
    return cycles


@entry
def look_up_singly(all_caches, cores, numbers, found):
    """Look up a sequence of lines one by one, each from a core, and tell where they are found."""
    caches = by_reference(all_caches)
    for position in range(numbers.shape[0]):
        for place in range(lines.PLACES):
            caches.counts[0, place] = 0
        caches.lines[7] = numbers[position]  # a place in the middle: what lies before is nobody's business
        lines.look_up(caches, cores[position], np.int64(0), np.int64(7), np.int64(8))
        for place in range(lines.PLACES):
            if caches.counts[0, place]:
                found[position] = place


@entry
def find_sets(all_caches, numbers, firsts):
    """Tell where the last level may hold each line."""
    caches = by_reference(all_caches)
    built = lines._built(caches, lines.SHARED)
    for position in range(numbers.shape[0]):
        firsts[position] = lines._set_of(built, numbers[position], lines.ODD_OF_SIXTEEN)


def caches_of(declared: DataCaches) -> lines.DataCaches:
    """The empty data caches of a host with two cores, as a run would build them."""
    on = tiny.host("native", cpu=tiny.processor(data_caches=declared), cores=CORES)
    plan = compile_plan(tiny.scenario(tiny.vm(backing="at_start"), on=on))
    return build(plan.hosts[0], 0, load_inputs([])).data_caches


def found_in(declared: DataCaches, references: list[tuple[int, int]]) -> list[int]:
    """Where the kernels find each (core, line)."""
    found = np.zeros(len(references), np.int64)
    cores, numbers = (np.array(column, np.int64) for column in zip(*references, strict=True))
    look_up_singly(caches_of(declared), cores, numbers, found)
    return found.tolist()


def naively_found_in(declared: DataCaches, references: list[tuple[int, int]]) -> list[int]:
    cores = lines_of_cores(tiny.processor(data_caches=declared), CORES)
    names = [cores[core].read(line * LINE_BYTES)[0] for core, line in references]
    return [Found[name.upper()].value for name in names]


def stream(seed: int, count: int, most: int) -> list[tuple[int, int]]:
    """Lines of which few are much used, some near both ends of all that a host can have."""
    dice = Random(seed)
    numbers = [int(dice.paretovariate(0.3)) % most for _ in range(count)]
    return [(dice.randrange(CORES), most - 1 - line if line % 7 == 0 else line) for line in numbers]


@given(data_caches(), st.integers(0, 1000), st.sampled_from((40, 1000, MOST_LINES)))
@examples(60)
def test_lines_are_found_where_lists_find_them(declared: DataCaches, seed: int, most: int) -> None:
    """Any number of sets and up to 32 ways, levels that are not there, two cores under one last level."""
    references = stream(seed, 400, most)
    assert naively_found_in(declared, references) == found_in(declared, references)


@given(data_caches(), st.integers(0, 1000), st.lists(st.integers(1, 60), min_size=1, max_size=30))
@examples(60)
def test_rows_are_looked_up_as_line_by_line(declared: DataCaches, seed: int, sizes: list[int]) -> None:
    """However many are noted before they are looked up: the same places, in number, cycles and what is held at last."""
    dice = Random(seed)
    references = []
    for size in sizes:
        core = dice.randrange(CORES)
        references += [(core, line) for _, line in stream(dice.randrange(1000), size, 300)]
    cores, numbers = (np.array(column, np.int64) for column in zip(*references, strict=True))
    by_rows, singly = caches_of(declared), caches_of(declared)
    cycles = look_up_rows(by_rows, np.cumsum(np.array(sizes, np.int64)), cores, numbers)
    found = np.zeros(len(references), np.int64)
    look_up_singly(singly, cores, numbers, found)
    assert np.bincount(found, minlength=lines.PLACES).tolist() == by_rows.counts[0].tolist()
    assert by_rows.latency[found].sum() == cycles
    assert singly.tags.tolist() == by_rows.tags.tolist()


@pytest.mark.parametrize("declared", [REAL, WIDE], ids=["real", "wide"])
def test_a_long_stream_is_found_where_lists_find_it(declared: DataCaches) -> None:
    """Real sizes, 53,248 sets at the last level; every place is met."""
    references = stream(5, 200_000, 1 << 22)
    found = found_in(declared, references)
    assert naively_found_in(declared, references) == found
    assert {lines.L1, lines.LLC, lines.MEMORY} <= set(found)


def test_a_line_stays_above_when_the_level_below_loses_it() -> None:
    """Neither inclusive nor exclusive: the last level has one line, and evicting it takes nothing from L1."""
    one = DataCaches(DataCache(2 * LINE_BYTES, 2, 4), None, DataCache(LINE_BYTES, 1, 54), 200)
    assert [lines.MEMORY, lines.MEMORY, lines.L1] == found_in(one, [(0, 1), (0, 2), (0, 1)])


def test_cores_share_the_last_level_and_nothing_else() -> None:
    """What another core has brought in is found there, and then in one's own L1."""
    assert [lines.MEMORY, lines.LLC, lines.L1] == found_in(REAL, [(0, 7), (1, 7), (1, 7)])


@given(
    st.one_of(st.integers(1, 300), st.integers(1, 1 << 24), st.integers(0, 24).map(lambda log2: 1 << log2)),
    st.lists(st.one_of(st.integers(0, MOST_LINES - 1), st.integers(MOST_LINES - 9, MOST_LINES - 1)), min_size=1),
)
def test_the_set_of_a_line_is_the_remainder_of_a_division(sets: int, highs: list[int]) -> None:
    """A product and a shift in place of a division, exact for every line that a host may have."""
    low, odd, factor, down = lines.divide_by(sets)
    assert sets == odd << low
    near = [high // odd * odd - 1 for high in highs if high >= odd]
    numbers = np.array([high << low | high & ((1 << low) - 1) for high in (*highs, *near)], np.int64)
    caches = caches_of(REAL)
    caches.shape[lines.SHARED] = [lines.ODD_OF_SIXTEEN, 7, 1, low, odd, factor, down, 0]
    firsts = np.zeros(len(numbers), np.int64)
    find_sets(caches, numbers, firsts)
    assert [7 + 16 * (line % sets) for line in numbers.tolist()] == firsts.tolist()


@pytest.mark.parametrize("levels", [3, 2], ids=["three levels", "two levels"])
def test_counts_are_those_of_pycachesim(levels: int) -> None:
    """A simulator that others wrote finds as many lines in each level, when it is given loads only."""
    cachesim = pytest.importorskip("cachesim")
    declared = evolve(REAL, llc=DataCache(4096 * LINE_BYTES * 16, 16, 54), l2=REAL.l2 if levels == 3 else None)
    references = [(0, line) for _, line in stream(9, 60_000, 1 << 20)]
    found = found_in(declared, references)
    last = _peer(cachesim, "LLC", declared.llc, None)
    second = _peer(cachesim, "L2", declared.l2, last) if declared.l2 else last
    first = _peer(cachesim, "L1", declared.l1, second)
    memory = cachesim.MainMemory()
    memory.load_to(last)
    memory.store_from(last)
    simulator = cachesim.CacheSimulator(first, memory)
    simulator.load([line * LINE_BYTES for _, line in references], length=1)
    hits = {cache: cache.stats()["HIT_count"] for cache in (first, second, last)}
    assert hits[first] == found.count(lines.L1)
    assert hits[last] == found.count(lines.LLC)
    assert last.stats()["MISS_count"] == found.count(lines.MEMORY)
    assert (hits[second] if declared.l2 else 0) == found.count(lines.L2)


def _peer(cachesim, name: str, shape: DataCache, below):
    beyond = {"store_to": below, "load_from": below} if below else {}
    return cachesim.Cache(name, shape.sets, shape.ways, LINE_BYTES, "LRU", **beyond)


def test_all_that_a_row_of_walks_refers_to_can_be_noted() -> None:
    """A row that may walk more than once is held to so many."""
    assert MOST_WALKING * MOST_REFERENCES <= lines.MOST_NOTED
