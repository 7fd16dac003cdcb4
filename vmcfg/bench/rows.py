"""The rows of the benchmark: streams that show one mechanism each, and what each should reach.

The figures to reach are touches per second on one core of a 2-core cloud machine of 2024. On another machine
read the ratios to the yardsticks: they travel better.
"""

from __future__ import annotations

from attrs import asdict, frozen

MIB = 1 << 20


@frozen
class Row:
    """One stream: what it shows, the scenario behind it, and the speed to reach in millions of touches per second.

    A stream of exits never comes to an end of them: each round begins with a new machine, touches page after page,
    and its exits are what counts. A stream of page-ins goes round and round over twice the host's memory, so that each
    touch is a fault for which a page comes in and another goes out, and page-ins are what counts.
    """

    name: str
    to_reach: float
    mode: str
    footprint: str  # a size, as in a scenario
    footprint_bytes: int
    tables_bytes: int  # what a random touch of it makes the simulator read at random
    touches: int  # per round
    write: str = "0%"
    data_caches: str = "none"
    counts_exits: bool = False
    counts_page_ins: bool = False
    populate: str = "at_start"
    memory: str = "8GiB"  # of the host


ROWS = (
    Row("L1 TLB hits", 200, "native", "192KiB", 192 * 1024, 1 * MIB, 20_000_000),
    Row("L1 TLB hits, 30 % stores", 200, "nested", "192KiB", 192 * 1024, 1 * MIB, 20_000_000, "30%"),
    Row("L2 TLB hits", 120, "native", "4800KiB", 4800 * 1024, 1 * MIB, 10_000_000),
    Row("native misses over 4 GiB", 60, "native", "4GiB", 4096 * MIB, 8 * MIB, 4_000_000),
    Row("nested misses over 4 GiB", 30, "nested", "4GiB", 4096 * MIB, 13 * MIB, 4_000_000),
    Row("nested misses over 4 GiB, with data caches", 15, "nested", "4GiB", 4096 * MIB, 17 * MIB, 2_000_000,
        data_caches="profile"),
    Row("shadow: exits of demand faults", 5, "shadow", "4GiB", 4096 * MIB, 30 * MIB, 500_000,
        counts_exits=True, populate="on_touch"),
    Row("shadow: hidden faults alone", 5, "shadow", "4GiB", 4096 * MIB, 30 * MIB, 500_000, counts_exits=True),
    Row("faults with page-out and page-in", 5, "nested", "64MiB", 64 * MIB, 1 * MIB, 500_000,
        counts_page_ins=True, populate="on_touch", memory="32MiB"),
)

FEATURES = {
    "a log of modified pages": ("mmu.pml=true",),
    "rounds of dirty logging": ("mmu.dirty_log={every: 1h}",),
    "host pages that may become large": ("mmu.promote={every: 1G}",),
    "a nested TLB for data too": ("mmu.nested_caches=2d_nested_tlb_data", "cpu.nested_tlb={entries: 16, ways: 16}"),
    "a host that pages, and is not short": ("hosts.bench.reclaim.paging.victim=fifo", "hosts.bench.swap={size: 1GiB}"),
    "a balloon": ("vms.vm.balloon={target: 4KiB}",),
}
"""What a host of mode nested may have, as settings that turn it on, in a stream that has no use for it.

Loops for hosts that have none of the first four are compiled without them (`engine.loop`), and so pay nothing for what
they do not have: each row's ratio is what that spares.
"""

SCENARIO = """\
apiVersion: vmcfg/v1
kind: Scenario
metadata: {{title: benchmark}}
run: {{accesses: 100000000000}}
hosts:
  bench:
    memory: {memory}
    cpu: {{profile: cascade_lake, data_caches: {data_caches}}}
    mmu: {{mode: {mode}}}{paging}
vms:
  vm: {{memory: 5GiB, workload: stream, populate: {populate}, backing: {backing}}}
workloads:
  stream: {{phases: [{{pattern: {{kind: {pattern}, size: {footprint}}}, write: {write}}}]}}
"""


PAGING = """
    reclaim: {paging: {victim: fifo, read_ahead: 1}}
    swap: {size: 128MiB}
    disks: {disk: {latency: 0s, bandwidth: 100GiB/s, seek: 0s}}"""


def scenario_text(row: Row) -> str:
    """Return the scenario of a row, which anybody can run as it is."""
    pattern = "sequential" if row.counts_exits or row.counts_page_ins else "uniform"
    paging, backing = (PAGING, "on_touch") if row.counts_page_ins else ("", "at_start")
    return SCENARIO.format(pattern=pattern, paging=paging, backing=backing, **asdict(row))
