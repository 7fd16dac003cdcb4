"""Colours for the lines of an access, by what a line is about."""

from __future__ import annotations

from collections.abc import Callable

CODES = {"title": "1", "guest": "36", "host": "33", "shadow": "33", "hit": "32", "quiet": "2", "event": "35"}

Paint = Callable[[str, str], str]
"""(text, style) → text; a style is title, guest, host, shadow, hit, quiet, event or plain."""


def unpainted(text: str, style: str) -> str:
    """Return the text as it is."""
    return text


def in_colour(text: str, style: str) -> str:
    """Paint for a terminal."""
    code = CODES.get(style)
    return f"\x1b[{code}m{text}\x1b[0m" if code and text else text
