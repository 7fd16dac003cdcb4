"""Who may import whom: the table, and the package held to it by reading its sources, never by importing them."""

from __future__ import annotations

import ast
import sys
from functools import cache

import pytest
from sources import PACKAGE, Import, Source, imports, sources

# What each room may import of ours: a room, or one module of it. A room may always import itself. In the order in
# which data flows; `docs/architecture.md` says the same in prose.
GROUND = ("errors", "units", "terms", "resources", "files")
MACHINE_STATE = ("digest", "jit", "metrics.events", "hardware", "vmm")
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "errors": (),
    "terms": (),
    "files": ("errors",),
    "resources": ("errors",),
    "unit_hints": (),
    "units": ("unit_hints",),
    "scenario": GROUND,
    "jit": (),
    "rng": ("jit",),
    "digest": ("jit",),
    "metrics": ("errors",),
    "hardware": ("jit",),
    "vmm": (*MACHINE_STATE, "reclaim", "rng", "workload.zipf"),
    "mmu": MACHINE_STATE,
    "guest": (*MACHINE_STATE, "mmu", "reclaim", "workload.fields"),
    "workload": ("errors", "jit", "rng", "scenario.spec", "scenario.trace_files", "vmm.machine"),
    "reclaim": ("jit", "rng"),
    "plan": ("errors", "units", "scenario.spec", "scenario.trace_files", "metrics.events"),
    "engine": (
        "errors", "metrics", *MACHINE_STATE, "mmu", "guest", "workload", "rng", "scenario.spec", "plan",
        "allocation", "reclaim",
    ),
    "allocation": (),
    "trace": ("errors", "jit", "metrics.events", "hardware", "vmm", "mmu", "guest", "workload", "plan", "engine"),
    "tables": ("metrics", "scenario.spec"),
    "api": ("errors", "scenario", "plan", "engine", "metrics", "tables"),
    "golden": ("errors", "files", "api", "metrics", "tables"),
    "bench": (
        "scenario", "plan", "engine", "hardware", "jit", "metrics.events", "reclaim", "rng", "vmm.machine", "workload",
    ),
    "cli": (
        *GROUND, "api", "bench", "engine", "golden", "plan", "reclaim", "scenario", "tables", "trace",
        "workload.traces",
    ),
    "__init__": ("api",),
    "__main__": ("cli",),
}  # fmt: skip

FRONT = ("errors", "terms", "files", "resources", "unit_hints", "units", "scenario")
MACHINE = (
    "jit", "rng", "digest", "hardware", "vmm", "mmu", "guest", "workload", "reclaim", "allocation", "engine", "trace",
)

# Where each third-party package enters: one file, or one room.
ENTERS_BY = {
    "cachesim": ("bench/tlb_peer.py",),
    "jsonschema": ("scenario/schema.py",),
    "libcachesim": ("bench/replacement_peer.py",),
    "llvmlite": ("jit/intrinsics.py", "jit/reference.py"),
    "numba": ("jit/beside.py", "jit/compiled.py", "jit/intrinsics.py", "jit/pieces.py", "jit/reference.py"),
    "referencing": ("scenario/schema.py",),
    "siphash24": ("rng.py",),
    "tabulate": ("tables/layout.py",),
    "tqdm": ("cli/running.py",),
    "yaml": ("scenario/reading.py",),
    "zstandard": ("workload/traces/compression.py",),
}
EVERYWHERE = {"attrs", "numpy"}  # values are attrs; NumPy everywhere but in the front wing: see below
NUMPY_ROOMS = {
    "rng", "digest", "hardware", "vmm", "mmu", "guest", "workload", "reclaim", "engine", "trace", "jit", "bench",
}  # fmt: skip

# For the progress line and for speed, never for a result.
CLOCK_FILES = {"engine/simulate.py", "bench/measure.py", "bench/tlb_peer.py", "bench/replacement_peer.py"}
YARDSTICK = "bench/yardsticks.py"  # draws the places of a gather that is only timed
ROUNDING_FILES = {"workload/zipf.py"}  # says why a wrong last bit cannot show
INEXACT = {"exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "pow", "power", "float_power", "sin", "cos", "tanh"}


def is_allowed(found: Import) -> bool:
    """Tell whether the table lets a file import a module of ours."""
    wanted = found.module.removeprefix("vmcfg").removeprefix(".")
    room = found.source.room
    return any(wanted == each or wanted.startswith(f"{each}.") for each in (room, *MAY_IMPORT[room])) or not wanted


def third_party() -> list[Import]:
    known = {"vmcfg", "__future__", *sys.stdlib_module_names}
    return [found for found in imports() if found.module.split(".")[0] not in known]


@cache
def calls(source: Source) -> tuple[tuple[int, str], ...]:
    """Return (line, dotted name) of every attribute or name that a file uses."""
    nodes = [node for node in ast.walk(source.tree) if isinstance(node, (ast.Attribute, ast.Name))]
    return tuple((node.lineno, _dotted(node)) for node in nodes)


def test_every_room_stands_in_the_table() -> None:
    """A new room has to say who it may import before anything else."""
    assert [] == sorted({source.room for source in sources()} - MAY_IMPORT.keys())


def test_rooms_import_only_whom_they_may() -> None:
    """Also inside functions and for types: one wing speaks about the other by the scenario's types alone."""
    ours = [found for found in imports() if found.module.split(".")[0] == "vmcfg"]
    assert len(ours) > 100
    assert [] == [str(found) for found in ours if not is_allowed(found)]


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_the_table_allows_nothing_that_nobody_needs(room: str) -> None:
    """A right that is not used is a door that stands open."""
    used = [found.module.removeprefix("vmcfg.") for found in imports() if found.source.room == room]
    unused = [each for each in MAY_IMPORT[room] if not any(f"{name}.".startswith(f"{each}.") for name in used)]
    assert [] == [each for each in unused if each not in GROUND + MACHINE_STATE]


def test_the_front_wing_knows_no_machine() -> None:
    """Neither NumPy nor numba nor any room of the machine wing: validating costs no import of them."""
    forbidden = {"numpy", "numba", *(f"vmcfg.{room}" for room in MACHINE)}
    found = [each for each in imports() if each.source.room in FRONT]
    assert [] == [str(each) for each in found if {each.module.split(".")[0], _room_of(each.module)} & forbidden]


def test_the_machine_wing_knows_no_yaml() -> None:
    """Of the scenario it sees the checked values and nothing of the text that they came from."""
    allowed = {"vmcfg.scenario.spec", "vmcfg.scenario.trace_files"}
    found = [each for each in imports() if each.source.room in MACHINE]
    assert [] == [str(each) for each in found if each.module.split(".")[0] in ("yaml", "jsonschema", "referencing")]
    assert [] == [
        str(each) for each in found if _room_of(each.module) == "vmcfg.scenario" and each.module not in allowed
    ]


def test_each_third_party_package_enters_by_its_own_door() -> None:
    """What a package is for, and what it would take to replace it, can be read in one place."""
    found = third_party()
    assert sorted(ENTERS_BY) == sorted({each.module.split(".")[0] for each in found} - EVERYWHERE)
    strangers = [each for each in found if each.module.split(".")[0] not in EVERYWHERE]
    assert [] == [str(each) for each in strangers if each.source.path not in ENTERS_BY[each.module.split(".")[0]]]


def test_numpy_stays_in_the_machine_wing() -> None:
    """Tables, goldens, the command line and the plan work with Python's exact integers."""
    found = [each for each in third_party() if each.module.split(".")[0] == "numpy"]
    assert [] == [str(each) for each in found if each.source.room not in NUMPY_ROOMS]


def test_only_the_command_line_prints() -> None:
    """Everyone else returns values or raises errors."""
    speaking = {"print", "input", "sys.stdout", "sys.stderr"}
    wire = "engine/worker.py"  # it says pickled results to its parent, nothing to people
    files = [source for source in sources() if source.room not in ("cli", "__main__") and str(source.path) != wire]
    assert [] == [
        f"{source.path}:{line} {name}" for source in files for line, name in calls(source) if name in speaking
    ]


def test_nothing_depends_on_a_clock_or_on_chance() -> None:
    """Real time is measured for people in two files; random numbers come from named streams."""
    asking = [each for each in imports() if each.module.split(".")[0] in ("random", "secrets", "uuid", "datetime")]
    assert [] == [str(each) for each in asking]
    timing = [each for each in imports() if each.module == "time"]
    assert sorted(CLOCK_FILES) == sorted({each.source.path for each in timing})
    used = {name for source in sources() for _, name in calls(source) if name.startswith("time.")}
    assert {"time.perf_counter"} == used
    drawing = {source.path for source in sources() for _, name in calls(source) if name.startswith("np.random")}
    assert {YARDSTICK} == drawing


def test_no_result_depends_on_a_mathematical_library() -> None:
    """exp, log and pow differ between machines in the last bit; hash and the order of sets between processes."""
    names = {f"{library}.{name}" for library in ("math", "np") for name in INEXACT}
    files = [source for source in sources() if source.path not in ROUNDING_FILES]
    assert [] == [f"{source.path}:{line} {name}" for source in files for line, name in calls(source) if name in names]
    rooms = [source for source in sources() if source.room in MACHINE]
    assert [] == [f"{source.path}:{line}" for source in rooms for line, name in calls(source) if name == "hash"]
    assert [] == [f"{source.path}:{line}" for source in rooms for line in _loops_over_sets(source)]


def test_the_rooms_are_described() -> None:
    """docs/architecture.md names each folder of the package."""
    text = (PACKAGE / "docs" / "architecture.md").read_text("utf-8")
    folders = {source.room for source in sources() if "/" in source.path}
    assert [] == sorted(folder for folder in folders if f"{folder}/" not in text)


def _dotted(node: ast.AST) -> str:
    """Return the dotted name; of what no name stands before, such as a call, the text."""
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ast.unparse(node)


def _room_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


def _loops_over_sets(source: Source) -> list[int]:
    loops = [node for node in ast.walk(source.tree) if isinstance(node, (ast.For, ast.comprehension))]
    return [node.iter.lineno for node in loops if isinstance(node.iter, (ast.Set, ast.SetComp))]
