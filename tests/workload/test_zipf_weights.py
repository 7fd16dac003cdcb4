"""The weights of Zipf's law are the integers that its definition says, whatever the machine's `pow` returns."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmcfg.workload import zipf

ALPHAS = ["0.5", "0.8", "0.99", "1", "1.2", "2"]


def scale(n):
    """Return k, in floats small enough to be exact."""
    return 62 - int(np.ceil(np.log2(n)))


def is_floor(value, k, rank, alpha):
    """Tell by integers alone whether value = floor(2^k · rank^-alpha): value^q · rank^p ≤ 2^(kq) < (value + 1)^q …"""
    p, q = alpha.numerator, alpha.denominator
    return value**q * rank**p <= 1 << (k * q) < (value + 1) ** q * rank**p


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("n", [1, 2, 3, 1000, 65536])
def test_each_weight_is_the_floor_of_the_real_number(n, alpha):
    """Every rank of the small laws, a thousand ranks of the large one."""
    found = zipf.weights(n, alpha)
    assert (np.int64, n) == (found.dtype, len(found))
    for rank in sorted({*range(1, min(n, 300) + 1), *np.linspace(1, n, 700).astype(int).tolist()}):
        assert is_floor(int(found[rank - 1]), scale(n), rank, Fraction(alpha))


@given(st.integers(1, (1 << 31) - 1), st.integers(1, 400), st.integers(30, 62))
@settings(max_examples=300, deadline=None)
def test_a_weight_alone_is_exact_for_any_rank_and_exponent(rank, hundredths, k):
    """Exponents of two decimals, where powers of integers are still quick to compute."""
    alpha = Fraction(hundredths, 100)
    assert is_floor(zipf.floor_of_power(k, rank, alpha), k, rank, alpha)


@given(st.integers(3, 1 << 20), st.integers(1, 400))
@settings(max_examples=100, deadline=None)
def test_too_few_digits_are_noticed_and_doubled(rank, hundredths):
    """Begun with 20 digits, of which the value's own magnitude takes 19, the result is the same."""
    alpha = Fraction(hundredths, 100)
    wanted = zipf.floor_of_power(61, rank, alpha)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zipf, "_FIRST_DIGITS", 20)
        assert wanted == zipf.floor_of_power(61, rank, alpha)


def test_powers_of_two_are_decided_by_their_exponents():
    """2^40 · 16^-0.75 = 2^37 exactly: digits could never tell; 2^40 · 4^-40 is below one."""
    assert 1 << 37 == zipf.floor_of_power(40, 16, Fraction("0.75"))
    assert zipf.floor_of_power(40, 4, Fraction(40)) == 0
    assert 1 << 40 == zipf.floor_of_power(40, 1, Fraction("0.123457"))


def test_six_decimals_are_as_exact_as_two():
    """0.990000 is 0.99, and 0.990001 lies below it from the second rank on."""
    near, far = zipf.weights(5000, "0.990000"), zipf.weights(5000, "0.990001")
    assert np.array_equal(zipf.weights(5000, "0.99"), near)
    assert np.all(far[1:] < near[1:])
    assert far[0] == near[0]


@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_result_does_not_depend_on_the_last_bits_of_pow(alpha, monkeypatch):
    """Sixteen units of 2^-53 up or down at random, four times what a library may be wrong by, change nothing."""
    wanted = zipf.weights(65536, alpha)
    power = np.power
    shaken = np.random.default_rng(7)

    def wrong_power(base, exponent):
        return power(base, exponent) * (1 + shaken.integers(-16, 17, len(base)) * 2.0**-53)

    monkeypatch.setattr(np, "power", wrong_power)
    assert np.array_equal(wanted, zipf.weights(65536, alpha))


def test_a_tail_below_one_weighs_one():
    """w = max(1, …): 2^46 / 65536^4 is far below one, and every rank can still be drawn."""
    found = zipf.weights(65536, "4")
    assert found[-1] == 1
    assert np.all(np.diff(found) <= 0)


def test_the_sum_of_the_weights_fits_into_63_bits():
    """n · 2^k is at most 2^62."""
    for n in (1, 2, 3, 1000, 65536, 65537):
        assert sum(zipf.weights(n, "0.5").tolist()) <= 1 << 62
