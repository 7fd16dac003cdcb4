"""A layer that is told of no access and reads bits that others set chooses as one that is told of each."""

from __future__ import annotations

import numpy as np
import pytest
from layers import ENTER, REFER, VICTIM, Step, play
from test_layers_equal_oracle import PAGES, random_wishes, steps_of

from vmcfg.reclaim.layer import Layer, new_layer
from vmcfg.reclaim.replacement import NEEDS_REFERENCES, POLICIES, READS_BITS

BIT = 1 << 5
OTHER_BITS = 0x7FFF_0FDF
STEPS = 3000


def played(layer: Layer, steps: list[Step], places: np.ndarray) -> list[int]:
    """Do all steps, but set a bit where an access would have been told."""
    victims = []
    for step in steps:
        if step.what == REFER:
            layer.accessed[places[step.page]] |= BIT
        else:
            victims += play(layer, [step])
    return victims


@pytest.mark.parametrize("policy", sorted(READS_BITS))
@pytest.mark.parametrize("is_elsewhere", [False, True], ids=["by page", "by place"])
def test_bits_in_the_words_of_others_do_as_well(policy: str, is_elsewhere: bool) -> None:
    """The bit alone is cleared; the rest of the word belongs to others. Places may be in any order."""
    steps, expected = steps_of(policy, random_wishes(STEPS))
    places = np.random.default_rng(3).permutation(sum(PAGES)) if is_elsewhere else np.arange(sum(PAGES))
    words = np.full(sum(PAGES), OTHER_BITS, np.int64)
    layer = new_layer(POLICIES[policy], PAGES, accessed=words, bit=BIT, where=places + 1 if is_elsewhere else None)
    assert expected == played(layer, steps, places)
    assert {OTHER_BITS} == set((words & ~BIT).tolist())


def test_a_page_that_is_nowhere_is_never_seen_accessed() -> None:
    """Page 0 has no word: the word that lies where its place would be says nothing about it. So it goes before 1."""
    words = np.array([BIT, BIT], np.int64)
    layer = new_layer(POLICIES["clock"], [2], accessed=words, bit=BIT, where=np.array([0, 2]))
    enter_both = [Step(ENTER, 0, 1), Step(ENTER, 0, 0)]
    assert [] == play(layer, enter_both)
    words[:] = BIT
    assert [0, 1, -1] == play(layer, [Step(VICTIM, 0)] * 3)
    assert [BIT, 0] == words.tolist()


def test_a_policy_needs_all_accesses_or_bits_or_nothing() -> None:
    """The two groups are apart, and only first-in-first-out and random are in neither."""
    assert NEEDS_REFERENCES & READS_BITS == set()
    assert {"fifo", "random"} == POLICIES.keys() - NEEDS_REFERENCES - READS_BITS
