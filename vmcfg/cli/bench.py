"""How fast this machine simulates, each figure beside two yardsticks timed in the same run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

NAME = "bench"
HELP = "measure the speed of simulation on this machine"
EXAMPLES = """  vmcfg bench
  vmcfg bench --rounds 9 --format markdown"""

HEADERS = ("stream", "M/s", "to reach", "share", "ns", "× gather", "× draw")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds to take the median of (default 5)")
    parser.add_argument("--format", choices=("table", "markdown"), default="table", help="how to print (default table)")


def execute(arguments: argparse.Namespace) -> int:
    from vmcfg.bench.measure import measure_features, measure_rows
    from vmcfg.tables.layout import texts

    rows = [
        (
            measured.row.name,
            f"{measured.millions_per_second:.1f}",
            f"{measured.row.to_reach:.0f}",
            f"{measured.millions_per_second / measured.row.to_reach:.0%}",
            f"{measured.seconds * 1e9:.2f}",
            f"{measured.seconds / measured.gather_seconds:.1f}",
            f"{measured.seconds / measured.draw_seconds:.1f}",
        )
        for measured in measure_rows(max(1, arguments.rounds), _say)
    ]
    is_markdown = arguments.format == "markdown"
    print(texts(HEADERS, rows, is_markdown))
    print()
    print(texts(("measure", "here", "to reach"), _sizes_and_starts(), is_markdown))
    print()
    features = measure_features(max(1, arguments.rounds), _say)
    with_each = [(name, f"{ratio:.2f}") for name, ratio in features.items()]
    print(texts(("nested misses over 4 GiB, with", "× the time without"), with_each, is_markdown))
    print()
    _print_peers(is_markdown)
    return 0


def _print_peers(is_markdown: bool) -> None:
    from vmcfg.bench.peers import races
    from vmcfg.tables.layout import texts

    rows = [
        (
            f"{race.name}, against {race.peer}",
            f"{race.misses}",
            f"{race.peer_misses}",
            f"{race.peer_seconds / race.seconds:.1f}",
            "5",
            f"{race.load_seconds / race.seconds:.1f}",
        )
        for race in races()
    ]
    if not rows:
        print("no peers installed: pip install 'vmcfg[bench]'")
        return
    headers = ("replay", "misses", "peer's misses", "times faster", "to reach", "loading ÷ replay")
    print(texts(headers, rows, is_markdown))


def _sizes_and_starts() -> list[tuple[str, str, str]]:
    from vmcfg.bench.measure import MOST_BYTES, bytes_per_page, start_up_seconds
    from vmcfg.resources import scenario_directory

    bare = start_up_seconds(["-c", "pass"], 5)
    quickstart = str(Path(scenario_directory()) / "quickstart.yaml")
    commands = {"vmcfg --help": ["--help"], "vmcfg validate quickstart": ["validate", quickstart]}
    starts = [
        (
            f"{name}, over bare Python",
            f"{(start_up_seconds(['-m', 'vmcfg', *words], 5) - bare) * 1000:.0f} ms",
            "150 ms",
        )
        for name, words in commands.items()
    ]
    sizes = [
        (f"bytes per guest page, {mode}", f"{bytes_per_page(mode):.1f}", f"{most}") for mode, most in MOST_BYTES.items()
    ]
    return [*sizes, *starts]


def _say(name: str) -> None:
    if sys.stderr.isatty():
        print(f"vmcfg: measuring {name} ...", file=sys.stderr)
