"""What somebody may have meant whose quantity cannot be read.

Only errors come here. Each function takes the value as YAML gave it and returns a hint, or an empty text.
"""

from __future__ import annotations

import re
from typing import Any

_ALMOST = re.compile(r"([-+]?[0-9.,_]+)\s*(\D*)", re.ASCII)
_NUMBER = re.compile(r"(0|[1-9][0-9]*)(\.[0-9]+)?", re.ASCII)
_SIZES = ("B", "KiB", "MiB", "GiB", "TiB")
_TIMES = ("ns", "us", "ms", "s", "min", "h")
_TIME_WORDS = {
    "nsec": "ns", "µs": "us", "μs": "us", "usec": "us", "msec": "ms", "millisecond": "ms", "sec": "s", "second": "s",
    "minute": "min", "mins": "min", "hour": "h", "hr": "h",
}


def size(value: Any) -> str:
    """Say what a size lacks, or which one it may be."""
    number, unit = _split(value)
    if not _NUMBER.fullmatch(number):
        return _number(number)
    if unit == "":
        return f"a size needs a unit: {number}B, {number}KiB, {number}MiB or {number}GiB"
    power = "BKMGT".find(unit[0].upper())
    if power < 1 or unit[1:].lower() not in ("", "b", "i", "ib"):
        return _unit(number, unit, _SIZES)
    if unit[1:].lower() in ("i", "ib"):
        return f"write {number}{_SIZES[power]}"
    decimal = f"{int(number) * 1000**power}B" if number.isdigit() else f"{number} times {1000**power} bytes"
    return f"'{unit}' has two readings: write {number}{_SIZES[power]}, or {decimal} for powers of 1000"


def duration(value: Any) -> str:
    """Say what a duration lacks, or which one it may be."""
    number, unit = _split(value)
    if isinstance(value, str) and re.fullmatch(r"[0-9]+(:[0-9]+){1,2}", value):
        return "write it in one unit, such as 90min"
    if not _NUMBER.fullmatch(number):
        return _number(number)
    if unit == "":
        return f"a duration needs a unit: {number}us, {number}ms or {number}s"
    if unit == "m":
        return f"'m' has two readings: write {number}min or {number}ms"
    word = unit.lower() if unit.lower() in _TIME_WORDS else unit.lower().removesuffix("s")
    return f"write {number}{_TIME_WORDS[word]}" if word in _TIME_WORDS else _unit(number, unit, _TIMES)


def count(value: Any) -> str:
    """Say how a count is written."""
    number, unit = _split(value)
    if number and not _NUMBER.fullmatch(number):
        return _number(number)
    if isinstance(value, int | float):
        return "write whole numbers without a point or exponent" if isinstance(value, float) else ""
    return "thousands, millions and billions are k, M and G" if unit else ""


def rate(value: Any) -> str:
    """Say what a rate lacks."""
    number, unit = _split(value)
    if number and unit in ("", "Hz", "k", "M", "G", "kHz", "MHz", "GHz"):
        return f"a rate needs a unit of time: {number}{unit.removesuffix('Hz')}/s"
    return f"units of time are {', '.join(_TIMES)}"


def bandwidth(value: Any) -> str:
    """Say what a bandwidth lacks."""
    number, unit = _split(value)
    if number and unit in _SIZES:
        return f"a bandwidth needs a unit of time: {number}{unit}/s"
    return f"units of time are {', '.join(_TIMES)}"


def share(value: Any) -> str:
    """Say what a percentage lacks."""
    number, unit = _split(value)
    if unit == "%":
        return _number(number)
    if isinstance(value, float) and 0 <= value <= 1:
        return f"a share needs a percent sign: {value * 100:.6g}%"
    return f"a share needs a percent sign: {number}%" if number else ""


def _split(value: Any) -> tuple[str, str]:
    """The number and the unit of something that is almost a quantity."""
    is_number = isinstance(value, str | int | float) and not isinstance(value, bool)
    match = _ALMOST.fullmatch(str(value)) if is_number else None
    return (match[1], match[2].strip()) if match else ("", "")


def _number(number: str) -> str:
    if "_" in number or "," in number:
        return f"write the digits without separators: {number.replace('_', '').replace(',', '')}"
    if number.startswith(("-", "+")):
        return "write the number without a sign"
    return "leave leading zeros out" if re.match(r"0[0-9]", number) else ""


def _unit(number: str, unit: str, units: tuple[str, ...]) -> str:
    """Units are case-sensitive, and stand next to their number."""
    same = [known for known in units if known.lower() == unit.lower()]
    return f"write {number}{same[0]}" if same else f"the units are {', '.join(units)}"
