"""The one door between kernels and numba.

A kernel is a plain Python function over integers and arrays. Three decorators mark what it is for:

    entry    Python calls it; its machine code is kept on disk
    kernel   a small piece, always inlined into its callers
    part     a larger piece, called, or inlined where LLVM thinks that worth it

An entry that many loops need, or few runs, is not linked into them: its machine code is called by its address.

With `VMCFG_KERNELS=plain` all three hand the function back untouched, so that every kernel can also be run,
stepped through and tested as Python. Nothing else in the package imports numba.

Two facts about numba decide the shape of this room. Its disk cache does not notice an edit in a *called*
function of another file: the cache folder is therefore named by a digest of all sources that kernels are made
from, and a stale kernel can never be loaded. And a function that takes many arrays pays for each of them, at every
call and at every compilation: a machine is therefore handed on by reference (`jit.reference`).
"""

from __future__ import annotations

import os

PLAIN = os.environ.get("VMCFG_KERNELS") == "plain"

if PLAIN:
    from vmcfg.jit.plain import (
        address_of,
        borrows,
        by_reference,
        call,
        count_bits,
        entry,
        is_compiled,
        kernel,
        lowest_bit,
        match4,
        match8,
        match16,
        part,
        pinned,
        prefetch,
        prepare,
        to_front8,
        to_front16,
        to_front32,
        unlikely,
    )
else:
    from vmcfg.jit.compiled import address_of, entry, is_compiled, kernel, part, prepare
    from vmcfg.jit.intrinsics import (
        count_bits,
        lowest_bit,
        match4,
        match8,
        match16,
        prefetch,
        to_front8,
        to_front16,
        to_front32,
        unlikely,
    )
    from vmcfg.jit.reference import borrows, by_reference, call, pinned

__all__ = [
    "PLAIN",
    "address_of",
    "as_python",
    "borrows",
    "by_reference",
    "call",
    "count_bits",
    "entry",
    "is_compiled",
    "kernel",
    "lowest_bit",
    "match4",
    "match8",
    "match16",
    "named",
    "part",
    "pinned",
    "prefetch",
    "prepare",
    "to_front8",
    "to_front16",
    "to_front32",
    "unlikely",
]


def named(name):
    """Return a decorator that gives a function another name: under it, an entry's machine code is kept and found.

    Specialisations of one function share its name otherwise, and one with machine code would speak for all.
    """

    def rename(function):
        function.__name__ = function.__qualname__ = name
        return function

    return rename


def as_python(function):
    """Return the plain function behind a kernel, to be called from Python (it must call no other kernel)."""
    return getattr(function, "py_func", function)
