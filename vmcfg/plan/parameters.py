"""The figures of a host's processor that a run uses, each with where it comes from.

The one place that knows how the fields of a Cpu are called in the language.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import frozen

from vmcfg.scenario.spec import CacheShape, Cpu, DataCache, Host, Mmu, Origin
from vmcfg.units import format_size

WALK_CACHES = {2: "pde", 3: "pdpte", 4: "pml4e", 5: "pml5e"}  # by the level of the entries
NESTED = ("nested",)
VIRTUAL = ("nested", "shadow", "paravirt", "software_tlb")
WALKING = ("native", "nested", "shadow", "paravirt")
SHADOW = ("shadow",)
ONLY_IN: Mapping[str, tuple[str, ...]] = {
    "walk_caches.host": NESTED,
    "nested_tlb": NESTED,
    "costs.nested_tlb_hit": NESTED,
    "costs.exit": VIRTUAL,
    "costs.ept_violation": NESTED,
    "costs.invept": NESTED,
    "costs.pml_full": NESTED,
    "costs.true_fault": ("shadow", "paravirt"),
    "costs.hidden_fault": SHADOW,
    "costs.trace_fault": SHADOW,
    "costs.shadow_cr3_load": SHADOW,
    "costs.shadow_invlpg": SHADOW,
    "costs.hypercall": ("paravirt",),
    "costs.validate_entry": ("paravirt",),
    "walk_caches": WALKING,
    "walkers": WALKING,
    "data_caches": WALKING,
    "costs.walk_": WALKING,
    "costs.tlb_refill": ("software_tlb",),
    "costs.guest_refill": ("software_tlb",),
    "costs.software_tlb_hit": ("software_tlb",),
}
"""Figures that only some modes use, by how their names begin."""

UNUSED = {
    "1d": ("walk_caches.host", "nested_tlb", "costs.nested_tlb_hit"),
    "2d": ("nested_tlb", "costs.nested_tlb_hit"),
}
"""Figures without effect in mode nested, by what `nested_caches` says."""

GUEST_OPERATIONS = ("costs.syscall", "costs.context_switch", "costs.cr3_load", "costs.copy_page", "costs.ipi")
"""Figures that only guests use whose workloads have events."""


@frozen
class Parameter:
    """One figure by its name below `hosts.NAME.cpu`; `origin` is in words."""

    name: str
    value: str
    origin: str
    is_assumed: bool


def parameters(host: Host, origins: Mapping[str, Origin], has_events: bool = False) -> Iterator[Parameter]:
    """Return the figures that matter in the host's mode, in a profile's order; `has_events`: to its guests, too."""
    for name, value in _figures(host.cpu):
        if not _is_used(name, host.mmu, has_events):
            continue
        origin = _origin(f"hosts.{host.name}.cpu.{name}", origins)
        yield Parameter(name, value, _words(origin), _is_assumed(name, host.cpu))


def _is_used(name: str, mmu: Mmu, has_events: bool) -> bool:
    modes = [modes for beginning, modes in ONLY_IN.items() if name.startswith(beginning)]
    is_idle = name.startswith(UNUSED.get(mmu.nested_caches, ())) or (name in GUEST_OPERATIONS and not has_events)
    return all(mmu.mode in each for each in modes) and not is_idle


def _figures(cpu: Cpu) -> Iterator[tuple[str, str]]:
    yield "hz", str(cpu.hz)
    yield "features", " ".join(cpu.features) or "none"
    yield "tlb.l1", _shape(cpu.l1_tlb)
    yield "tlb.l1_instructions", _shape(cpu.l1_itlb)
    yield "tlb.l2", _shape(cpu.l2_tlb)
    if cpu.large_tlbs:
        for name in ("l1_2m", "l1_1g", "l2_2m", "l2_1g"):
            home = getattr(cpu.large_tlbs, name)
            yield f"tlb.{name}", home if isinstance(home, str) else _shape(home)
    for dimension, caches in (("guest", cpu.guest_walk_caches), ("host", cpu.host_walk_caches)):
        for level, name in WALK_CACHES.items():
            yield f"walk_caches.{dimension}.{name}", _shape(caches.get(level))
    yield "nested_tlb", _shape(cpu.nested_tlb)
    yield "walkers", str(cpu.walkers)
    yield from _data_caches(cpu)
    for name, cycles in cpu.costs.items():
        if name == "walk_reference" and cpu.data_caches:
            continue  # they say what a reference costs
        yield f"costs.{name}", _cycles(cycles)


def _data_caches(cpu: Cpu) -> Iterator[tuple[str, str]]:
    if cpu.data_caches is None:
        yield "data_caches", "none"
        return
    for level in ("l1", "l2", "llc"):
        yield f"data_caches.{level}", _data_cache(getattr(cpu.data_caches, level))
    yield "data_caches.memory", _cycles(cpu.data_caches.memory_latency)


def _data_cache(cache: DataCache | None) -> str:
    if cache is None:
        return "none"
    return f"{format_size(cache.size_bytes)}, {cache.ways}-way, {_cycles(cache.latency)}"


def _cycles(cycles: int) -> str:
    return f"{cycles} cycle{'s' * (cycles != 1)}"


def _shape(shape: CacheShape | None) -> str:
    if shape is None:
        return "none"
    index = ", xor index" * (shape.index == "xor")
    return f"{shape.entries} entries, {shape.ways}-way, {shape.policy}{index}"


def _origin(path: str, origins: Mapping[str, Origin]) -> Origin:
    """Return the origin of a figure: its own, that of its parts, or that of the whole which says `none`."""
    own = [origins[at] for at in (path, f"{path}.entries", f"{path}.size", f"{path}.ways") if at in origins]
    own += [origins[at] for at in _wholes(path) if at in origins]
    return own[0] if own else Origin("default")


def _wholes(path: str) -> Iterator[str]:
    while "." in path:
        path = path.rpartition(".")[0]
        yield path


def _words(origin: Origin) -> str:
    return {
        "file": origin.where,
        "default": "default",
        "profile": f"profile {origin.where}",
        "set": f"--set {origin.where}",
        "mode": f"mode {origin.where}",
    }[origin.kind]


def _is_assumed(name: str, cpu: Cpu) -> bool:
    """A figure is assumed if it, or the whole that a profile gives one source for, is."""
    return any(name == assumed or name.startswith(assumed + ".") for assumed in cpu.assumed)
