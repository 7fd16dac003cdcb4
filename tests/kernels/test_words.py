"""Random words, products and permutations as compiled, against Python's own integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import streams

from vmcfg.jit import entry
from vmcfg.rng import bounded, chance, mix, mulhi, stream_key, word
from vmcfg.workload.patterns.order import scatter

words = st.one_of(st.integers(0, streams.MASK), st.sampled_from((0, 1, 1 << 31, 1 << 32, 1 << 63, streams.MASK)))
SIZES = [*range(2, 70), 127, 128, 129, 1000, 1023, 1025, 4097, 65_536, 100_003]


@entry
def compute(pairs, mixed, products, drawn):  # type: ignore[no-untyped-def]
    """mix(a), the high word of a × b, and word b of the stream with the mixed key a, for each pair."""
    for i in range(len(pairs)):
        mixed[i] = mix(pairs[i, 0])
        products[i] = mulhi(pairs[i, 0], pairs[i, 1])
        drawn[i] = word(pairs[i, 0], pairs[i, 1])


@entry
def draw_all(drawn, ends, below, chances, is_chosen):  # type: ignore[no-untyped-def]
    """A draw below each end, and whether each word is chosen by each chance in parts per million."""
    for i in range(len(drawn)):
        below[i] = bounded(drawn[i], ends[i])
        is_chosen[i] = drawn[i] <= chance(chances[i])


@entry
def scatter_all(key, bits, places):  # type: ignore[no-untyped-def]
    """The place of every rank."""
    for rank in range(len(places)):
        places[rank] = scatter(key, bits, len(places), rank)


@given(st.lists(st.tuples(words, words), min_size=1))
def test_words_and_products_are_those_of_exact_integers(pairs: list[tuple[int, int]]) -> None:
    """Nothing is lost above 32 bits, where unsigned arithmetic wraps, or where types could widen to float."""
    mixed, products, drawn = (np.zeros(len(pairs), np.uint64) for _ in range(3))
    compute(np.array(pairs, np.uint64), mixed, products, drawn)
    assert [streams.mix(a) for a, _ in pairs] == mixed.tolist()
    assert [a * b >> 64 for a, b in pairs] == products.tolist()
    assert [streams.mix(a ^ streams.mix(b)) for a, b in pairs] == drawn.tolist()


@given(st.lists(st.tuples(words, st.integers(1, (1 << 32) - 1), st.integers(1, 1_000_000)), min_size=1))
def test_bounded_draws_and_chances_are_those_of_exact_integers(draws: list[tuple[int, int, int]]) -> None:
    """A word is chosen if its draw below a million is below the chance: also at the last word that is, and at 100 %."""
    edges = [((ppm << 64) // 1_000_000 + step, end, ppm) for _, end, ppm in draws for step in (-1, 0, 1)]
    draws = draws + [(word & streams.MASK, end, ppm) for word, end, ppm in edges]
    drawn, ends, chances = (np.array(column, np.uint64) for column in zip(*draws, strict=True))
    below, is_chosen = np.zeros(len(draws), np.uint64), np.zeros(len(draws), np.bool_)
    draw_all(drawn, ends, below, chances, is_chosen)
    assert [word * end >> 64 for word, end, _ in draws] == below.tolist()
    assert [word * 1_000_000 >> 64 < ppm for word, _, ppm in draws] == is_chosen.tolist()


@given(st.integers(0, streams.MASK), st.text())
def test_keys_of_streams_are_those_of_the_definition(seed: int, name: str) -> None:
    """SipHash-2-4 of the name, keyed by the seed."""
    assert streams.stream_key(seed, name) == stream_key(seed, name)


@pytest.mark.parametrize("pages", SIZES)
def test_scattering_is_a_permutation(pages: int) -> None:
    """Every page is the place of exactly one rank; two keys give two permutations."""
    places = [np.zeros(pages, np.int64) for _ in range(2)]
    for key, found in zip((0x9E3779B97F4A7C15, 3), places, strict=True):
        scatter_all(np.uint64(key), (pages - 1).bit_length(), found)
        assert list(range(pages)) == sorted(found.tolist())
    if pages > 10:
        assert places[0].tolist() != places[1].tolist()
        assert list(range(pages)) != places[0].tolist()
