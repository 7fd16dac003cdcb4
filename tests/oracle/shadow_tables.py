"""The VMM's tables under shadow paging: dictionaries of entries, found by what they follow."""

from __future__ import annotations

from dataclasses import dataclass, field

from .memory import prefix


@dataclass(eq=False)
class ShadowEntry:
    """Leads to a frame, the first of a large page above level 1, or to a shadow table; A and D are set by walks."""

    mpn: int
    writable: bool = True
    below: ShadowTable | None = None
    accessed: bool = False
    dirty: bool = False


@dataclass(eq=False)
class ShadowTable:
    """Follows the guest's table in page `table`, whose entries are for the pages that begin with `prefix`."""

    table: int
    level: int
    prefix: int
    frame: int
    entries: dict[int, ShadowEntry] = field(default_factory=dict)
    is_pieces: bool = False  # of a large page: follows one entry of a table, that of the table which leads here
    state: str = "open"  # traced: writes of the guest's table exit; unsynced: they do not, though it is followed
    writes_in_a_row: int = 0
    last_written: int = 0


@dataclass
class ShadowTables:
    """Those of one VM by the page of the guest's table; `still_traced`: by page, how many writes yet trap."""

    by_page: dict[int, ShadowTable] = field(default_factory=dict)
    still_traced: dict[int, int] = field(default_factory=dict)


def index(level: int, vpn: int) -> int:
    """Which entry of a table of `level` is on the way to a page."""
    return prefix(level, vpn) % 512
