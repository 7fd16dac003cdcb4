"""Kernels as plain Python: the decorators do nothing, and each intrinsic has a twin that says what it means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Hand back a piece of a kernel as it is."""
    return function


part = kernel


def entry(function: F) -> F:
    """Hand back a kernel as it is, but let unsigned arithmetic wrap in silence as it does when compiled."""

    def wrapped(*args: Any) -> Any:
        with np.errstate(over="ignore"):
            return function(*args)

    return wrapped


def is_compiled(function: Any) -> bool:
    """Plain functions need no compilation."""
    return True


def by_reference(machine: Any) -> Any:
    """Hand back the machine: in Python everything is a reference."""
    return machine


pinned = by_reference


def borrows(*fields: str) -> Callable[[F], F]:
    """Return a decorator that does nothing: in Python every array is read where it is."""
    return kernel


_entries: dict[int, Callable[..., Any]] = {}


def prepare(function: Any, pinned: Any) -> None:
    """Plain functions need no preparation."""


def address_of(function: Callable[..., Any], pinned: Any) -> int:
    """Return a number by which `call` finds the function."""
    _entries[id(function)] = function
    return id(function)


def call(address: int, machine: Any, number: int) -> Any:
    """Call an entry."""
    return _entries[int(address)](machine, number)


def prefetch(array: Any, index: int) -> None:
    """Do nothing: a prefetch has no result."""


def match4(tags: Any, first: int, tag: int) -> np.int64:
    """Return a mask of four bits: which of tags[first : first + 4] equal `tag`."""
    return np.int64(sum(1 << lane for lane in range(4) if tags[first + lane] == tag))


def match8(tags: Any, first: int, tag: int) -> np.int64:
    """Return a mask of eight bits: which of tags[first : first + 8] equal `tag`."""
    return np.int64(sum(1 << lane for lane in range(8) if tags[first + lane] == tag))


def match16(tags: Any, first: int, tag: int) -> np.int64:
    """Return a mask of sixteen bits: which of tags[first : first + 16] equal `tag`."""
    return np.int64(sum(1 << lane for lane in range(16) if tags[first + lane] == tag))


def to_front8(tags: Any, first: int, tag: int, last: int) -> np.int64:
    """Move `tag` to tags[first], those before it one place on; if it is absent, what stood in the last way is lost.

    Return a mask of where it was. `last` has the bit of the last way; what lies behind it stays.
    """
    end = first + int(last).bit_length()
    held = tags[first:end].tolist()
    moved = [tag, *(other for other in held if other != tag)]
    tags[first:end] = moved[: len(held)]
    return np.int64(1 << held.index(tag) if tag in held else 0)


to_front16 = to_front32 = to_front8


def count_bits(mask: Any) -> int:
    """Return how many bits of a mask are set."""
    return int(mask).bit_count()


def lowest_bit(mask: Any) -> int:
    """Return the index of the lowest set bit of a mask that is not zero."""
    mask = int(mask)
    return (mask & -mask).bit_length() - 1


def unlikely(condition: bool) -> bool:
    """Return a condition as it is."""
    return condition
