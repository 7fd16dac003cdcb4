"""A second copy of the kernels, as plain Python, beside the compiled ones and on the same arrays.

The machine code cannot be watched, and code that logs has no place in a hot loop. But a kernel is a plain function
behind a decorator: here the modules of the machine wing are executed once more, and where they import `vmcfg.jit` they
are handed its plain door. So what is watched is not a model of the kernels, it is the kernels.

Each module of the copy gets an `__import__` of its own, which leads to other modules of the copy. Nothing is put into
`sys.modules`, so the package itself never meets its twin. A watched function is replaced as soon as its module has
been executed, before anybody can import it: all callers, in its own module too, call what watches it.
"""

from __future__ import annotations

import builtins
import functools
import importlib.util
import inspect
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from vmcfg import jit
from vmcfg.jit import plain

COPIED = ("digest", "rng", "hardware", "vmm", "mmu", "guest", "workload", "reclaim", "engine")

Run = Callable[[], Any]
Arguments = Mapping[str, Any]
Watcher = Callable[[Run, Arguments], Any]
"""Called in place of a function: `run()` calls the function itself, `arguments` are what it was given, by name."""


class Twin:
    """A copy of the kernel modules. `watchers` by the full name of the function that each stands before."""

    def __init__(self, watchers: Mapping[str, Watcher]) -> None:
        self._watchers = watchers
        self._modules: dict[str, ModuleType] = {"vmcfg.jit": _plain_door()}
        self._builtins = {**vars(builtins), "__import__": self._import}

    def module(self, name: str) -> ModuleType:
        """Return the copy of a module, such as `vmcfg.engine.turn`."""
        if name not in self._modules:
            self._modules[name] = self._execute(name)
        return self._modules[name]

    def _execute(self, name: str) -> ModuleType:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        module = ModuleType(name)
        if spec.submodule_search_locations is not None:  # a package: nothing but what leads to its modules
            return module
        code = spec.loader.get_code(name)  # type: ignore[union-attr]
        module.__dict__["__builtins__"] = self._builtins
        exec(code, module.__dict__)
        self._watch(module)
        return module

    def _watch(self, module: ModuleType) -> None:
        for name, watcher in self._watchers.items():
            owner, _, function = name.rpartition(".")
            if owner == module.__name__:
                setattr(module, function, _watched(getattr(module, function), watcher))

    def _import(self, name: str, *rest: Any) -> Any:
        """Do what `__import__` does, for modules of the copy; `rest` is globals, locals, names, level."""
        names = rest[2] if len(rest) > 2 else ()
        if not (name == "vmcfg.jit" or _is_copied(name)):
            return builtins.__import__(name, *rest)
        module = self.module(name)
        for submodule in names or ():
            if not hasattr(module, submodule):
                setattr(module, submodule, self.module(f"{name}.{submodule}"))
        return module


def _is_copied(name: str) -> bool:
    package, _, rest = name.partition(".")
    return package == "vmcfg" and rest.partition(".")[0] in COPIED


def _plain_door() -> ModuleType:
    """Return `vmcfg.jit` as VMCFG_KERNELS=plain would give it."""
    door = ModuleType("vmcfg.jit")
    for name in jit.__all__:
        setattr(door, name, getattr(plain, name, getattr(jit, name)))
    door.PLAIN = True  # type: ignore[attr-defined]
    return door


def _watched(function: Callable[..., Any], watcher: Watcher) -> Callable[..., Any]:
    signature = inspect.signature(function)

    def watched(*args: Any) -> Any:
        return watcher(functools.partial(function, *args), signature.bind(*args).arguments)

    return watched
