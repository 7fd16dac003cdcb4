"""Show how many accesses of a recorded trace miss in memories of different sizes, under a policy of page replacement.
Under LRU one pass tells all sizes; --sample looks at a part of the pages, which is faster and nearly as good. Other
policies replay the trace for each size. `vmcfg docs replacement` describes the policies."""

from __future__ import annotations

import argparse
import csv
import sys
from typing import TYPE_CHECKING

from vmcfg.cli import inputs, traces
from vmcfg.errors import UsageError
from vmcfg.units import MILLION, PAGE_BYTES, QuantityError, format_share, format_size, parse_count

if TYPE_CHECKING:
    from vmcfg.workload.traces import TraceData

NAME = "curve"
HELP = "show a recorded trace's misses by size of memory"
EXAMPLES = """  vmcfg curve scenarios/data/sort.u32.zst
  vmcfg curve scenarios/data/sqlite.u32.zst --at 64,128,1MiB --policy clock
  vmcfg curve scenarios/data/boot.gpa.zst --policy two_list --at 32MiB,64MiB
  vmcfg curve requests.oracleGeneral.zst --sample 1% --csv
"""
POLICIES = (
    "fifo", "lru", "clock", "clock_referenced", "sieve", "lfu", "lru2", "lru2_history", "random", "two_list", "opt",
)  # fmt: skip
MOST_PAGES = 1 << 30  # of a trace: no memory need be larger
SEED_BITS = 64
HEADERS = ("pages", "memory", "misses", "miss_ratio")
DECIMALS = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    traces.add_trace(parser)
    help_text = f"one of {', '.join(POLICIES)}; default: lru"
    parser.add_argument("--policy", choices=POLICIES, default="lru", metavar="NAME", help=help_text)
    help_text = "sizes of memory with commas, in pages or as 256KiB; default: powers of two, and all pages of the trace"
    parser.add_argument("--at", type=_capacities, metavar="SIZES", help=help_text)
    help_text = "for lru: look at this share of the pages only (SHARDS), such as 1%%"
    parser.add_argument("--sample", type=inputs.share, metavar="SHARE", help=help_text)
    help_text = "of the sample or of random victims; default: 0"
    parser.add_argument("--seed", type=_seed, default=0, metavar="N", help=help_text)
    parser.add_argument("--csv", action="store_true", help="print comma-separated values")


def execute(arguments: argparse.Namespace) -> int:
    least = _least_capacity(arguments)
    data, _, _ = traces.read(arguments)
    capacities = arguments.at or _powers_of_two(least, len(data.vpns))
    misses = _misses(data, arguments, capacities)
    _print(capacities, misses, len(data.records), arguments.csv)
    return 0


def _least_capacity(arguments: argparse.Namespace) -> int:
    """Return the smallest memory that can be told of; refuse a sample that makes no sense."""
    if arguments.sample is None:
        return 1
    if arguments.policy != "lru":
        raise UsageError(f"--sample: found the policy {arguments.policy}, expected lru, the only one that it can scale")
    if arguments.sample == 0:
        raise UsageError("--sample: found 0%, expected some of the pages")
    least = -(-MILLION // arguments.sample)
    if arguments.at and arguments.at[0] < least:
        share = format_share(arguments.sample)
        raise UsageError(f"--at: found {arguments.at[0]} pages, expected at least {least}: {share} sees no less")
    return least


def _misses(data: TraceData, arguments: argparse.Namespace, capacities: list[int]) -> list[int]:
    from vmcfg.reclaim.curves import lru_curve, sampled_lru_curve
    from vmcfg.reclaim.replay import replay

    pages = data.records >> 2
    if arguments.policy != "lru":
        return [replay(pages, capacity, arguments.policy, arguments.seed) for capacity in capacities]
    if arguments.sample is None:
        curve = lru_curve(pages)
    else:
        curve = sampled_lru_curve(pages, arguments.sample, arguments.seed)
    if not len(curve.capacities) > 1:
        share = format_share(arguments.sample)
        raise UsageError(f"--sample: found no page of the trace among {share}, expected a larger share or another seed")
    return [curve.at(capacity) for capacity in capacities]


def _print(capacities: list[int], misses: list[int], accesses: int, is_csv: bool) -> None:
    from vmcfg.tables.column import Ratio, ratio_text
    from vmcfg.tables.layout import texts

    rows = [
        (str(capacity), format_size(capacity * PAGE_BYTES), str(missed), ratio_text(Ratio(missed, accesses), DECIMALS))
        for capacity, missed in zip(capacities, misses, strict=True)
    ]
    if is_csv:
        csv.writer(sys.stdout, lineterminator="\n").writerows([HEADERS, *rows])
    else:
        print(texts(HEADERS, rows))


def _powers_of_two(least: int, pages: int) -> list[int]:
    """Return the powers from `least` on that are smaller than all pages, then these."""
    powers = (1 << bits for bits in range(pages.bit_length()))
    return [*(power for power in powers if least <= power < pages), max(least, pages)]


def _capacities(text: str) -> list[int]:
    return sorted({_capacity(part) for part in text.split(",")})


def _capacity(text: str) -> int:
    """Read pages, or a size that is a whole number of them."""
    try:
        capacity = parse_count(text)
    except QuantityError:
        capacity = inputs.pages(text)
    if not 1 <= capacity <= MOST_PAGES:
        raise argparse.ArgumentTypeError(f"found '{text}', expected one page to {format_size(MOST_PAGES * PAGE_BYTES)}")
    return capacity


def _seed(text: str) -> int:
    seed = inputs.count(text)
    if seed >> SEED_BITS:
        raise argparse.ArgumentTypeError(f"found '{text}', expected at most {(1 << SEED_BITS) - 1}")
    return seed
