"""Data caches: shapes that no cache has, and hosts too large for them."""

from __future__ import annotations

from contextlib import suppress

from vmcfg.scenario.findings import Findings, Path
from vmcfg.scenario.settings import Broken, Settings
from vmcfg.scenario.spec import LINE_BYTES
from vmcfg.units import PAGE_BYTES, format_size

LEVELS = ("l1", "l2", "llc")
FIGURES = ("size", "ways", "latency")
MOST_LINES = 1 << 31  # of a host, for each power of two in a cache's number of sets: its tags have 31 bits


def check(findings: Findings, settings: Settings) -> None:
    """Looks at each level of each host."""
    for name, host in settings.get("hosts", {}).items():
        with suppress(Broken):
            caches = host["cpu"]["data_caches"]
            for level in LEVELS if caches != "none" else ():
                with suppress(Broken):
                    _level(findings, ("hosts", name), level, host)


def dearest_reference(caches: Settings | str) -> int:
    """The most cycles that a reference can cost, 0 without data caches."""
    if isinstance(caches, str):
        return 0
    levels = [caches[level]["latency"] or 0 for level in LEVELS if caches[level] != "none"]
    return max(caches["memory"], *levels)


def _level(findings: Findings, path: Path, level: str, host: Settings) -> None:
    cache, at = host["cpu"]["data_caches"][level], (*path, "cpu", "data_caches", level)
    if cache == "none":
        return
    for key in FIGURES:
        if cache[key] is None:
            findings.add(at, "missing-key", f"found no '{key}', expected size, ways and latency",
                         "the profile has no cache here whose figures would fill in")
            return
    size, per_set = cache["size"], LINE_BYTES * cache["ways"]
    if size % per_set:
        findings.add((*at, "size"), "cache-shape", f"found {format_size(size)}, expected a multiple of {per_set}B",
                     f"a set is {cache['ways']} lines of {LINE_BYTES}B", [((*at, "ways"), "ways is here")])
        return
    sets = size // per_set
    most = MOST_LINES * (sets & -sets) * LINE_BYTES
    if host["memory"] * PAGE_BYTES > most:
        message = f"found {sets} sets, expected more powers of two in them for a host of this size"
        hint = f"with these sets the host may have {format_size(most)}"
        findings.add((*at, "size"), "cache-shape", message, hint, [((*path, "memory"), "the host's memory is here")])
