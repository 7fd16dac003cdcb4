"""What a bare word means: YAML 1.2's core rules, and nothing of YAML 1.1.

PyYAML resolves by 1.1, where `no` is false, `12:30:45` is 45045 and `010` is 8, while editors and other checkers
read the same file by 1.2. Here a file has one meaning: only true and false are booleans, numbers are decimal,
0x or 0o, and everything else is text.
"""

from __future__ import annotations

import re
from typing import Any

from vmcfg.scenario.document import Decimal

LONGEST_NUMBER = 100  # digits; Python refuses to convert more than 4,300, and nothing here needs 100

_WORDS = {word: value for value, words in ((None, "null Null NULL ~"), (True, "true True TRUE"),
                                           (False, "false False FALSE")) for word in words.split()}
_DECIMAL = re.compile(r"[-+]?[0-9]+", re.ASCII)
_BASED = re.compile(r"0x[0-9a-fA-F]+|0o[0-7]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_NO_NUMBER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


class ScalarError(ValueError):
    """A bare word that YAML reads as a number which no scenario can mean."""


def resolve(text: str) -> Any:
    """The value of a bare (unquoted) scalar. Raises ScalarError for NaN, infinities and endless numbers."""
    if text == "":
        return None
    if text in _WORDS:
        return _WORDS[text]
    if _NO_NUMBER.fullmatch(text):
        raise ScalarError(f"found {text}, expected a finite number")
    if _DECIMAL.fullmatch(text):
        return int(_short(text))
    if _BASED.fullmatch(text):
        return int(_short(text), 0)
    if _FLOAT.fullmatch(text):
        return _finite(Decimal(_short(text)))
    return text


def describe(value: Any) -> str:
    """Names a value in an error message, in the words of YAML."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{shorten(value)}'"
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return str(value)


def shorten(text: str, longest: int = 60) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _short(text: str) -> str:
    if len(text) > LONGEST_NUMBER:
        raise ScalarError(f"found a number of {len(text)} characters, expected at most {LONGEST_NUMBER}")
    return text


def _finite(number: Decimal) -> Decimal:
    if number in (float("inf"), float("-inf")):
        raise ScalarError(f"found {number.text}, expected a number that a computer can hold")
    return number
