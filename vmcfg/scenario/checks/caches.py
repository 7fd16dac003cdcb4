"""The shapes of TLBs, walk caches and the nested TLB: whole ways, and sets that their index can choose among."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from vmcfg.scenario.findings import Findings, Path
from vmcfg.scenario.settings import Broken, Settings

MOST_WAYS = 64


def check_caches(findings: Findings, path: Path, given: Any) -> None:
    """Looks at every cache at or below a path."""
    if not isinstance(given, Settings):
        return
    if "entries" in given or "ways" in given:
        _shape(findings, path, given)
        return
    for key, below in given.items():
        with suppress(Broken):
            check_caches(findings, (*path, key), below)


def _shape(findings: Findings, path: Path, cache: Settings) -> None:
    entries, ways = cache["entries"], cache["ways"]
    if entries is None:
        findings.add(path, "missing-key", "found no 'entries', expected their number", at_key=True)
    elif ways is None and entries > MOST_WAYS:
        findings.add((*path, "entries"), "cache-shape", f"found {entries} fully associative entries, expected ways",
                     f"without ways a cache is one set, and a set has at most {MOST_WAYS} entries")
    elif ways is not None and entries % ways:
        findings.add((*path, "entries"), "cache-shape", f"found {entries}, expected a multiple of the {ways} ways",
                     _nearest_multiples(entries, ways), [((*path, "ways"), "ways is here")])
    elif cache["index"] == "xor" and not _is_power_of_two(entries // (ways or entries)):
        findings.add((*path, "index"), "cache-shape", f"found xor with {entries // ways} sets, expected modulo",
                     "an exclusive-or of page-number bits needs a power of two of sets")


def _is_power_of_two(number: int) -> bool:
    return number & (number - 1) == 0


def _nearest_multiples(entries: int, ways: int) -> str:
    below = entries // ways * ways
    return f"the nearest are {below} and {below + ways}" if below else f"the nearest is {ways}"
