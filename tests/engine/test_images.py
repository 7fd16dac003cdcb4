"""Pages that equal a block of their guest's disk, under a host that pages: VSwapper's effects, and its two cures."""

from __future__ import annotations

import pytest

from vmcfg.engine import simulate
from vmcfg.metrics.result import RunResult
from vmcfg.plan import compile_plan
from vmcfg.scenario import loads

TEXT = """
apiVersion: vmcfg/v1
kind: Scenario
metadata: {title: Images}
seed: 1
run: {accesses: all, epoch: 20ms}
hosts:
  h:
    memory: 2MiB
    cpu: haswell
    mmu: {mode: nested}
    swap: {size: 16MiB}
    reclaim: {paging: {victim: fifo, batch: 64, read_ahead: 8}}
    disks: {disk: {seek: 1ms, latency: 0s, bandwidth: 100MiB/s}}
vms:
  a: {memory: 8MiB, files: {data: {size: 3MiB}}, page_cache: {read_ahead: 8, flush_every: 1h}, workload: w}
workloads:
  w:
    regions: {before: {size: 4MiB}, buffer: {size: 4KiB}}
    phases:
      - {pattern: {kind: sequential, region: before}, write: 100%, accesses: 1024}
      - pattern: {kind: sequential, region: buffer}
        accesses: 1
        events: [{kind: munmap, region: before, every: 1, pages: 1024}]
      - {pattern: {kind: sequential, region: buffer}, accesses: 96, events: [READ]}
      - {pattern: {kind: sequential, region: buffer}, accesses: 96, events: [READ]}
      - {pattern: {kind: sequential, region: buffer}, accesses: 96, events: [READ]}
"""
READ = "{kind: read_file, file: data, every: 1, pages: 8}"
FIRST, SECOND, THIRD = 3, 4, 5  # phases that read the whole file


def run(more: str = "", text: str = TEXT) -> RunResult:
    """Run a guest that has used and freed more memory than its host has, and reads a file that fits into its own."""
    paged = text.replace("read_ahead: 8}}", f"read_ahead: 8{more}}}}}", 1).replace("READ", READ)
    return simulate(compile_plan(loads(paged)), check_invariants=True)


def total(result: RunResult, name: str) -> int:
    return sum(phase.counters[name] for phase in result.vms[0].phases)


def test_a_host_that_knows_nothing_reads_stale_pages_and_writes_silently() -> None:
    """Each read of the file sends what was read before to the swap area, although the file has it already."""
    result = run()
    first, second, third = (result.vms[0].phases[number].counters for number in (FIRST, SECOND, THIRD))
    assert first["stale_reads"] > 30
    assert (0, 0) == (second["stale_reads"], third["stale_reads"])
    assert second["silent_writes"] == second["host_file_page_outs"] > 500
    assert total(result, "silent_writes") == total(result, "host_file_page_outs")
    assert total(result, "host_page_outs") == result.hosts[0].disks[0].counters["pages_written"]


def test_a_mapper_drops_what_the_file_has_and_reads_it_back_in_order() -> None:
    """No write after the first phases, no stale read, and the file's pages come back from there, several at once."""
    result = run(", mapper: true")
    second = result.vms[0].phases[SECOND].counters
    assert (0, 0) == (total(result, "silent_writes"), total(result, "stale_reads"))
    assert second["image_drops"] == second["host_file_page_outs"] > 500
    assert second["image_page_ins"] > 70
    assert second["host_read_ahead"] > second["image_page_ins"]
    written = total(result, "host_page_outs") - total(result, "image_drops")
    assert written == result.hosts[0].disks[0].counters["pages_written"]


def test_a_preventer_spares_the_stale_reads_and_no_silent_write() -> None:
    """What is overwritten as a whole is not read in before, whoever writes it."""
    result = run(", preventer: true")
    assert (0, 0) == (total(result, "stale_reads"), total(result, "false_reads"))
    assert total(result, "prevented_reads") > 300
    assert total(result, "silent_writes") > 500


@pytest.mark.parametrize("mode", ["{mode: nested}", "{mode: shadow}"])
def test_a_changed_page_is_not_dropped(mode: str) -> None:
    """What write() changes goes to the swap area; so does what stores change, until the guest has written it back."""
    text = TEXT.replace("{mode: nested}", mode)
    written = run(", mapper: true", text.replace("READ", READ.replace("read_file", "write_file")))
    assert (0, 0) == (total(written, "image_drops"), total(written, "silent_writes"))
    assert total(written, "host_file_page_outs") > 1500
    mapped = text.replace("buffer: {size: 4KiB}}", "buffer: {size: 4KiB}, file: {size: 3MiB, file: data}}")
    storing = "{pattern: {kind: sequential, region: file}, accesses: 768, write: 100%}"
    lines = [storing.join(["      - ", ""]) if "READ" in line else line for line in mapped.splitlines()]
    stored = run(", mapper: true", "\n".join(lines))
    dropped = total(stored, "image_drops")
    assert dropped < 100 < 1000 < total(stored, "host_file_page_outs")  # those read ahead and not yet stored to
    back = run(", mapper: true", "\n".join(lines).replace("flush_every: 1h", "flush_every: 100us, flush_after: 0s"))
    assert total(back, "image_drops") > dropped + 100
    assert total(back, "file_pages_written") > 1000


def test_what_comes_along_for_nothing_is_counted() -> None:
    """Neighbours in the swap area of pages that a disk reads into are overwritten, too: nobody wanted their content."""
    result = run()
    first, second = (result.vms[0].phases[number].counters for number in (FIRST, SECOND))
    assert first["read_ahead_unused"] > 200
    assert second["read_ahead_unused"] == 0
    assert second["host_read_ahead"] > 400
