"""Guests' page tables that do not fit a mode, and settings that do not fit a page table: rows of `machine.REFUSED`."""

from __future__ import annotations

from typing import Any

from vmcfg.scenario.checks.refusal import Refusal
from vmcfg.scenario.layout import PAGE_TABLES_OF_32_BITS


def _without_paging(key: str, usual: Any, why: str) -> Refusal:
    return Refusal(
        f"{key} without paging", "vms", (key,), (),
        lambda _, vm: vm["page_table"] == "none" and vm[key] != usual,
        f"{str(usual).lower()} where page_table is none", why,
    )


REFUSED = (
    Refusal(
        "paging off elsewhere", "vms", ("page_table",), ("mmu", "mode"),
        lambda host, vm: host["mmu"]["mode"] != "nested" and vm["page_table"] == "none",
        "a page table but in mode nested", "elsewhere nothing translates what a guest does not",
    ),
    _without_paging("populate", "on_touch", "there is no page table to fill"),
    _without_paging("zero_on_fault", True, "the guest has no page faults"),
    _without_paging("page_size", "4KiB", "the guest has no pages of its own"),
    _without_paging("kpti", False, "there is no page table to keep the kernel out of"),
    Refusal(
        "32 bits in other modes", "vms", ("page_table",), ("mmu", "mode"),
        lambda host, vm: host["mmu"]["mode"] not in ("native", "nested") and vm["page_table"] in PAGE_TABLES_OF_32_BITS,
        "4_level or 5_level, or mode native or nested",
        "other modes know page tables of 4 and 5 levels only in this version of vmcfg",
    ),
    Refusal(
        "page_size of 1GiB in 32 bits", "vms", ("page_size",), (),
        lambda _, vm: vm["page_size"] == "1GiB" and vm["page_table"] == "pae",
        "4KiB or 2MiB where page_table is pae", "no table of a 32-bit guest has entries that map so much",
    ),
    Refusal(
        "page_size in two levels", "vms", ("page_size",), (),
        lambda _, vm: vm["page_size"] != "4KiB" and vm["page_table"] == "2_level",
        "4KiB where page_table is 2_level", "its large pages have 4MiB, and are not built yet in this version of vmcfg",
    ),
    Refusal(
        "kpti in two levels", "vms", ("kpti",), (),
        lambda _, vm: vm["kpti"] and vm["page_table"] == "2_level",
        "false where page_table is 2_level", "kernels of 32 bits isolate their page table with PAE only",
    ),
)
