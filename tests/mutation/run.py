"""Breaks vmcfg in one place at a time and runs a part of the suite: a mutant that no test catches is a missing test.

    python tests/mutation/run.py > vmcfg/docs/mutation.md          all mutants, some minutes
    python tests/mutation/run.py --only "dirty"                    those whose description matches

Works on a copy of the checkout, with kernels as plain Python, which need no compilation. Prints a Markdown table;
the exit code is 1 if a mutant survives, 2 if the unbroken copy fails or a mutant's text is not found exactly once.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from mutants import MUTANTS as GENERAL
from mutants import Mutant
from mutants_of_pressure import MUTANTS as OF_PRESSURE

MUTANTS = (*GENERAL, *OF_PRESSURE)
ROOT = Path(__file__).parents[2]
COPIED = ("vmcfg", "schemas", "scenarios", "golden", "tests", "pyproject.toml", "README.md")
MOST_SECONDS = 900  # a mutant that loops for ever is caught by this
EXAMPLES = "40"  # of each property of the engine

PARTS: dict[str, tuple[str, ...]] = {
    "stores": ("tests/kernels/test_assoc.py", "tests/kernels/test_replacement.py", "tests/kernels/test_frames.py"),
    "lines": ("tests/engine/test_data_caches.py",),
    "machine": (
        "tests/engine/test_walk_references.py", "tests/engine/test_engine_equals_oracle.py",
        "tests/engine/test_taking_pages_away.py", "tests/engine/test_out_of_memory.py",
        "tests/engine/test_same_memory.py", "tests/engine/test_dirty_walks.py",
    ),
    "guests": (
        "tests/engine/test_many_tables_and_processes.py::test_a_process_whose_pcid_another_takes_leaves_nothing_behind",
        "tests/engine/test_no_stale_entries.py",
        "tests/engine/test_engine_equals_oracle.py::test_the_engine_counts_what_the_oracle_counts",
        "tests/engine/test_same_memory.py",
    ),
    "shadow": (
        "tests/engine/test_large_pages_under_shadow.py",
        "tests/engine/test_many_tables_and_processes.py::"
        "test_slots_for_tables_out_of_sync_are_given_as_the_oracle_gives_them",
        "tests/engine/test_engine_equals_oracle.py::test_shadow_tables_are_kept_as_the_oracle_keeps_them",
        "tests/engine/test_taking_pages_away_under_shadow.py",
    ),
    "paravirt": ("tests/engine/test_paravirt.py",),
    "software": ("tests/engine/test_software_tlb.py",),
    "log": ("tests/engine/test_page_modification_logging.py",),
    "rounds": ("tests/engine/test_dirty_rounds.py",),
    "pressure": ("tests/engine/test_pressure_equals_oracle.py",),
    "vain": (
        "tests/engine/test_pressure_equals_oracle.py::"
        "test_a_page_is_asked_for_before_the_walk_in_vain_has_cost_its_time",
    ),
    "watermarks": ("tests/engine/test_watermarks.py",),
    "refaults": ("tests/engine/test_refaults.py",),
    "balloon": (
        "tests/engine/test_balloon_rate.py::"
        "test_a_balloon_grows_faster_after_each_success_and_half_as_fast_after_a_failure",
    ),
    "rate": tuple(
        f"tests/engine/test_balloon_rate.py::test_{name}"
        for name in ("the_rate_grows_while_the_guest_pages_out",
                     "a_driver_that_waits_for_a_slow_disk_asks_for_no_more")
    ),
    "told": (
        "tests/reclaim/test_policies_in_the_engine.py::"
        "test_the_engine_misses_as_a_replay_of_the_same_pages[lru-processor]",
    ),
    "told_guests": (
        "tests/reclaim/test_guests_that_are_told.py::"
        "test_what_was_touched_again_stays_though_it_came_first[{mode: nested}]",
    ),
    "kills": ("tests/engine/test_killing.py::test_whom_when_and_how_much_is_what_sets_say",),
    "files": tuple(
        f"tests/engine/test_page_cache.py::test_{name}"
        for name in ("what_is_written_whole_is_not_read_before", "a_cache_is_a_dictionary_in_order_of_arrival[7-32]",
                     "stores_are_seen_by_their_d_bits_and_written_when_they_are_old")
    ),
    "shared": ("tests/engine/test_shared_memory.py",),
    "driver": ("tests/engine/test_killing.py::test_a_driver_asks_its_kernel_as_any_program_does",),
    "waiting": ("tests/engine/test_killing.py::test_a_kill_waits_for_frames_that_are_on_their_way",),
    "compression": ("tests/engine/test_compression.py", "-mnot slow"),
    "goldens": tuple(
        f"tests/golden_discipline/test_shipped_scenarios.py::test_a_shipped_scenario_gives_its_golden[scenarios/{name}.yaml]"
        for name in ("walks/cold_native_walk_takes_4_references", "walks/cold_nested_walk_takes_24_references",
                     "memory/first_touch_costs_an_ept_violation_per_page")
    ),
    "results": ("tests/tables", "tests/claims", "tests/golden_discipline/test_compare.py",
                "tests/golden_discipline/test_verdicts.py", "tests/golden_discipline/test_golden_text.py"),
    "commands": ("tests/cli/test_check_and_accept.py", "tests/cli/test_run.py", "tests/cli/test_what_goes_wrong.py"),
    "killed": ("tests/killed/test_killed_before_any_change.py",),
    "replacement": (
        "tests/reclaim/test_published_counts.py", "tests/reclaim/test_layers_equal_oracle.py",
        "tests/reclaim/test_bits_of_others.py", "tests/reclaim/test_curves.py", "-mnot slow",
    ),
    "bounds": ("tests/engine/test_bounds.py",),
    "front": ("tests/test_units.py", "tests/scenario"),
    "traces": ("tests/workload/test_trace_faults.py", "tests/workload/test_trace_hostile.py"),
}  # fmt: skip
SURVIVED = "**nothing**"

HEAD = """# Mutants: what the tests would notice

Each row is vmcfg with one mechanism broken on purpose, and the first test that failed. Written by
`python tests/mutation/run.py`, which says how; `tests/mutation/mutants.py` has the mutants themselves.

| broken on purpose | in | caught by |
| --- | --- | --- |"""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="PATTERN", default="", help="a regular expression for what is broken")
    pattern = parser.parse_args(arguments).only
    chosen = [mutant for mutant in MUTANTS if re.search(pattern, mutant.breaks)]
    with tempfile.TemporaryDirectory(prefix="vmcfg-mutants-") as folder:
        copy = _copy(Path(folder))
        broken = [
            mutant.breaks for mutant in chosen if (copy / "vmcfg" / mutant.file).read_text().count(mutant.old) != 1
        ]
        if broken:
            print(f"the text to be replaced is not there exactly once: {'; '.join(broken)}", file=sys.stderr)
            return 2
        for part in dict.fromkeys(" ".join(mutant.parts for mutant in chosen).split()):
            if failed := first_failure(copy, part):
                print(f"the unbroken copy fails in {part}: {failed}", file=sys.stderr)
                return 2
        print(HEAD, flush=True)
        caught = [_try(copy, mutant) for mutant in chosen]
    print(f"\n{sum(caught)} of {len(caught)} are caught.")
    return 0 if all(caught) else 1


def _copy(folder: Path) -> Path:
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(
                source, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", ".*_cache")
            )
        else:
            shutil.copy(source, folder / name)
    return folder


def _try(copy: Path, mutant: Mutant) -> bool:
    """Break, test, mend; print the mutant's row as soon as it is known. Returns whether a test failed."""
    path = copy / "vmcfg" / mutant.file
    sound = path.read_text("utf-8")
    path.write_text(sound.replace(mutant.old, mutant.new), "utf-8")
    began = time.monotonic()
    by = first_failure(copy, mutant.parts)
    path.write_text(sound, "utf-8")
    print(f"| {mutant.breaks} | `{mutant.file}` | {_named(by)} |", flush=True)
    print(f"{time.monotonic() - began:6.1f} s  {by or 'survived'}: {mutant.breaks}", file=sys.stderr)
    return bool(by)


def first_failure(copy: Path, parts: str) -> str:
    """Run parts of the suite, in their order, until a test fails; return its name, or nothing."""
    return next(filter(None, (_failure_in(copy, part) for part in parts.split())), "")


def _failure_in(copy: Path, part: str) -> str:
    own = {
        "VMCFG_KERNELS": "plain",
        "VMCFG_EXAMPLES": EXAMPLES,
        "PYTHONPATH": str(copy),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider", "-rfE", *PARTS[part]]
    try:
        done = subprocess.run(
            command, cwd=copy, env={**os.environ, **own}, capture_output=True, text=True, timeout=MOST_SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"no end within {MOST_SECONDS} s"
    if done.returncode == 0:
        return ""
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    return found[1] if found else f"pytest ends with {done.returncode}: {done.stdout[-300:]}{done.stderr[-300:]}"


def _named(by: str) -> str:
    """Write a test's name without its folder and example, as words."""
    if by.endswith(".py"):
        return f"`{Path(by).name}`, which could not be loaded"
    if "::" not in by:
        return by or SURVIVED
    file, test = by.split("::", 1)
    return f"`{Path(file).name}`: {test.partition('[')[0].removeprefix('test_').replace('_', ' ')}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
