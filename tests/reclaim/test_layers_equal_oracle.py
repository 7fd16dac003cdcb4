"""Victims of every policy, one by one, as naive lists and dictionaries choose them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layers import ENTER, KEY, LEAVE, NOBODY, REFER, VICTIM, Step, naive, play
from oracle.replacement import TwoList, misses

from vmcfg.reclaim.layer import new_layer
from vmcfg.reclaim.replacement import POLICIES
from vmcfg.reclaim.replay import replay

PAGES = (9, 1, 70)  # of three owners

# What is asked for: which kind of step, whose, and a number that says which of his pages.
KINDS = [ENTER] * 8 + [REFER] * 12 + [VICTIM] * 4 + [LEAVE]
wishes = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 3), st.integers(0, 69)), min_size=50, max_size=600
)  # fmt: skip


def random_wishes(count: int) -> list[tuple[int, int, int]]:
    """Return so many of them."""
    random = np.random.default_rng(1)
    kinds = random.choice(KINDS, count)
    return list(zip(kinds, random.integers(0, 4, count), random.integers(0, 70, count), strict=True))


def steps_of(policy: str, wanted: list[tuple[int, int, int]]) -> tuple[list[Step], list[int]]:
    """Return steps that make sense (resident pages are referred to, absent ones enter), and the naive victims."""
    oracles: list[Any] = [naive(policy) for _ in PAGES]
    residents: list[set[int]] = [set() for _ in PAGES]
    steps, victims = [], []
    for when, (what, number, page) in enumerate(wanted):
        owner = min(number, 2)
        oracle, resident = oracles[owner], residents[owner]
        page = sum(PAGES[:owner]) + page % PAGES[owner]
        if what in (ENTER, REFER):
            what = REFER if page in resident else ENTER
        due = when + 7919 * page % 97 if policy == "opt" else when  # any next uses will do, equal ones too
        steps.append(Step(what, owner, page, due))
        if what == ENTER:
            oracle.enter(page, due)
            resident.add(page)
        elif what == REFER:
            oracle.refer(page, due)
        elif what == LEAVE:
            oracle.leave(page)
            resident.discard(page)
        else:
            page = oracle.victim()
            victims.append(NOBODY if page is None else page)
            resident.discard(page)
    return steps, victims


@pytest.mark.parametrize("policy", POLICIES)
def test_victims_are_those_of_the_naive_policy(policy: str) -> None:
    """Three owners, pages that leave while they are resident or after, and victims asked of whoever has none."""

    @given(wishes)
    @settings(max_examples=60)
    def is_equal(wanted: list[tuple[int, int, int]]) -> None:
        steps, expected = steps_of(policy, wanted)
        assert expected == play(new_layer(POLICIES[policy], PAGES, [KEY] * 3), steps)

    is_equal()


@pytest.mark.parametrize("policy", POLICIES)
def test_long_sequences_have_the_victims_of_the_naive_policy(policy: str) -> None:
    """Long enough that pages come back after they were freed, in any order."""
    steps, expected = steps_of(policy, random_wishes(20_000))
    assert expected == play(new_layer(POLICIES[policy], PAGES, [KEY] * 3), steps)


@pytest.mark.parametrize("capacity", [300, 800, 1500])
@pytest.mark.parametrize("batch", [1, 64])
def test_two_lists_of_many_pages_miss_as_often_as_naive_ones(capacity: int, batch: int) -> None:
    """Enough active pages that it matters with which priority a reclaim begins: four of five accesses to 500 pages."""
    random = np.random.default_rng(3)
    is_hot = random.random(30_000) < 0.8
    pages = np.where(is_hot, random.integers(0, 500, 30_000), random.integers(500, 4000, 30_000)).astype(np.uint32)
    assert misses(TwoList(), pages.tolist(), capacity, batch) == replay(pages, capacity, "two_list", batch=batch)


@pytest.mark.parametrize("policy", ["lru2", "lru2_history"])
def test_a_freed_page_has_no_second_last_access(policy: str) -> None:
    """Page 1 is accessed at 0 and 1; page 0 at 2, freed, and accessed at 4, as if for the first time: it goes first."""
    steps, expected = steps_of(policy, [(ENTER, 0, 1), (REFER, 0, 1), (ENTER, 0, 0), (LEAVE, 0, 0), (ENTER, 0, 0),
                                        (VICTIM, 0, 0), (VICTIM, 0, 0)])  # fmt: skip
    assert [0, 1] == expected == play(new_layer(POLICIES[policy], PAGES, [KEY] * 3), steps)


@pytest.mark.parametrize("policy", POLICIES)
def test_as_plain_python_the_verbs_leave_the_same_behind(policy: str) -> None:
    """Every word of every array, with every index checked."""
    steps, _ = steps_of(policy, random_wishes(1000))
    compiled, plain = (new_layer(POLICIES[policy], PAGES, [KEY] * 3) for _ in range(2))
    assert play(compiled, steps) == play(plain, steps, plain=True)
    for name, array in compiled._asdict().items():
        assert array.tolist() == getattr(plain, name).tolist(), name
