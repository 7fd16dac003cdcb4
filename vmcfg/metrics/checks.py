"""The sums that tie the counters together, checked at the end of every run.

A counter that nobody checks is a counter that will be wrong one day. Every event takes part in a sum below, stated
from what the machine does and not from how it counts; a violated one is an error of vmcfg, never of the scenario.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import frozen

from vmcfg.errors import RunFailed
from vmcfg.metrics.result import HostResult, PhaseResult, RunResult, VmResult

LOG_ENTRIES = 512  # of a vCPU's log of modified pages
TABLE_ENTRIES = 512
FRAME_KINDS = ("free", "private", "shared", "overhead", "reserved")


@frozen
class Rates:
    """What a VM's counters are multiplied with: cycles by name, walkers, vCPUs, cores, accesses per touch by phase."""

    costs: Mapping[str, int]
    walkers: int
    vcpus: int
    cores: int  # of the host
    per_touch: tuple[int, ...]  # by phase; 0 is the warm-up, which borrows the first phase
    latencies: Mapping[str, int] | None = None  # by the counter of what was found there; None without data caches


@frozen
class Sum:
    """Two figures that must be equal, in words and as found."""

    subject: str
    claim: str
    left: int
    right: int


def check(result: RunResult, vm_to_rates: Mapping[str, Rates]) -> None:
    """Raise RunFailed with code `broken_sum`, naming every sum that does not hold."""
    broken = [claim for claim in sums(result, vm_to_rates) if claim.left != claim.right]
    if broken:
        lines = [f"  {each.subject}: {each.claim}: {each.left} is not {each.right}" for each in broken]
        head = "internal error: counters contradict each other; this is a fault of vmcfg, please report it"
        raise RunFailed("broken_sum", "\n".join([head, *lines]))


def sums(result: RunResult, vm_to_rates: Mapping[str, Rates]) -> Iterator[Sum]:
    """Return every sum of a run, also those that hold."""
    for vm in result.vms:
        rates = vm_to_rates[vm.name]
        for phase in vm.phases:
            subject = f"VM {vm.name}, " + (f"phase {phase.phase}" if phase.phase else "warm-up")
            yield from _lookups(subject, phase, rates)
            yield from _page_sizes(subject, phase)
            yield from _hypercalls(subject, phase, rates)
            yield from _refills(subject, phase, rates)
            yield from _promotions(subject, phase, rates)
            yield from _page_cache(subject, phase)
            yield from _cycles(subject, phase, rates)
        yield from _whole_run(vm, rates)
    for host in result.hosts:
        own = [vm for vm in result.vms if vm.host == host.name]
        yield from _frames(host, own)
        yield from _reclaiming(host, own, vm_to_rates)


def _lookups(subject: str, phase: PhaseResult, rates: Rates) -> Iterator[Sum]:
    n = phase.counters
    hits_and_walks = n["l1_hits"] + n["stlb_hits"] + n["walks"]
    yield Sum(subject, "l1_hits + stlb_hits + walks = accesses", hits_and_walks, n["accesses"])
    yield Sum(subject, "guest_refs + host_refs = walk_refs", n["guest_refs"] + n["host_refs"], n["walk_refs"])
    touched = n["touches"] * rates.per_touch[phase.phase] + n["kernel_accesses"]
    yield Sum(subject, "touches × accesses per touch + kernel_accesses = accesses", touched, n["accesses"])
    if "vcpu_switch" in phase.exits:
        switches = phase.exits["vcpu_switch"][0]
        yield Sum(subject, "exits vcpu_switch = vcpu_switches", switches, n["vcpu_switches"])


def _page_sizes(subject: str, phase: PhaseResult) -> Iterator[Sum]:
    """What is counted by size, where any page may be large."""
    n = phase.counters
    if "backed_4k" not in n:
        return
    violations = sum(count for reason, (count, _) in phase.exits.items() if reason.startswith("ept_violation"))
    backed = n["backed_4k"] + n["backed_2m"] + n["backed_1g"]
    yield Sum(subject, "backed_4k + backed_2m + backed_1g = EPT violations", backed, violations)
    yield _at_most(subject, "backed_smaller", n["backed_smaller"], "backed_4k + backed_2m", backed - n["backed_1g"])
    mapped = n["mapped_4k"] + n["mapped_2m"] + n["mapped_1g"]
    elsewhere = n["major_faults"] - n["file_major_faults"] + n["file_faults"]
    absent = n["guest_faults"] - n["cow_faults"] - n["write_faults"] - elsewhere
    yield Sum(subject, "mapped_4k + mapped_2m + mapped_1g = guest_faults of absent pages", mapped, absent)
    yield _at_most(subject, "mapped_smaller", n["mapped_smaller"], "mapped_4k + mapped_2m", mapped - n["mapped_1g"])
    filled = n["filled_4k"] + n["filled_2m"] + n["filled_1g"]
    yield Sum(subject, "filled_4k + filled_2m + filled_1g = walks", filled, n["walks"])
    small = filled - n["filled_1g"]
    yield _at_most(subject, "filled_splintered", n["filled_splintered"], "filled_4k + filled_2m", small)
    yield from _collapses(subject, n)


def _collapses(subject: str, n: Mapping[str, int]) -> Iterator[Sum]:
    """What became one large page was 512 small ones, there or not."""
    pages = n["collapse_copied"] + n["collapse_added"]
    yield Sum(subject, "collapse_copied + collapse_added = 512 × collapsed", pages, TABLE_ENTRIES * n["collapsed"])
    yield _at_most(subject, "collapsed", n["collapsed"], "ranges_scanned", n["ranges_scanned"])


def _at_most(subject: str, name: str, figure: int, bound: str, most: int) -> Sum:
    return Sum(subject, f"{name} is at most {bound}, so the smaller of both", min(figure, most), figure)


def _refills(subject: str, phase: PhaseResult, rates: Rates) -> Iterator[Sum]:
    """How misses of a software-managed TLB were answered, where there is one."""
    if "tlb_miss" not in phase.exits:
        return
    n, cost = phase.counters, rates.costs
    misses, refills = phase.exits["tlb_miss"][0], phase.exits["tlb_refill"][0]
    yield Sum(subject, "tlb_refill + software_tlb_hits = tlb_miss", refills + n["software_tlb_hits"], misses)
    refilling = refills * (cost["exit"] + cost["tlb_refill"])
    yield Sum(subject, "tlb_refill × its cost = cycles of tlb_refill", refilling, phase.exits["tlb_refill"][1])
    yield Sum(subject, "no walk refers to anything", n["walk_refs"] + n["fault_refs"] + n["dirty_refs"], 0)


def _promotions(subject: str, phase: PhaseResult, rates: Rates) -> Iterator[Sum]:
    """What the VMM did to put large pages in place of small ones, where it does."""
    if "promotion" not in phase.exits:
        return
    n, cost = phase.counters, rates.costs
    count, cycles = phase.exits["promotion"]
    copied, added = n["promote_copied"], n["promote_added"]
    yield Sum(subject, "exits promotion = promoted", count, n["promoted"])
    yield Sum(subject, "promote_copied + promote_added = 512 × promoted", copied + added, TABLE_ENTRIES * count)
    yield _at_most(subject, "promoted", n["promoted"], "blocks_scanned", n["blocks_scanned"])
    moving = copied * cost["copy_page"] + added * cost["zero_page"]
    taken = count * (cost["exit"] + rates.cores * cost["invept"]) + moving
    yield Sum(subject, "promotions, their INVEPTs, copies and zeroed pages × their costs = their cycles", taken, cycles)


def _page_cache(subject: str, phase: PhaseResult) -> Iterator[Sum]:
    """What the guest looked for in its page cache, and what it had to read."""
    n = phase.counters
    found = n["cache_hits"] + n["cache_misses"]
    yield Sum(subject, "cache_hits + cache_misses = cache_lookups", found, n["cache_lookups"])
    needed = n["file_pages_read"] - n["file_read_ahead"]
    yield _at_most(subject, "file_pages_read - file_read_ahead", needed, "cache_misses", n["cache_misses"])
    yield _at_most(subject, "file_major_faults", n["file_major_faults"], "file_faults", n["file_faults"])


def _hypercalls(subject: str, phase: PhaseResult, rates: Rates) -> Iterator[Sum]:
    """What a paravirtual guest asked for, where it can ask."""
    if "hypercall" not in phase.exits:
        return
    n, cost = phase.counters, rates.costs
    calls, cycles = phase.exits["hypercall"]
    entries = n["mmu_updates"] + TABLE_ENTRIES * n["tables_validated"]
    yield Sum(subject, "mmu_updates + 512 × tables_validated = validated_entries", entries, n["validated_entries"])
    asked = calls * (cost["exit"] + cost["hypercall"]) + n["validated_entries"] * cost["validate_entry"]
    yield Sum(subject, "hypercalls and validated_entries × their costs = cycles of hypercalls", asked, cycles)
    yield Sum(subject, "exits true_fault = guest_faults", phase.exits["true_fault"][0], n["guest_faults"])


def _cycles(subject: str, phase: PhaseResult, rates: Rates) -> Iterator[Sum]:
    n, cost = phase.counters, rates.costs
    references = n["walk_refs"] + n["fault_refs"] + n["dirty_refs"]
    cache_hits = n["guest_walk_cache_hits"] + n["host_walk_cache_hits"]
    walking = cache_hits * cost["walk_cache_hit"] + n["nested_tlb_hits"] * cost["nested_tlb_hit"]
    if rates.latencies is None:
        walking += references * cost["walk_reference"]
    else:
        found = sum(n[where] for where in rates.latencies)
        claim = f"{' + '.join(rates.latencies)} = walk_refs + fault_refs + dirty_refs"
        yield Sum(subject, claim, found, references)
        walking += sum(n[where] * latency for where, latency in rates.latencies.items())
    yield Sum(subject, "references and walk-cache hits × their costs = walk_cycles", walking, n["walk_cycles"])
    yield Sum(subject, "accesses × cost = base_cycles", n["accesses"] * cost["access"], n["base_cycles"])
    yield Sum(subject, "stlb_hits × cost = tlb_cycles", n["stlb_hits"] * cost["l2_tlb_hit"], n["tlb_cycles"])
    flushing = n["cr3_loads"] * cost["cr3_load"] + n["invlpgs"] * cost["invlpg"] + n["shootdowns"] * cost["ipi"]
    yield Sum(subject, "loads of CR3, INVLPGs and shootdowns × their costs = flush_cycles", flushing, n["flush_cycles"])
    by_reason = sum(cycles for _, cycles in phase.exits.values())
    yield Sum(subject, "cycles of exits by reason = exit_cycles", by_reason, n["exit_cycles"])


def _whole_run(vm: VmResult, rates: Rates) -> Iterator[Sum]:
    subject = f"VM {vm.name}"
    raw = sum(phase.counters["walk_cycles"] for phase in vm.phases)
    charged = sum(phase.counters["walk_charged_cycles"] for phase in vm.phases)
    carried = min(max(0, raw - charged * rates.walkers), rates.vcpus * (rates.walkers - 1))
    claim = "charged walk cycles × walkers + carried remainders = walk_cycles"
    yield Sum(subject, claim, charged * rates.walkers + carried, raw)
    logged = sum(phase.counters["pages_logged"] for phase in vm.phases)
    read = LOG_ENTRIES * sum(phase.exits.get("pml_full", (0, 0))[0] for phase in vm.phases)
    room = rates.vcpus * LOG_ENTRIES if "pml_full" in vm.phases[0].exits else 0
    read += sum(phase.counters["log_entries_read"] for phase in vm.phases)
    if "write_protected" in vm.phases[0].exits:
        lifted = sum(phase.exits["write_protected"][0] for phase in vm.phases)
        yield Sum(subject, "exits write_protected = pages_logged", lifted, logged)
    else:
        left = min(max(0, logged - read), room)
        claim = f"pml_full × {LOG_ENTRIES} + log_entries_read + what is left in the logs = pages_logged"
        yield Sum(subject, claim, read + left, logged)
    yield from _rounds(subject, vm, logged)
    tables = sum(phase.counters["guest_table_pages"] - phase.counters["table_pages_freed"] for phase in vm.phases)
    claim = "guest_table_pages made - table_pages_freed = guest pages that hold tables"
    yield Sum(subject, claim, tables, vm.pages["guest_tables"])
    yield from _large_pages(subject, vm)
    yield from _kills(subject, vm)
    where = ("private", "ballooned", "swapped", *(("compressed",) if "compressed" in vm.pages else ()), "unbacked")
    configured = sum(vm.pages[state] for state in where)
    yield Sum(subject, f"{' + '.join(where)} = configured pages", configured, vm.pages["configured"])
    yield from _host_paging(subject, vm)


def _rounds(subject: str, vm: VmResult, logged: int) -> Iterator[Sum]:
    """What the VMM found when it asked was logged or marked before, and nothing twice."""
    collected = sum(phase.counters["pages_collected"] for phase in vm.phases)
    known = logged + sum(phase.counters["pages_marked"] for phase in vm.phases)
    yield _at_most(subject, "pages_collected", collected, "pages_logged + pages_marked", max(known, 0))
    yield Sum(subject, "pages of all rounds = pages_collected", sum(each.pages for each in vm.rounds), collected)


def _host_paging(subject: str, vm: VmResult) -> Iterator[Sum]:
    """What the host paged out is still there, or was paged in."""
    n = {name: sum(phase.counters[name] for phase in vm.phases) for name in vm.phases[0].counters}
    yield from _compression(subject, vm, n)
    back = n["host_page_ins"] + n["host_read_ahead"]
    claim = "host_page_outs - host_page_ins - host_read_ahead - host_slots_dropped = swapped pages"
    yield Sum(subject, claim, n["host_page_outs"] - back - n["host_slots_dropped"], vm.pages["swapped"])
    yield _at_most(subject, "balloon_frames_won", n["balloon_frames_won"], "balloon_inflated", n["balloon_inflated"])
    yield _at_most(subject, "report_frames_won", n["report_frames_won"], "reported_pages", n["reported_pages"])
    balloon = n["balloon_inflated"] - n["balloon_deflated"]
    yield Sum(subject, "balloon_inflated - balloon_deflated = pages of the balloon", balloon, vm.pages["balloon"])
    kinds = n["false_reads"] + n["stale_reads"] + n["prevented_reads"]
    claim = "false_reads + stale_reads + prevented_reads"
    yield _at_most(subject, claim, kinds, "host_page_ins", n["host_page_ins"])
    known = n["silent_writes"] + n["image_drops"]
    yield _at_most(subject, "paged_ahead", n["paged_ahead"], "host_page_outs", n["host_page_outs"])
    yield _at_most(subject, "silent_writes + image_drops", known, "host_page_outs", n["host_page_outs"])
    yield _at_most(subject, "host_file_page_outs", n["host_file_page_outs"], "host_page_outs", n["host_page_outs"])
    yield _at_most(subject, "image_page_ins", n["image_page_ins"], "image_drops", n["image_drops"])
    yield _at_most(subject, "read_ahead_unused", n["read_ahead_unused"], "host_read_ahead", n["host_read_ahead"])
    left = n["guest_page_outs"] - n["guest_slots_freed"]
    yield Sum(subject, "guest_page_outs - guest_slots_freed = slots in use", left, vm.pages["guest_swapped"])
    waits = n["guest_page_ins"] + n["file_major_faults"]
    yield Sum(subject, "guest_page_ins + file_major_faults = major_faults", waits, n["major_faults"])
    cached = n["cache_misses"] + n["file_read_ahead"] - n["cache_drops"]
    yield Sum(subject, "cache_misses + file_read_ahead - cache_drops = cached pages", cached, vm.pages["guest_cached"])


def _kills(subject: str, vm: VmResult) -> Iterator[Sum]:
    """What was counted is what was written down."""
    n = {name: sum(phase.counters[name] for phase in vm.phases) for name in ("kills", "killed_pages", "process_exits")}
    freed = sum(kill.freed_pages for kill in vm.kills)
    yield Sum(subject, "kills = processes killed, one by one", n["kills"], len(vm.kills))
    yield Sum(subject, "killed_pages = pages freed by them, one by one", n["killed_pages"], freed)
    yield _at_most(subject, "kills", n["kills"], "process_exits", n["process_exits"])


def _compression(subject: str, vm: VmResult, n: Mapping[str, int]) -> Iterator[Sum]:
    """What went into the compression cache is there, or came out of it one way or another; each way out costs."""
    gone = n["decompressions"] + n["compressed_evicted"] + n["compressed_dropped"]
    claim = "compressions - decompressions - compressed_evicted - compressed_dropped = compressed pages"
    yield Sum(subject, claim, n["compressions"] - gone, vm.pages.get("compressed", 0))


def _large_pages(subject: str, vm: VmResult) -> Iterator[Sum]:
    """What became of a guest's large pages, where it may have any."""
    if "guest_large" not in vm.pages:
        return
    n = {name: sum(phase.counters[name] for phase in vm.phases) for name in vm.phases[0].counters}
    made = n["mapped_2m"] + n["mapped_1g"] + n["large_mapped"] + n["collapsed"]
    gone = n["large_unmapped"] + n["guest_splits"]
    claim = "large pages at the start + mapped + collapsed - unmapped - split = mapped at the end"
    yield Sum(subject, claim, vm.pages["guest_large_at_start"] + made - gone, vm.pages["guest_large"])


def _frames(host: HostResult, vms: list[VmResult]) -> Iterator[Sum]:
    subject = f"host {host.name}"
    kinds = sum(host.frames[kind] for kind in FRAME_KINDS)
    yield Sum(subject, f"{' + '.join(FRAME_KINDS)} = total frames", kinds, host.frames["total"])
    private = sum(vm.pages["private"] for vm in vms)
    yield Sum(subject, "private pages of its VMs = private frames", private, host.frames["private"])


def _reclaiming(host: HostResult, vms: list[VmResult], vm_to_rates: Mapping[str, Rates]) -> Iterator[Sum]:
    """What it cost to take pages away, over all VMs of a host: who pays need not be whose pages leave."""
    phases = [phase for vm in vms for phase in vm.phases if "reclaim" in phase.exits]
    if not phases:
        return
    rates = vm_to_rates[vms[0].name]
    cost, n = rates.costs, {name: sum(phase.counters[name] for phase in phases) for name in phases[0].counters}
    exits, cycles = (sum(phase.exits["reclaim"][place] for phase in phases) for place in (0, 1))
    tried = n["compressions"] + n["compress_rejected"]
    taken = exits * (cost["exit"] + rates.cores * cost["invept"])
    taken += tried * cost.get("compress_page", 0) + n["compressed_evicted"] * cost.get("decompress_page", 0)
    claim = "exits, INVEPTs, pages compressed and pages that left the cache × their costs = cycles of reclaim"
    yield Sum(f"host {host.name}", claim, taken, cycles)
