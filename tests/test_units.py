"""Quantities are exact: what is written is what is meant, and what is formatted reads back the same."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcfg import units
from vmcfg.units import QuantityError


@pytest.mark.parametrize(
    ("kind", "written", "value"),
    [
        ("size", "4KiB", 4096), ("size", "1.5GiB", 3 << 29), ("size", "0B", 0), ("size", "0.5KiB", 512),
        ("size", "16TiB", 1 << 44), ("pages", "64MiB", 16384), ("pages", "4096B", 1),
        ("duration", "100us", 100_000), ("duration", "1.5s", 1_500_000_000), ("duration", "2h", 7_200 * 10**9),
        ("duration", "0.001us", 1), ("duration", "3min", 180 * 10**9),
        ("count", 5, 5), ("count", "5", 5), ("count", "10M", 10**7), ("count", "2.5k", 2500), ("count", "1G", 10**9),
        ("rate", "20000/s", (20000, 1)),
        ("rate", "1.5k/min", (25, 1)),
        ("rate", "1/h", (1, 3600)),
        ("rate", "5/ms", (5000, 1)),
        ("share", "30%", 300_000), ("share", "0.0001%", 1), ("share", "100%", 1_000_000), ("share", "0%", 0),
        ("address", "0x7f0000000000", 0x7F0000000000), ("address", 4096, 4096),
        ("decimal", 1, "1"), ("decimal", "0.80", "0.8"), ("decimal", "1.0", "1"), ("decimal", "0.000001", "0.000001"),
        ("count_or_duration", "10k", ("count", 10_000)), ("count_or_duration", "2s", ("duration", 2 * 10**9)),
    ],
)  # fmt: skip
def test_a_quantity_is_read_exactly(kind: str, written: object, value: object) -> None:
    """Integers of the smallest unit; decimals stay text."""
    assert value == units.parse(kind, written)


@pytest.mark.parametrize("kind", sorted(units.PARSERS))
@pytest.mark.parametrize(
    "written",
    [None, True, -1, [], {}, "", " ", "x", "-1s", "+1KiB", "1 KiB", " 1KiB", "1KiB ", "1,5GiB", "1_000",
     "01s", "1e3s", "1.s", ".5s",
     "1KIB", "١s", "0x", "0xg", "0.1B", "0.1ns", "1.2345k", "100.1%", "0.00001%", "1/", "/s", "1/day", "0/s",
     "0.0000001", "9" * 41 + "B"],
)  # fmt: skip
def test_what_is_not_exact_or_not_a_quantity_is_refused(kind: str, written: object) -> None:
    """With what was expected; no kind reads any of these as something else."""
    with pytest.raises(QuantityError) as raised:
        units.parse(kind, written)
    assert raised.value.expected


@pytest.mark.parametrize(
    ("kind", "written", "hint"),
    [
        ("size", "4GB", "'GB' has two readings: write 4GiB, or 4000000000B for powers of 1000"),
        ("size", "512m", "'m' has two readings: write 512MiB, or 512000000B for powers of 1000"),
        ("size", "1.5G", "'G' has two readings: write 1.5GiB, or 1.5 times 1000000000 bytes for powers of 1000"),
        ("size", 4096, "a size needs a unit: 4096B, 4096KiB, 4096MiB or 4096GiB"),
        ("size", "4gib", "write 4GiB"), ("size", "4 Gi", "write 4GiB"), ("size", "4b", "write 4B"),
        ("size", "4pages", "the units are B, KiB, MiB, GiB, TiB"), ("size", "04KiB", "leave leading zeros out"),
        ("size", "1,024KiB", "write the digits without separators: 1024"),
        ("size", "-1KiB", "write the number without a sign"),
        ("pages", "10000B", "the nearest are 8KiB and 12KiB"),
        ("duration", "5m", "'m' has two readings: write 5min or 5ms"), ("duration", "5 seconds", "write 5s"),
        ("duration", "5µs", "write 5us"),
        ("duration", "5MS", "write 5ms"),
        ("duration", "1:30:00", "write it in one unit, such as 90min"),
        ("duration", 60, "a duration needs a unit: 60us, 60ms or 60s"),
        ("duration", "5d", "the units are ns, us, ms, s, min, h"),
        ("count", "64Ki", "thousands, millions and billions are k, M and G"),
        ("count", 1.5, "write whole numbers without a point or exponent"),
        ("rate", 20000, "a rate needs a unit of time: 20000/s"),
        ("rate", "20kHz", "a rate needs a unit of time: 20k/s"),
        ("share", 0.3, "a share needs a percent sign: 30%"), ("share", 30, "a share needs a percent sign: 30%"),
    ],
)  # fmt: skip
def test_a_hint_says_what_to_write(kind: str, written: object, hint: str) -> None:
    """Both readings where there are two."""
    with pytest.raises(QuantityError) as raised:
        units.parse(kind, written)
    assert hint == raised.value.hint


@given(st.integers(0, 1 << 62))
def test_formatted_quantities_read_back_the_same(amount: int) -> None:
    """parse(format(x)) == x for every integer."""
    assert amount == units.parse_size(units.format_size(amount))
    assert amount == units.parse_duration(units.format_duration(amount))
    assert amount == units.parse_count(units.format_count(amount))


@given(st.integers(0, units.MILLION))
def test_formatted_shares_read_back_the_same(ppm: int) -> None:
    """To the part per million."""
    assert ppm == units.parse_share(units.format_share(ppm))


@given(st.integers(1, 10**12), st.sampled_from(sorted(units.TIMES)))
def test_formatted_rates_read_back_the_same(touches: int, unit: str) -> None:
    """As the same fraction in lowest terms."""
    touches, seconds = units.parse_rate(f"{touches}/{unit}")
    assert (touches, seconds) == units.parse_rate(units.format_rate(touches, seconds))


@given(st.integers(0, 10**9), st.text("0123456789", max_size=9), st.sampled_from(sorted(units.SIZES)))
def test_a_decimal_size_is_exact_or_refused(whole: int, places: str, unit: str) -> None:
    """Held against fractions: no rounding ever."""
    written = f"{whole}.{places}{unit}" if places else f"{whole}{unit}"
    exact = Fraction(f"{whole}.{places}" if places else whole) * units.SIZES[unit]
    if exact.denominator == 1:
        assert exact == units.parse_size(written)
    else:
        with pytest.raises(QuantityError):
            units.parse_size(written)
