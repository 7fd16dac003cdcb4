"""Machine code is kept under a digest of the sources that it is made from: all that kernels name must be among them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from sources import PACKAGE, Source, functions, sources

from vmcfg.jit import compiled

DECORATORS = {"entry", "kernel", "part"}


def test_kernels_name_nothing_that_the_digest_leaves_out() -> None:
    """Neither functions nor constants, whether a kernel names them or a constant that it names does."""
    assert [] == [f"{source.path}: {name} of {module}" for source in sources() for name, module in _outside(source)]


def test_what_is_not_in_the_digest_would_be_found() -> None:
    """A kernel that names a constant through another one, which comes from a room without kernels."""
    text = "from vmcfg.plan.model import A\nB = A + 1\n@kernel\ndef f(x):\n    return x + B\n"
    assert [("A", "vmcfg.plan.model")] == list(_outside(Source("vmm/made_up.py", text, ast.parse(text))))


@pytest.mark.parametrize("room", compiled.KERNEL_ROOMS)
def test_every_room_of_kernels_is_there(room: str) -> None:
    """A folder that is renamed would silently leave the digest."""
    assert (PACKAGE / room).exists()


def test_an_edit_of_any_source_of_kernels_changes_the_digest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One of a callee's file too: numba itself looks at the file of the entry alone."""
    (tmp_path / "vmm").mkdir()
    (tmp_path / "vmm" / "frames.py").write_text("A = 1\n")
    (tmp_path / "cli.py").write_text("A = 1\n")
    monkeypatch.setattr(compiled, "PACKAGE", tmp_path)
    monkeypatch.setattr(compiled, "KERNEL_ROOMS", ("vmm",))
    before = compiled.sources_digest()
    (tmp_path / "cli.py").write_text("A = 2\n")
    assert before == compiled.sources_digest()
    (tmp_path / "vmm" / "frames.py").write_text("A = 2\n")
    assert before != compiled.sources_digest()


def _outside(source: Source) -> Iterator[tuple[str, str]]:
    """Yield what kernels of a file name, and the module it comes from, where that is ours and not in the digest."""
    modules = {
        alias.asname or alias.name: f"{node.module}.{alias.name}" if node.module == "vmcfg" else str(node.module)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    constants = {
        name.id: node.value
        for node in source.tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        for name in ast.walk(target)
        if isinstance(name, ast.Name)
    }
    reached = [name for function in functions(source.tree) if _is_kernel(function) for name in _names(function)]
    for name in reached:  # grows while it is walked
        if name in constants:
            reached += _names(constants.pop(name))
    ours = ((name, modules[name]) for name in dict.fromkeys(reached) if modules.get(name, "").startswith("vmcfg."))
    yield from ((name, module) for name, module in ours if not _is_in_digest(module))


def _is_kernel(function: ast.FunctionDef) -> bool:
    return any(isinstance(decorator, ast.Name) and decorator.id in DECORATORS for decorator in function.decorator_list)


def _names(tree: ast.AST) -> list[str]:
    return [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]


def _is_in_digest(module: str) -> bool:
    room = module.split(".")[1]
    return room in compiled.KERNEL_ROOMS or f"{room}.py" in compiled.KERNEL_ROOMS
