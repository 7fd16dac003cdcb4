"""Quantities as people write them, and the exact integers that they mean.

Integers of the smallest unit (bytes, nanoseconds, touches, parts per million) and no floats: `1.5GiB` is exact,
`0.1B` is refused. Units are required, case-sensitive and have one meaning, because `M` and `m` mean four different
things in the tools around us; the hint then gives the readings to choose from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import gcd
from typing import Any

from vmcfg import unit_hints

SIZES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
TIMES = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9}
COUNTS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
MILLION = 1_000_000
PAGE_BYTES = 4096
LONGEST = 40  # characters of a quantity; far more than any exact value needs
DECIMALS = 6  # digits after the point of a plain decimal

_NUMBER = re.compile(r"(0|[1-9][0-9]*)(?:\.([0-9]+))?", re.ASCII)


class QuantityError(ValueError):
    """A quantity that cannot be read: `expected` completes "found …, expected …", `hint` helps on."""

    def __init__(self, expected: str, hint: str = ""):
        super().__init__(f"expected {expected}")
        self.expected = expected
        self.hint = hint


def parse(kind: str, value: Any) -> Any:
    """Reads a value of the given kind (a key of `PARSERS`). Raises QuantityError."""
    return PARSERS[kind](value)


BOUNDED = "size", "duration", "bandwidth", "count", "share"


def amount(value: Any) -> tuple[str, int] | None:
    """Reads what a bound may be said of: its kind, the first of `BOUNDED` that it can be, and its number; or None.

    Only quantities of one kind compare: a second is neither more nor less than a byte.
    """
    for kind in BOUNDED:
        try:
            return kind, parse(kind, value)
        except QuantityError:
            continue
    return None


def parse_size(value: Any) -> int:
    """Bytes from `4GiB`, `1.5MiB`, `512B`."""
    expected = "a size such as 512MiB or 4GiB"
    return _scaled(value, SIZES, expected, unit_hints.size, "bytes")


def parse_pages(value: Any) -> int:
    """Pages of 4 KiB from a size that is a whole number of them."""
    size_bytes = parse_size(value)
    pages, rest = divmod(size_bytes, PAGE_BYTES)
    if rest:
        below, above = format_size(pages * PAGE_BYTES), format_size((pages + 1) * PAGE_BYTES)
        raise QuantityError("whole pages of 4KiB", f"the nearest are {below} and {above}")
    return pages


def parse_duration(value: Any) -> int:
    """Nanoseconds from `100us`, `1.5s`, `2h`."""
    expected = "a duration such as 100ms or 60s"
    return _scaled(value, TIMES, expected, unit_hints.duration, "nanoseconds")


def parse_count(value: Any) -> int:
    """A number of things from `1000000`, `10M`, `2.5k`."""
    expected = "a count such as 1000000 or 10M"
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return _scaled(value, COUNTS, expected, unit_hints.count, "")


def parse_count_or_duration(value: Any) -> tuple[str, int]:
    """`("count", n)` or `("duration", nanoseconds)`, told apart by the unit."""
    try:
        return "count", parse_count(value)
    except QuantityError as error:
        hint = error.hint
    try:
        return "duration", parse_duration(value)
    except QuantityError as error:
        hint = error.hint if isinstance(value, str) else hint
        raise QuantityError("a count such as 100k or a duration such as 100ms", hint) from None


def parse_rate(value: Any) -> tuple[int, int]:
    """A rate from `20000/s` or `1.5k/min`, as touches and seconds in lowest terms."""
    expected = "a rate such as 20000/s"
    count, slash, unit = value.partition("/") if isinstance(value, str) else ("", "", "")
    if not slash or unit not in TIMES:
        raise QuantityError(expected, unit_hints.rate(value))
    touches = _scaled(count, COUNTS, expected, unit_hints.count, "") * 10**9
    if touches == 0:
        raise QuantityError("a rate above zero", "leave out what never happens")
    common = gcd(touches, TIMES[unit])
    return touches // common, TIMES[unit] // common


def parse_bandwidth(value: Any) -> int:
    """Bytes per second from `40MiB/s`, a whole number of them."""
    expected = "a bandwidth such as 40MiB/s"
    size, slash, unit = value.partition("/") if isinstance(value, str) else ("", "", "")
    if not slash or unit not in TIMES:
        raise QuantityError(expected, unit_hints.bandwidth(value))
    per_second, rest = divmod(_scaled(size, SIZES, expected, unit_hints.size, "bytes") * 10**9, TIMES[unit])
    if rest or per_second == 0:
        raise QuantityError("a whole number of bytes per second, above zero")
    return per_second


def parse_share(value: Any) -> int:
    """Parts per million from `30%` or `0.25%`."""
    expected = "a share such as 30%"
    ppm = _scaled(value, {"%": MILLION // 100}, expected, unit_hints.share, "parts per million")
    if ppm > MILLION:
        raise QuantityError("at most 100%")
    return ppm


def parse_address(value: Any) -> int:
    """An address from `0x7f0000000000` or a plain integer."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and re.fullmatch(r"0x[0-9a-fA-F]{1,16}", value):
        return int(value, 16)
    raise QuantityError("an address such as 0x40000000")


def parse_decimal(value: Any) -> str:
    """An exact decimal in its shortest form from `0.8`, `1`, `1.20`: the text, never a float."""
    text = value if isinstance(value, str) else str(value)
    expected = f"a decimal of at most {DECIMALS} places such as 0.8"
    match = _NUMBER.fullmatch(text) if not isinstance(value, bool) and len(text) <= LONGEST else None
    if match is None:
        raise QuantityError(expected)
    places = (match[2] or "").rstrip("0")
    if len(places) > DECIMALS:
        raise QuantityError(expected, "more digits would not be exact")
    return match[1] + ("." + places if places else "")


def parse_tolerance(value: Any) -> tuple[str, str]:
    """`("share", "0.03")` from `3%`, of the value itself; `("amount", "0.5")` from `0.5`, in its unit."""
    try:
        if not isinstance(value, str) or not value.endswith("%"):
            return "amount", parse_decimal(value)
        millionths = parse_share(value)
        return "share", parse_decimal(f"{millionths // MILLION}.{millionths % MILLION:06d}")
    except QuantityError:
        raise QuantityError("a decimal such as 0.5 or a percentage such as 3%") from None


PARSERS: dict[str, Callable[[Any], Any]] = {
    "size": parse_size,
    "pages": parse_pages,
    "duration": parse_duration,
    "count": parse_count,
    "count_or_duration": parse_count_or_duration,
    "rate": parse_rate,
    "bandwidth": parse_bandwidth,
    "share": parse_share,
    "address": parse_address,
    "decimal": parse_decimal,
    "tolerance": parse_tolerance,
}


def format_size(size_bytes: int) -> str:
    """The shortest exact way to write a size: `parse_size(format_size(x)) == x`."""
    return _largest(size_bytes, SIZES)


def format_duration(time_ns: int) -> str:
    """The shortest exact way to write a duration in one unit."""
    return _largest(time_ns, TIMES)


def format_count(count: int) -> str:
    return _largest(count, COUNTS)


def format_share(ppm: int) -> str:
    """Writes parts per million as the shortest percentage that is exact."""
    whole, rest = divmod(ppm, MILLION // 100)
    return f"{whole}.{rest:04d}".rstrip("0").rstrip(".") + "%"


def format_rate(touches: int, seconds: int) -> str:
    """Writes touches / seconds in the unit in which the count is exact."""
    for unit in ("s", "min", "h", "ms", "us", "ns"):
        count, rest = divmod(touches * TIMES[unit], seconds * 10**9)
        if rest == 0:
            return f"{format_count(count)}/{unit}"
    raise ValueError(f"{touches}/{seconds} s has no exact unit")


def format_bandwidth(bytes_per_second: int) -> str:
    return f"{format_size(bytes_per_second)}/s"


def _scaled(value: Any, units: Mapping[str, int], expected: str, hint: Callable[[Any], str], smallest: str) -> int:
    """`digits.places` times a unit, exactly, or QuantityError."""
    match = _NUMBER.match(value) if isinstance(value, str) and len(value) <= LONGEST else None
    if match is None or value[match.end() :] not in units:
        raise QuantityError(expected, hint(value))
    places = match[2] or ""
    scaled, rest = divmod(int(match[1] + places) * units[value[match.end() :]], 10 ** len(places))
    if rest:
        whole = f"a whole number of {smallest}" if smallest else "a whole number"
        raise QuantityError(whole, f"{value} is not exact")
    return scaled


def _largest(amount: int, units: Mapping[str, int]) -> str:
    unit = max((unit for unit in units if amount % units[unit] == 0), key=units.__getitem__)
    if amount == 0:
        unit = min(units, key=units.__getitem__)
    return f"{amount // units[unit]}{unit}"
