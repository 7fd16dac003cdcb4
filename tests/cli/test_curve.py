"""curve: misses of a trace by size of memory, exact, sampled, or under another policy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vmcfg.cli import curve
from vmcfg.reclaim.replacement import POLICIES

Command = Callable[..., tuple[int, str, str]]
DATA = Path(__file__).parents[2] / "scenarios" / "data"
BELADY = "page\n1\n2\n3\n4\n1\n2\n5\n1\n2\n3\n4\n5\n"


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Belady's string: FIFO misses 9 times in three pages and 10 times in four."""
    path = tmp_path / "belady.csv"
    path.write_text(BELADY)
    return path


def test_misses_stand_beside_sizes(vmcfg: Command, trace: Path) -> None:
    """LRU at powers of two and at all pages; ratios of twelve accesses, rounded half to even."""
    expected = """\
pages      memory    misses    miss_ratio
-------  --------  --------  ------------
1            4KiB        12      1.000000
2            8KiB        12      1.000000
4           16KiB         8      0.666667
5           20KiB         5      0.416667
"""
    assert (0, expected, "") == vmcfg("curve", trace)


def test_other_policies_and_sizes_of_ones_own(vmcfg: Command, trace: Path) -> None:
    """As pages or as sizes, in any order; values with commas for machines."""
    expected = "pages,memory,misses,miss_ratio\n3,12KiB,9,0.750000\n4,16KiB,10,0.833333\n"
    assert (0, expected, "") == vmcfg("curve", trace, "--policy", "fifo", "--at", "16KiB,3", "--csv")


def test_a_program_misses_as_often_as_published(vmcfg: Command) -> None:
    """871 of 6,923,835 accesses in 64 pages."""
    _, out, _ = vmcfg("curve", DATA / "sort.u32.zst", "--at", "64", "--csv")
    assert "64,256KiB,871,0.000126" == out.splitlines()[1]


def test_a_sample_begins_where_it_sees_something(vmcfg: Command, trace: Path) -> None:
    """A page of a half stands for two; of all pages the curve is the exact one."""
    whole = vmcfg("curve", trace)[1]
    assert whole == vmcfg("curve", trace, "--sample", "100%")[1]
    code, out, _ = vmcfg("curve", trace, "--sample", "50%", "--csv")
    assert (0, ["2", "4", "5"]) == (code, [line.split(",")[0] for line in out.splitlines()[1:]])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--sample", "1%", "--policy", "fifo"], "--sample: found the policy fifo, expected lru"),
        (["--sample", "0%"], "--sample: found 0%, expected some of the pages"),
        (["--sample", "10%", "--at", "9"], "--at: found 9 pages, expected at least 10: 10% sees no less"),
        (["--sample", "0.0001%"], "--sample: found no page of the trace among 0.0001%, expected a larger share"),
        (["--sample", "half"], "found 'half', expected a share such as 30%"),
        (["--at", "0"], "found '0', expected one page to 4TiB"),
        (["--at", "5KiB"], "expected whole pages of 4KiB"),
        (["--at", "lots"], "found 'lots', expected a size such as"),
        (["--seed", "18446744073709551616"], "expected at most 18446744073709551615"),
        (["--policy", "mru"], "invalid choice: 'mru'"),
    ],
)
def test_what_makes_no_sense_is_refused(vmcfg: Command, trace: Path, options: list[str], expected: str) -> None:
    """With what was found and what was expected; exit code 2."""
    code, out, err = vmcfg("curve", trace, *options)
    assert (2, "") == (code, out)
    assert expected in err


def test_all_policies_can_be_chosen() -> None:
    """The names are written again, as the kernels need not be loaded for help."""
    assert tuple(POLICIES) == curve.POLICIES
