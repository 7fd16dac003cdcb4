"""Cells become text exactly: ratios are rounded half to even by integers, and JSON has the same digits."""

from __future__ import annotations

import json
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcfg.tables.column import Ratio, count, ratio, ratio_text, text

COST = ratio("cost", "cycles", 3, "A cost.", lambda row: row)
NUMBER = count("number", "things", "A number.", lambda row: row)
NAME = text("name", "A name.", lambda row: row, 8)


@pytest.mark.parametrize(
    ("expected", "numerator", "denominator", "decimals"),
    [
        ("0.12", 1, 8, 2),  # 0.125: a tie goes to the even digit
        ("0.38", 3, 8, 2),  # 0.375
        ("0", 1, 2, 0),
        ("2", 3, 2, 0),
        ("2", 5, 2, 0),
        ("0.67", 2, 3, 2),
        ("1.00", 999, 1000, 2),
        ("-0.12", -1, 8, 2),
        ("-0.12", 1, -8, 2),
        ("0.00", -1, 1000, 2),  # no minus before a zero
        ("9007199254740993.000", 9007199254740993, 1, 3),  # beyond what a float can hold
    ],
)
def test_ratios_are_rounded_half_to_even(expected: str, numerator: int, denominator: int, decimals: int) -> None:
    """A ratio has exactly its declared decimals, and a tie goes to the even digit."""
    assert expected == ratio_text(Ratio(numerator, denominator), decimals)


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**30), st.integers(0, 6))
def test_ratios_agree_with_decimal_arithmetic(numerator: int, denominator: int, decimals: int) -> None:
    """Integer arithmetic rounds as Decimal does with enough digits."""
    with localcontext() as context:
        context.prec = 120
        scaled = Fraction(numerator, denominator) * 10**decimals
        expected = (Decimal(round(scaled)) / 10**decimals).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_EVEN)
    assert expected == Decimal(ratio_text(Ratio(numerator, denominator), decimals))


@given(st.integers(0, 10**18), st.integers(1, 10**9))
def test_json_has_the_digits_of_the_text(numerator: int, denominator: int) -> None:
    """JSON holds a ratio as a number that reads exactly as in a table."""
    cell = Ratio(numerator, denominator)
    assert COST.text(cell) == COST.json(cell)
    assert Decimal(COST.text(cell)) == json.loads(COST.json(cell), parse_float=Decimal)


def test_no_value_is_a_dash_and_null() -> None:
    """n / 0 is no figure: a dash for people, null in JSON, None in Python."""
    nothing = Ratio(5, 0)
    assert ("-", "null", None) == (COST.text(nothing), COST.json(nothing), COST.value(nothing))


def test_names_and_counts_are_written_as_they_are() -> None:
    """Integers of any size have all their digits, and names that look like numbers stay names."""
    assert ("1152921504606846976", "1152921504606846976") == (NUMBER.text(1 << 60), NUMBER.json(1 << 60))
    assert ("1e5", '"1e5"') == (NAME.text("1e5"), NAME.json("1e5"))


def test_a_longer_value_pads_nothing() -> None:
    """A value is filled up to its column's width; a longer one is left whole."""
    assert ("       12345", "ab      ") == (NUMBER.pad("12345"), NAME.pad("ab"))
    assert "1234567890123" == NUMBER.pad("1234567890123")
