"""The one door between kernels and numba.

A kernel is a plain Python function over integers and arrays. `kernel` marks a piece that is inlined into
others, `entry` one that Python calls and whose machine code is kept on disk. With `VMCFG_KERNELS=plain` both
hand the function back untouched, so that every kernel can also be run, stepped through and tested as Python.

Three facts about numba decide the shape of this file:

* Its disk cache does not notice an edit in a *called* function of another file. The cache folder is therefore
  named by a digest of all of the package's sources: a stale kernel can never be loaded.
* A helper that takes arrays and is called, not inlined, counts references on each of them: ten times slower.
  `forceinline` and `_nrt=False` remove both the call and the counting.
* An intrinsic cannot run as plain Python. Each one here stands beside a twin that can.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])

PLAIN = os.environ.get("VMCFG_KERNELS") == "plain"
PACKAGE = Path(__file__).parent
LANES = 4  # tags compared at once by `match4`: one AVX2 register, two of SSE2


def sources_digest() -> str:
    """Return 16 hex digits that change with any source file of the package."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(PACKAGE).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def cache_directory() -> Path:
    """Return the folder for this version's machine code: under VMCFG_CACHE_DIR, XDG_CACHE_HOME or ~/.cache."""
    named = os.environ.get("VMCFG_CACHE_DIR")
    root = Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vmcfg"
    return root / f"kernels-{sources_digest()}"


def is_compiled(function: Any) -> bool:
    """Tell whether `function` (made by `entry`) has machine code already, in memory or on disk."""
    if PLAIN or function.signatures:
        return True
    directory = Path(numba.config.CACHE_DIR)
    return any(directory.rglob(f"*.{function.py_func.__name__}-*.nbi"))


if PLAIN:

    def kernel(function: F) -> F:
        """Hand back a piece of a kernel as it is."""
        return function

    def entry(function: F) -> F:
        """Hand back a kernel as it is, but let unsigned arithmetic wrap in silence as it does when compiled."""

        def wrapped(*args: Any) -> Any:
            with np.errstate(over="ignore"):
                return function(*args)

        return wrapped  # type: ignore[return-value]

    def prefetch(array: Any, index: int) -> None:
        """Do nothing: a prefetch has no result."""

    def match4(tags: Any, first: int, tag: int) -> int:
        """Return a mask of four bits: which of tags[first : first + 4] equal `tag`."""
        return sum(1 << lane for lane in range(LANES) if tags[first + lane] == tag)

    def lowest_bit(mask: int) -> int:
        """Return the index of the lowest set bit of a mask that is not zero."""
        mask = int(mask)
        return (mask & -mask).bit_length() - 1

else:
    import tempfile

    import numba
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic

    def _usable_cache() -> str:
        directory = cache_directory()
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=directory):
                return str(directory)
        except OSError:
            return tempfile.mkdtemp(prefix="vmcfg-kernels-")

    numba.config.CACHE_DIR = _usable_cache()
    _OPTIONS = {"error_model": "numpy", "_nrt": False}

    def kernel(function: F) -> F:
        """Make `function` a piece of compiled kernels: always inlined, never counting references."""
        return numba.njit(forceinline=True, **_OPTIONS)(function)  # type: ignore[no-any-return]

    def entry(function: F) -> F:
        """Make `function` a kernel that Python calls; its machine code is kept on disk."""
        return numba.njit(cache=True, **_OPTIONS)(function)  # type: ignore[no-any-return]

    def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
        data = context.make_array(array_type)(context, builder, array).data
        return builder.gep(data, [index])

    @intrinsic
    def prefetch(typing_context, array, index):  # type: ignore[no-untyped-def]
        """Ask the memory system for array[index]; out of range is harmless."""

        def code(context, builder, signature, args):  # type: ignore[no-untyped-def]
            pointer = _pointer(context, builder, signature.args[0], *args)
            byte_pointer = ir.IntType(8).as_pointer()
            int32 = ir.IntType(32)
            call_type = ir.FunctionType(ir.VoidType(), [byte_pointer, int32, int32, int32])
            function = cgutils.get_or_insert_function(builder.module, call_type, "llvm.prefetch.p0")
            flags = [int32(0), int32(3), int32(1)]  # read, keep in all caches, data
            builder.call(function, [builder.bitcast(pointer, byte_pointer), *flags])
            return context.get_dummy_value()

        return types.void(array, types.int64), code

    @intrinsic
    def match4(typing_context, tags, first, tag):  # type: ignore[no-untyped-def]
        """Return a mask of four bits: which of tags[first : first + 4] equal `tag`, by one vector compare."""

        def code(context, builder, signature, args):  # type: ignore[no-untyped-def]
            array, index, value = args
            vector = ir.VectorType(ir.IntType(64), LANES)
            pointer = builder.bitcast(_pointer(context, builder, signature.args[0], array, index), vector.as_pointer())
            found = builder.load(pointer)
            found.align = 8
            wanted = ir.Constant(vector, ir.Undefined)
            for lane in range(LANES):
                wanted = builder.insert_element(wanted, value, ir.IntType(32)(lane))
            equal = builder.icmp_signed("==", found, wanted)
            return builder.zext(builder.bitcast(equal, ir.IntType(LANES)), ir.IntType(64))

        return types.int64(tags, types.int64, types.int64), code

    @intrinsic
    def lowest_bit(typing_context, mask):  # type: ignore[no-untyped-def]
        """Return the index of the lowest set bit of a mask that is not zero."""

        def code(context, builder, signature, args):  # type: ignore[no-untyped-def]
            return builder.cttz(args[0], ir.IntType(1)(1))

        return types.int64(types.int64), code
