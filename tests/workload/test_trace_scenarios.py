"""Every trace format, from a scenario to its counts: the same accesses give the same tables, whoever recorded them."""

from __future__ import annotations

from pathlib import Path

import pytest
from trace_makers import champsim, lackey_line, oracle_general, records, words

import vmcfg
from vmcfg.errors import RunFailed

PAGES = [7, 8, 7, 300, 7, 1 << 20, 8, 600, 7, 300] * 30  # four tables' worth, revisited
WRITTEN = {
    "lackey": "".join(lackey_line("L", page << 12, 8) for page in PAGES).encode(),
    "records": records((page, 1) for page in PAGES),
    "oracle_general": oracle_general(PAGES),
    "u64": words(PAGES),
    "csv": ("page\n" + "".join(f"{page}\n" for page in PAGES)).encode(),
}
SCENARIO = """\
apiVersion: vmcfg/v1
kind: Scenario
metadata: {{title: A trace}}
run: {{accesses: all}}
hosts: {{h: {{memory: 16MiB, cpu: {{tlb: {{l1: {{entries: 2, ways: 2}}, l2: none}}}}, mmu: {{mode: {mode}}}}}}}
vms: {{guest: {{memory: 8MiB, workload: program}}}}
workloads: {{program: {{phases: [{{trace: {{file: t, format: {format}}}}}]}}}}
"""


def run(folder: Path, fmt: str, contents: bytes, mode: str = "nested", **limits: int) -> vmcfg.api.Outcome:
    """Run `contents` as the trace of a scenario."""
    (folder / "t").write_bytes(contents)
    path = folder / f"{fmt}.yaml"
    path.write_text(SCENARIO.format(format=fmt, mode=mode), "utf-8")
    return vmcfg.load(path).run(**limits)


@pytest.mark.parametrize("mode", ["native", "nested"])
@pytest.mark.parametrize("fmt", sorted(set(WRITTEN) - {"records"}))
def test_a_format_changes_no_count(tmp_path: Path, fmt: str, mode: str) -> None:
    """All loads; in each format page numbers are taken as they are."""
    expected = run(tmp_path, "records", WRITTEN["records"], mode).tables
    found = run(tmp_path, fmt, WRITTEN[fmt], mode).tables
    assert 300 == found["translation"][0]["accesses"]
    assert [list(table) for table in expected.values()] == [list(table) for table in found.values()]


def test_instructions_are_run_as_fetches_loads_and_stores(tmp_path: Path) -> None:
    """Two instructions on page 1; the first loads page 2, the second stores to page 3: four accesses, three faults."""
    contents = champsim([(0x1000, (0, 0), (0x2000, 0, 0, 0)), (0x1004, (0x3000, 0), (0, 0, 0, 0))])
    row = run(tmp_path, "champsim", contents).tables["vms"][0]
    assert (4, 3) == (row["accesses"], row["guest_faults"])


def test_the_highest_page_of_four_levels_is_mapped(tmp_path: Path) -> None:
    """Addresses of 48 bits: pages up to 2^36 - 1."""
    contents = words([(1 << 36) - 1, 0, (1 << 36) - 1])
    assert 2 == run(tmp_path, "u64", contents).tables["vms"][0]["guest_faults"]


def test_a_page_beyond_four_levels_is_refused(tmp_path: Path) -> None:
    """Nine bits a level: page 2^36 would be taken for page 0."""
    message = "t: found page 0x1000000000, expected a page below 2\\^36, which a guest of the host can address"
    with pytest.raises(RunFailed, match=message):
        run(tmp_path, "u64", words([0, 1 << 36]))


def test_five_levels_reach_further(tmp_path: Path) -> None:
    """Addresses of 57 bits: pages up to 2^45 - 1."""
    run(tmp_path, "u64", words([0]))
    (tmp_path / "t").write_bytes(words([1 << 36, (1 << 45) - 1, 0]))
    deep = vmcfg.load(tmp_path / "u64.yaml", ["vms.guest.page_table=5_level", "hosts.h.cpu.features=[ept, la57]"])
    assert 3 == deep.run().tables["vms"][0]["guest_faults"]


@pytest.mark.parametrize("fmt", ["lackey", "u64", "csv"])
def test_a_trace_larger_than_the_limit_is_refused_while_it_is_read(tmp_path: Path, fmt: str) -> None:
    """The limit counts what the plan needs and what the traces hold; compressed files tell their length only so."""
    pages = list(range(400)) * 2000
    text = {"lackey": "".join(lackey_line("L", page << 12, 8) for page in pages).encode(), "u64": words(pages)}
    text["csv"] = ("page\n" + "".join(f"{page}\n" for page in pages)).encode()
    assert 800_000 == run(tmp_path, fmt, text[fmt]).tables["translation"][0]["accesses"]
    with pytest.raises(RunFailed, match=r"t: found more records than fit into .* allow more with --limit") as failed:
        run(tmp_path, fmt, text[fmt], limit_bytes=12 << 20)
    assert "over_limit" == failed.value.code
