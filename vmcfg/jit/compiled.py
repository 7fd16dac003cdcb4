"""Kernels compiled by numba, and where their machine code is kept."""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba

from vmcfg.jit.beside import compile_beside, wait_for
from vmcfg.jit.pieces import EntryCompiler, PieceCompiler
from vmcfg.jit.reference import Pinned

F = TypeVar("F", bound=Callable[..., Any])

PACKAGE = Path(__file__).parent.parent

# Where kernels lie, and all that they name: functions, and constants, which are part of the machine code.
KERNEL_ROOMS = (
    "bench", "digest.py", "engine", "guest", "hardware", "jit", "metrics", "mmu", "reclaim", "rng.py", "vmm",
    "workload",
)  # fmt: skip

# Kernels allocate nothing: without numba's runtime, no reference is ever counted.
_OPTIONS = {"error_model": "numpy", "_nrt": False}
# Only kernels call pieces: wrappers for calls from Python and from C would be compiled for nothing.
_PIECE = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, **_OPTIONS}


def sources_digest() -> str:
    """Return 16 hex digits that change with any source file from which machine code is made."""
    digest = hashlib.blake2b(digest_size=8)
    rooms = [PACKAGE / room for room in KERNEL_ROOMS]
    for path in sorted(path for room in rooms for path in (room.rglob("*.py") if room.is_dir() else [room])):
        digest.update(path.relative_to(PACKAGE).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def cache_directory() -> Path:
    """Return the folder for this version's machine code: under VMCFG_CACHE_DIR, XDG_CACHE_HOME or ~/.cache."""
    named = os.environ.get("VMCFG_CACHE_DIR")
    root = Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vmcfg"
    return root / f"kernels-{sources_digest()}"


def kernel(function: F) -> F:
    """Make `function` a small piece of compiled kernels: always inlined."""
    return _piece(function, True)


def part(function: F) -> F:
    """Make `function` a larger piece of compiled kernels: called, or inlined where LLVM thinks that worth it.

    It does where a piece is small or called from one place. Kept apart, all would cost faults a tenth more.
    """
    return _piece(function, False)


def _piece(function: F, is_inlined: bool) -> F:
    """Return a piece. Whatever constants it is called with, it is one piece.

    Numba takes a constant argument for a type of its own, and would compile the function anew for each. That gains
    nothing: LLVM sees the constants in what is inlined.
    """
    made = numba.njit(forceinline=is_inlined, pipeline_class=PieceCompiler, **_PIECE)(function)
    template_of = made.get_call_template
    made.get_call_template = lambda args, kws: template_of(tuple(map(numba.types.unliteral, args)), kws)
    return made


def entry(function: F) -> F:
    """Make `function` a kernel that Python calls; its machine code is kept on disk."""
    return numba.njit(cache=True, pipeline_class=EntryCompiler, **_OPTIONS)(function)


def prepare(function: Any, pinned: Pinned) -> None:
    """Begin to compile, beside what this process does, an entry whose address will be asked for."""
    knows_cores = hasattr(os, "sched_getaffinity")  # not every operating system does
    if knows_cores and len(os.sched_getaffinity(0)) > 1 and not is_compiled(function):
        compile_beside(function, _called_with(numba.typeof(pinned)))


def address_of(function: Any, pinned: Pinned) -> int:
    """Return where the machine code of an entry begins that takes a pinned machine and a number: for `call`."""
    return _address_of(function, numba.typeof(pinned))


@functools.cache
def _address_of(function: Any, reference: Any) -> int:
    """Compile the entry, or load it, and look up its address, which takes LLVM milliseconds."""
    wait_for(function)
    signature = _called_with(reference)
    function.compile(signature)
    compiled = function.overloads[signature]
    return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_cfunc_wrapper_name))


def _called_with(reference: Any) -> tuple[Any, Any]:
    """Return the types with which `call` calls an entry."""
    return reference, numba.int64


def is_compiled(function: Any) -> bool:
    """Tell whether a function made by `entry` has machine code already, in memory or on disk."""
    name = function.py_func.__name__
    return bool(function.signatures) or any(Path(numba.config.CACHE_DIR).rglob(f"*.{name}-*.nbi"))


def _usable_cache() -> str:
    """Return a writable cache folder; where there is none, one that lasts as long as the machine's temporary files."""
    directory = cache_directory()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return str(directory)
    except OSError:
        return tempfile.mkdtemp(prefix="vmcfg-kernels-")


numba.config.CACHE_DIR = _usable_cache()
