"""What the oracle leaves behind, in plain dictionaries."""

from __future__ import annotations

from dataclasses import dataclass

from vmcfg.metrics.events import Event

from .memory import Place
from .spaces import Kill

EVENTS = (
    "touches", "accesses", "l1_hits", "stlb_hits", "walks", "guest_refs", "host_refs", "walk_refs", "fault_refs",
    "dirty_walks", "dirty_refs", "guest_walk_cache_hits", "host_walk_cache_hits", "nested_tlb_hits", "walk_cycles",
    "base_cycles", "tlb_cycles", "walk_charged_cycles", "exit_cycles", "guest_fault_cycles", "flush_cycles",
    "pace_cycles", "ready_cycles", "dropped_cycles", "guest_faults", "guest_table_pages", "gpt_writes", "vcpu_switches",
    "guest_cycles", "system_calls", "kernel_accesses", "context_switches", "cr3_loads", "invlpgs", "shootdowns",
    "cow_faults", "write_faults", "forks", "process_exits", "table_pages_freed", "pages_logged",
    "mmu_updates", "tables_validated", "validated_entries", "software_tlb_hits",
    "blocked_cycles", "host_page_outs", "host_page_ins", "host_read_ahead", "false_reads", "prevented_reads",
    "major_faults", "guest_page_outs", "guest_page_ins", "double_page_outs", "double_page_ins", "stale_reads",
    "guest_slots_freed", "balloon_inflated", "balloon_deflated", "balloon_frames_won", "balloon_pops",
    "host_slots_dropped",
    "log_entries_read", "pages_marked", "pages_collected",  # of a VMM that asks what is modified: all stay 0
    "invvpids_address", "invvpids_context", "invepts",
    *(event.name.lower() for event in Event if event > Event.INVEPTS),  # of what this oracle does not know: all stay 0
)  # fmt: skip
SIZED = (
    "backed_4k", "backed_2m", "backed_1g", "backed_smaller", "mapped_4k", "mapped_2m", "mapped_1g", "mapped_smaller",
    "filled_4k", "filled_2m", "filled_1g", "filled_splintered", "large_mapped", "large_unmapped", "guest_splits",
    "ranges_scanned", "collapsed", "collapse_copied", "collapse_added",
    "blocks_scanned", "promoted", "promote_copied", "promote_added",
)  # fmt: skip  # counted where a host may have large pages
FOUND = ("l1_refs", "l2_refs", "llc_refs", "memory_refs")  # counted where a host has data caches
LOG_EXITS = ("pml_full",)  # of `nested` with a log of modified pages
PROMOTION_EXITS = ("promotion",)  # where the VMM promotes small pages
PAGING_EXITS = ("swap_in", "reclaim")  # where the host pages
COMPRESSION_EXITS = ("decompress",)  # where it compresses
POWER_EXITS = ("power",)  # where a guest of the host is powered off, or reboots
BALLOON_EXITS = ("balloon", "balloon_pop")  # where a guest of the host has a balloon
EXITS = {
    "native": (),
    "nested": ("ept_violation_data", "ept_violation_table", "vcpu_switch"),
    "shadow": ("true_fault", "hidden_fault", "trace_fault", "cr3_load", "invlpg", "vcpu_switch"),
    "paravirt": ("true_fault", "hypercall", "vcpu_switch"),
    "software_tlb": ("tlb_miss", "tlb_refill", "cr3_load", "invlpg", "vcpu_switch"),
}


Leaf = tuple[int, bool, bool, bool]


@dataclass(frozen=True)
class OracleResult:
    """Lists run over rows: 0 is the warm-up, n the n-th phase. Times are cycles of the VM's host."""

    counters: dict[str, list[dict[str, int]]]  # [vm][row][event]
    exits: dict[str, list[dict[str, tuple[int, int]]]]  # [vm][row][reason] -> (count, cycles)
    elapsed: dict[str, list[int]]  # [vm][row] from its first entry (at the VM's start) to its last retirement
    frames: dict[str, dict[str, int]]  # [host]: total, free, private, shared, overhead, reserved
    pages: dict[str, dict[str, int]]  # [vm]: configured, private, unbacked, guest_free, guest_tables, guest_kernel
    kills: dict[str, list[Kill]]  # [vm]
    clocks: dict[str, list[int]]  # [host][core]: where the core's clock stands
    pmap: dict[str, dict[int, int]]  # [vm][ppn] -> mpn, backed pages only
    spaces: dict[str, dict[Place, dict[Place, Leaf]]]  # [vm][slot, root][level, vpn >> 9(level-1)]: ppn, A, D, W
    sharers: dict[str, dict[int, int]]  # [vm][ppn]: mappings besides the first, where there are any
    host_entries: dict[str, dict[Place, tuple[int, bool, bool]]]  # [vm][level, ppn >> 9(level-1)]: mpn, A, D

    @property
    def guest_entries(self) -> dict[str, dict[Place, tuple[int, bool, bool]]]:
        """[vm][level, vpn >> 9(level-1)]: ppn, A, D, of the VM's first process."""
        return {vm: {where: entry[:3] for where, entry in spaces[0, 0].items()} for vm, spaces in self.spaces.items()}
