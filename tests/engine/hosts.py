"""Random hosts: cores, quanta, any MMU of the modes asked for; where asked for, with large pages."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from engine.processors import large_tlbs, processors, shapes
from engine.workloads import nanoseconds
from hypothesis import strategies as st
from oracle import tiny

from vmcfg.scenario.spec import PAGE_BYTES, SHARED, Host, Mmu, Promotion, ShadowPaging

PAGE_SIZES = (4 << 10, 2 << 20, 1 << 30)


@st.composite
def some_hosts(draw: Any, hz: int, modes: tuple[str, ...]) -> Host:
    """A host of any of the modes, still without a size."""
    mode = draw(st.sampled_from(modes))
    cpu = draw(processors(hz))
    # Where a switch takes the whole quantum, vCPUs that share a core do nothing but switch, for ever.
    quantum = cpu.costs["exit"] + draw(st.sampled_from((1, 100, 1000, 5000)))
    return tiny.host(
        cpu=cpu,
        cores=draw(st.integers(1, 3)),
        quantum_ns=nanoseconds(quantum, hz),
        mmu=draw(_mmus(mode, "ept_ad" in cpu.features)),
    )


@st.composite
def with_large_pages(draw: Any, host: Host) -> Host:
    """The host with large pages if it is nested, and a processor that holds those of 2 MiB."""
    homes = evolve(draw(large_tlbs(shapes())), l1_2m=draw(st.just(SHARED) | shapes()))
    may_be_large = host.mmu.mode == "shadow" or (host.mmu.mode == "nested" and host.mmu.host_levels > 1)
    size = 2 << 20 if may_be_large and draw(st.booleans()) else PAGE_BYTES
    return evolve(host, cpu=evolve(host.cpu, large_tlbs=homes), mmu=evolve(host.mmu, page_size=size))


@st.composite
def _mmus(draw: Any, mode: str, has_ept_ad: bool) -> Mmu:
    """Any host table, with any use of its caches; half of the trees have large pages."""
    vpid, pcid = draw(st.booleans()), draw(st.booleans())
    if mode == "native":
        return Mmu(mode, PAGE_BYTES, vpid, pcid=pcid)
    if mode == "shadow":
        is_large = draw(st.integers(0, 2)) == 0
        size, table_size = (draw(st.sampled_from(PAGE_SIZES)) if is_large else PAGE_BYTES for _ in range(2))
        promotion = draw(_promotions) if draw(st.integers(0, 2)) == 0 else None
        return Mmu(mode, size, vpid, shadow=draw(shadow_paging()), table_page_size=table_size, promotion=promotion)
    levels = draw(st.sampled_from((4, 4, 5, 1)))
    kinds = ("all", "all", "1d", "2d", "2d_nested_tlb", "2d_nested_tlb_data", "2d_nested_tlb_data")
    pml = has_ept_ad and draw(st.booleans())
    is_large = levels > 1 and draw(st.booleans())
    size, table_size = (draw(st.sampled_from(PAGE_SIZES)) if is_large else PAGE_BYTES for _ in range(2))
    kind = draw(st.sampled_from(kinds))
    plain = Mmu(mode, size, vpid, levels, kind, pml=pml, table_page_size=table_size, pcid=pcid)
    may_promote = levels > 1 and draw(st.booleans())
    return evolve(plain, promotion=draw(_promotions)) if may_promote else plain


_promotions = st.builds(Promotion, st.integers(5, 60), st.integers(1, 3), st.sampled_from((0, 500, 511, 511)))


@st.composite
def shadow_paging(draw: Any) -> ShadowPaging:
    """Any variant, with what it may be combined with."""
    variant = draw(st.sampled_from(("virtual_tlb", "cached", "cached", "unsync")))
    return ShadowPaging(
        variant,
        installs_on_write=variant == "cached" and draw(st.booleans()),
        bypasses_not_present=variant != "virtual_tlb" and draw(st.booleans()),
        cr3_targets=draw(st.integers(0, 4)) if variant == "cached" else 0,
        unsync_slots=draw(st.integers(1, 4)),
    )
