"""Guesses what somebody meant who wrote a name that does not exist."""

from __future__ import annotations

from collections.abc import Iterable

COMPARED = 50  # names; comparing thousands with thousands would take minutes


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that looks most like the name, if any does; of very many, those of like beginning and length."""
    from difflib import get_close_matches

    names = sorted(candidates)
    if len(names) > COMPARED:
        names = sorted(names, key=lambda other: (other[:1] != name[:1], abs(len(other) - len(name))))[:COMPARED]
    by_lower = {candidate.lower(): candidate for candidate in names}
    matches = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[matches[0]] if matches else None


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """A hint that names the nearest candidate, or a few of them."""
    names = list(candidates)
    found = nearest(name, names)
    if found:
        return f"did you mean '{found}'?"
    names.sort()
    return f"there is {one_of(names)}" if names else ""


def one_of(names: Iterable[object], word: str = "and", most: int = 12) -> str:
    """`a, b and c`, cut short when there are many."""
    listed = [str(name) for name in names]
    if len(listed) > most:
        return ", ".join(listed[:most]) + f", … ({len(listed)} in all)"
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} {word} {listed[-1]}" if listed else ""
