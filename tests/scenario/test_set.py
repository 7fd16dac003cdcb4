"""`--set path=value` edits a scenario as if it had been written so."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmcfg.errors import InvalidScenario
from vmcfg.scenario import loads, spec

SMALLEST = (Path(__file__).parent / "good" / "smallest.yaml").read_text("utf-8")


def edited(*sets: str) -> spec.Scenario:
    return loads(SMALLEST, sets=sets)


def refusal(*sets: str) -> str:
    with pytest.raises(InvalidScenario) as raised:
        edited(*sets)
    return str(raised.value)


def test_a_value_is_replaced_or_added() -> None:
    """Paths are absolute; items of lists go by number."""
    scenario = edited("seed=7", "workloads.scan.phases.0.write=30%", "tables=[frames]", "run.accesses=10M")
    assert (7, 300_000, ("frames",)) == (scenario.seed, scenario.workloads[0].phases[0].write_ppm, scenario.tables)
    assert 10_000_000 == scenario.run.accesses


def test_a_key_of_hosts_is_short_for_all_hosts() -> None:
    """mmu.mode=native is hosts.<name>.mmu.mode=native for each."""
    assert ["native"] == [host.mmu.mode for host in edited("mmu.mode=native").hosts]


def test_a_bare_processor_name_becomes_a_mapping_when_a_figure_is_set() -> None:
    """`cpu: haswell` can still have its nested TLB set, before or after the profile is."""
    for name, figure in (("cpu", "nested_tlb={entries: 16}"), ("hosts.esx.cpu", "nested_tlb.entries=16")):
        cpu = edited(f"{name}=nehalem", f"cpu.{figure}").hosts[0].cpu
        assert ("nehalem", spec.CacheShape(16, 16)) == (cpu.profile, cpu.nested_tlb)


def test_a_vm_with_count_is_set_as_a_whole_or_one_by_one() -> None:
    """vms.web sets all, vms.web-2 one, and a later edit of all reaches that one too."""
    memory = [vm.memory_pages for vm in edited("vms.web.count=3", "vms.web-2.memory=8MiB").vms]
    assert [4096, 2048, 4096] == memory
    sets = ["vms.web.count=2", "vms.web-2.vcpus=2", "vms.web.memory=8MiB"]
    assert [(2048, 1), (2048, 2)] == [(vm.memory_pages, vm.vcpus) for vm in edited(*sets).vms]
    assert "found 'web-4', expected a key of vms" in refusal("vms.web.count=3", "vms.web-4.memory=8MiB")


def test_one_of_two_exclusive_keys_replaces_the_other() -> None:
    """A run by accesses becomes one by time without a second edit."""
    run = edited("run.duration=5s").run
    assert (5_000_000_000, None) == (run.duration_ns, run.accesses)


def test_an_alias_is_not_edited_at_its_anchor() -> None:
    """Two VMs that share a mapping can be set apart."""
    text = SMALLEST.replace("web: {", "web: &vm {").replace("workloads:", "  db: *vm\nworkloads:")
    assert [4096, 2048] == [vm.memory_pages for vm in loads(text, sets=["vms.db.memory=8MiB"]).vms]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run.epoch", "--set:1:1: error: found no path=value"),
        ("=5", "--set:1:1: error: found no path=value"),
        ("a\nb=5", "--set:1:1: error: found no path=value"),
        ("runn.epoch=1ms", "--set:1:1: error: found 'runn', expected a key of the scenario"),
        ("run.epohc=1ms", "--set:1:5: error: found 'epohc', expected a key of run"),
        ("run.epoch.x=1", "--set:1:11: error: found 'x', expected a key of run.epoch"),
        ("vms.wbe.memory=1MiB", "--set:1:5: error: found 'wbe', expected a key of vms"),
        ("mmu.mdoe=native", "--set:1:5: error: found 'mdoe', expected a key of hosts.esx.mmu"),
        ("workloads.scan.phases.3.rate=1/s", "--set:1:23: error: found '3', expected the number of an item"),
        ("workloads.scan.phases.x.rate=1/s", "--set:1:23: error: found 'x', expected the number of an item"),
        ("run.epoch=5", "--set:1:11: error: run.epoch: found 5, expected a duration"),
        ("run.epoch=", "--set:1:1: error: run.epoch: found nothing, expected a duration"),
        ("run.epoch=[1", "--set:1:13: error: found the end of the text, expected ',' or ']'"),
        ("run.epoch={a: 1, a: 2}", "--set:1:18: error: found the key 'a' again"),
        ("cpu.tlb.l1=none", "--set:1:12: error: hosts.esx.cpu.tlb.l1: 'none' is not built yet"),
        ("hosts.esx.sharing={}", "--set:1:1: error: hosts.esx.sharing: 'sharing' is not built yet"),
        ("cpu=i486", "--set:1:5: error: hosts.esx.cpu.profile: found 'i486', expected the name of a processor profile"),
    ],
)
def test_a_bad_edit_shows_its_own_text(text: str, message: str) -> None:
    """The position is one in the --set, whose text is the source line."""
    report = refusal(text)
    assert message in report
    assert text.partition("\n")[0] in report


def test_edits_are_numbered_as_on_the_command_line() -> None:
    """The second --set is line 2."""
    assert "--set:2:6: error: seed: found -1" in refusal("seed=1", "seed=-1")


def test_a_suggestion_comes_with_an_unknown_path() -> None:
    """The nearest key is named."""
    assert "did you mean 'epoch'?" in refusal("run.epohc=1ms")
