"""The oracle's clock against timelines made by hand: slices, switches, rates, phases, warm-up; and its streams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from attrs import evolve
from oracle import OracleResult, run
from oracle.replay import counts
from oracle.streams import draw, is_chosen, mix, stream_key, touch_word, vpn_of_touch, word
from oracle.tiny import (
    BASE_VPN,
    COSTS,
    cache,
    host,
    phase,
    processor,
    scenario,
    timing,
    trace_phase,
    vm,
    vm_at_start,
    workload,
)

from vmcfg.metrics.events import CHARGED
from vmcfg.scenario.spec import Host, Phase, Run

TEN_PER_ACCESS: Mapping[str, int] = {**COSTS, "access": 10, "exit": 20}  # the first touch takes 50, or nested 250


def bare(**changes: Any) -> Host:
    """A native host: a touch of the one page in use costs 1, the first one 41."""
    return host("native", **changes)


def one_page(*phases: Phase, on: Host | None = None, run_for: Run | None = None) -> OracleResult:
    return run(scenario(vm_at_start(), on=on or bare(), runs=workload(*phases, pages=1), run=run_for))


def two_vms(second_start: int = 0, quantum: int = 200, touches: int = 20, on: Host | None = None) -> OracleResult:
    """Two VMs on one core in slices of 100 cycles; each has one page, its first touch costs 50, the others 10."""
    machine = on or bare(cpu=processor(costs=TEN_PER_ACCESS, l1_tlb=cache(2)), quantum_ns=quantum)
    vms = (vm_at_start("a"), vm_at_start("b", start_ns=second_start))
    return run(scenario(*vms, on=machine, runs=workload(phase(accesses=touches), pages=1), run=timing(slice_ns=100)))


def test_two_vcpus_take_turns_by_the_quantum() -> None:
    """a runs 0–200 and 400–440, b 200–400 and 440–480: 1 + 15 touches fill a quantum, 4 are left."""
    result = two_vms()
    assert [440, 480] == [result.elapsed[name][1] for name in ("a", "b")]
    assert [200, 1] == counts(result, "ready_cycles", "vcpu_switches")
    assert [200 + 40, 2] == counts(result, "ready_cycles", "vcpu_switches", name="b")
    assert [1] == counts(result, "walks")


def test_a_quantum_that_ends_inside_a_slice_lasts_until_its_end() -> None:
    """With a quantum of 150 nothing changes: heads are changed at slice ends only."""
    assert two_vms(quantum=200) == two_vms(quantum=150)


def test_a_later_starter_joins_at_the_start_of_a_turn() -> None:
    """b starts at 150 but is no rival at 200; it joins then and gets the core at 300."""
    result = two_vms(second_start=150, quantum=100, touches=40)
    assert 300 - 150 == counts(result, "ready_cycles", name="b")[0] - _later_waits_of_b()


def _later_waits_of_b() -> int:
    """From 300 on they alternate slice by slice until a is done.

    a's touches: 16 to 200, 26 to 300, 36 to 500, and the last 4 by 640. b: 6 to 400, 16 to 600, then from 640.
    So b waits 400–500 and 600–640.
    """
    return 100 + 40


def test_an_empty_core_jumps_to_the_next_start() -> None:
    """The VM starts at 250 and ends at 250 + 50 + 10; its core goes on to the end of its slice."""
    machine = bare(cpu=processor(costs=TEN_PER_ACCESS))
    late = scenario(
        vm_at_start(start_ns=250), on=machine, runs=workload(phase(accesses=2), pages=1), run=timing(slice_ns=100)
    )
    result = run(late)
    assert (60, 0, [400]) == (result.elapsed["a"][1], *counts(result, "ready_cycles"), result.clocks["h"])


def test_an_overshoot_is_carried_into_the_next_slice() -> None:
    """A touch of 1000 cycles in slices of 100 passes ten slice ends; b waits for all of it, from its start."""
    slow = processor(costs={**COSTS, "access": 1000, "walk_reference": 0})
    result = two_vms(on=bare(cpu=slow, quantum_ns=100), touches=1)
    assert ([1000], 2000) == (counts(result, "ready_cycles", name="b"), result.elapsed["b"][1])


@pytest.mark.parametrize(("vpid", "switches", "walks"), [(True, 2, 1), (False, 7, 7)])
def test_a_switch_is_an_exit_of_the_incoming_vcpu(vpid: bool, switches: int, walks: int) -> None:
    """Nested, whoever comes in pays 20, and without tags walks again, which alone takes more than a quantum.

    a: one touch to 250. b: 20 + 250, to 520. With tags a's other six end at 600 and b's at 680; without,
    each touch takes the core once.
    """
    machine = host(vpid=vpid, cpu=processor(costs=TEN_PER_ACCESS, l1_tlb=cache(2)), quantum_ns=200)
    result = two_vms(on=machine, touches=7)
    assert (switches, 20 * switches) == result.exits["b"][1]["vcpu_switch"]
    assert [switches, walks] == counts(result, "vcpu_switches", "walks", name="b")


def test_guest_physical_mappings_survive_a_switch_without_vpid() -> None:
    """The walk after the flush finds the four tables in the nested TLB."""
    nested_tlb = processor(costs=TEN_PER_ACCESS, nested_tlb=cache(16))
    result = two_vms(on=host(vpid=False, cpu=nested_tlb, quantum_ns=200), touches=7)
    assert [2, 4] == counts(result, "walks", "nested_tlb_hits", name="b")


def test_vcpus_are_pinned_to_cores_in_turn() -> None:
    """Of three vCPUs on two cores the third shares core 0 with the first; all draw on one address space."""
    machine = bare(cores=2, cpu=processor(costs=TEN_PER_ACCESS))
    result = run(scenario(vm_at_start(vcpus=3), on=machine, runs=workload(phase(accesses=2), pages=1)))
    assert [6, 1 + 1, 60] == counts(result, "touches", "walks", "ready_cycles")


def test_a_rate_is_a_schedule() -> None:
    """One touch per 100 cycles: 41 + 59 of pace, then twice 1 + 99, then 1."""
    result = one_page(phase(rate=10_000_000, accesses=4))
    assert [59 + 99 + 99, 4, 40] == counts(result, "pace_cycles", "base_cycles", "walk_charged_cycles")
    assert 301 == result.elapsed["a"][1]


def test_a_late_vcpu_catches_up() -> None:
    """One touch per 20 cycles: late by 21, 2 and so on until the schedule is met at touch 3, due at 60."""
    result = one_page(phase(rate=50_000_000, accesses=4))
    # 0–41, 41–42 (due 20), 42–43 (due 40), pace 17 to 60, 60–61
    assert ([17], 61) == (counts(result, "pace_cycles"), result.elapsed["a"][1])


def test_debt_beyond_a_second_is_dropped() -> None:
    """At 1000 Hz and 1000 touches per second touch n is due at n and starts at 40 + 10n, late by 40 + 9n.

    Touch 107 is late by 1003 and drops 3; each later one is late by 9 more than a second.
    """
    slow = processor(hz=1000, costs=TEN_PER_ACCESS)
    result = one_page(phase(rate=1000, accesses=110), on=bare(cpu=slow), run_for=timing(slice_ns=1_000_000_000))
    assert [3 + 9 + 9] == counts(result, "dropped_cycles")


def test_a_phase_by_duration_ends_at_the_first_boundary_after_it() -> None:
    """Touches at 0, 100 and 200; pacing stops at 250, where the second phase begins."""
    result = one_page(phase(rate=10_000_000, duration_ns=250), phase(accesses=2))
    assert [3, 59 + 99 + 49] == counts(result, "touches", "pace_cycles")
    assert ([2, 0], [0, 201, 2]) == (counts(result, "touches", "pace_cycles", row=2), result.elapsed["a"])


def test_each_phase_counts_its_own_row() -> None:
    """Three touches of the first page, then two phases by accesses."""
    result = one_page(phase(accesses=3), phase(accesses=5, accesses_per_touch=2))
    assert [3, 3, 41 + 2] == [*counts(result, "touches", "accesses"), result.elapsed["a"][1]]
    assert [5, 10, 10] == [*counts(result, "touches", "accesses", row=2), result.elapsed["a"][2]]


def test_warmup_by_touches_goes_before_the_accesses_of_the_phase() -> None:
    """2 touches in row 0, 3 in row 1; the sequence of pages and the start-up's tables are not begun again."""
    result = run(scenario(vm_at_start(), runs=workload(phase(accesses=3), pages=9), run=timing(warmup_touches=2)))
    assert [[2, 4], [3, 0]] == [counts(result, "touches", "guest_table_pages", row=row) for row in (0, 1)]
    is_touched = [result.guest_entries["a"][1, BASE_VPN + page][1] for page in range(9)]
    assert [True] * 5 + [False] * 4 == is_touched


def test_warmup_moves_no_random_number() -> None:
    """The 2 + 18 touches go to the same pages as 20 without a warm-up."""
    uniform = workload(phase("uniform", write_ppm=300_000, accesses=20), pages=50)
    cold = run(scenario(vm_at_start(), runs=uniform, run=timing(accesses=20)))
    warm = run(scenario(vm_at_start(), runs=uniform, run=timing(accesses=18, warmup_touches=2)))
    assert cold.guest_entries == warm.guest_entries
    assert 18 == warm.counters["a"][1]["touches"]


def test_warmup_by_time_ends_with_the_clock() -> None:
    """41, then nine touches of 1 to 50; what follows is counted, for 30 cycles from there."""
    result = one_page(phase(duration_ns=30), run_for=timing(warmup_ns=50))
    assert [[10], [30]] == [counts(result, "touches", row=row) for row in (0, 1)]


def test_the_violation_of_the_root_belongs_to_the_warmup() -> None:
    """It happens at the first turn of vCPU 0, before any touch is counted."""
    result = run(scenario(vm(), run=timing(warmup_touches=1)))
    assert [4, 0] == [result.exits["a"][row]["ept_violation_table"][0] for row in (0, 1)]


def test_a_run_by_duration_starts_no_touch_at_its_end() -> None:
    """41 + 59 touches of 1; the clock stands at 100."""
    result = one_page(phase(), run_for=timing(duration_ns=100))
    assert ([60], [100]) == (counts(result, "touches"), result.clocks["h"])


def test_a_run_by_accesses_ends_an_endless_phase() -> None:
    """Each of two vCPUs makes three touches."""
    result = run(scenario(vm_at_start(vcpus=2), runs=workload(phase(), pages=1), run=timing(accesses=3)))
    assert [6] == counts(result, "touches")


def test_a_trace_runs_on_the_first_vcpu_and_ends_its_phase() -> None:
    """Three records twice on vCPU 0; then both vCPUs go through the second phase."""
    records = [(BASE_VPN, 1), (BASE_VPN + 1, 2), (BASE_VPN, 0)]
    runs = workload(trace_phase(repeat=2), phase(accesses=5), pages=2)
    result = run(scenario(vm_at_start(vcpus=2), runs=runs), traces={"t": records})
    assert [[6], [10]] == [counts(result, "touches", row=row) for row in (1, 2)]


def test_time_is_the_sum_of_its_parts() -> None:
    """Charged parts, pace and ready of a vCPU make up its time from its VM's start, whatever it went through."""
    machine = host(
        vpid=False,
        quantum_ns=3000,
        cpu=processor(walkers=2, l1_tlb=cache(8, 2), l2_tlb=cache(16, 4), nested_tlb=cache(4)),
    )
    phases = (
        phase("uniform", write_ppm=400_000, rate=500_000, accesses=300),
        phase("hot_cold", hot_pages=3, accesses=99),
    )
    vms = (vm("a"), vm("b", start_ns=30_500))
    result = run(scenario(*vms, on=machine, runs=workload(*phases, pages=40), run=timing(slice_ns=1000)))
    for name in ("a", "b"):
        rows = result.counters[name]
        parts = sum(row[part.name.lower()] for row in rows for part in CHARGED)
        waits = sum(row["pace_cycles"] + row["ready_cycles"] for row in rows)
        assert result.elapsed[name][1] + result.elapsed[name][2] == parts + waits
        for row in rows:
            assert row["accesses"] == row["l1_hits"] + row["stlb_hits"] + row["walks"]
            assert row["walk_refs"] == row["guest_refs"] + row["host_refs"]


def test_mix_is_the_finaliser_of_splitmix64() -> None:
    """The first output of splitmix64 from state 0, as published with it."""
    assert 0xE220A8397B1DCDAF == mix(0x9E3779B97F4A7C15)


def test_streams_differ_by_name_and_seed() -> None:
    """No two of these share a key; a word depends on nothing but key and index."""
    keys = [stream_key(seed, name) for seed in (0, 1, 2**64 - 1) for name in ("web-1/0", "web-1/1", "web-2/0")]
    assert len(keys) == len(set(keys))
    assert touch_word(keys[0], 5, 3) == word(keys[0], 23)


def test_a_draw_is_the_high_word_of_the_product() -> None:
    """The ends of the range, and a share of none and of all."""
    highest = 2**64 - 1
    assert (0, 6, 3) == (draw(0, 7), draw(highest, 7), draw(1 << 63, 7))
    assert (False, True) == (is_chosen(0, 0), is_chosen(highest, 1_000_000))


def test_hot_pages_get_their_share() -> None:
    """4 of 100 pages get 90 % of 20,000 touches, with a standard deviation of 42; each cold page gets some 21."""
    hot = workload(phase("hot_cold", hot_pages=4, hot_share_ppm=900_000, accesses=20_000), pages=100)
    key, pattern = stream_key(0, "a/0"), hot.phases[0].pattern
    assert pattern is not None
    pages = [vpn_of_touch(key, i, i, hot, pattern, None, None) - BASE_VPN for i in range(20_000)]
    assert 18_000 == pytest.approx(sum(page < 4 for page in pages), abs=170)
    assert set(range(100)) == set(pages)
    cold = evolve(pattern, hot_share_ppm=0)
    assert set(range(4, 100)) == {vpn_of_touch(key, i, i, hot, cold, None, None) - BASE_VPN for i in range(3000)}
