"""How numba compiles a piece: to LLVM code that is linked into an entry, and no further.

Numba compiles each function as if Python were to call it: it links in all that the function calls, optimises
the whole, and makes machine code of it. With a hundred pieces that call one another, the same code would be
optimised at every level. Pieces are therefore left as they are, and optimised once, in the entry that they end
up in: a fraction of the time, and the same machine code. Nor is what a piece calls linked into it, which would be done
again in whatever calls the piece: an entry links all of it, once. A piece has no machine code of its own; calling it
from Python raises TypeError.
"""

from __future__ import annotations

import ctypes
import gc
from typing import Any

from numba import _dynfunc
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering


class _PieceLibrary(JITCodeLibrary):
    """LLVM code that waits to be linked into an entry, beside that of the pieces which it calls."""

    def _optimize_functions(self, ll_module: Any) -> None:
        """Leave the code as it is: an entry optimises all of it."""
        ll_module.data_layout = self._codegen._data_layout

    def finalize(self) -> None:
        """Leave the code as it is."""
        self._raise_if_finalized()
        self._finalize_dynamic_globals()
        self._finalized = True

    @property
    def called(self) -> list[Any]:
        """The libraries that this one calls."""
        return list(self._linking_libraries)


class _EntryLibrary(JITCodeLibrary):
    """Machine code of an entry, and of all pieces that it comes to call: each is linked in once, and optimised once.

    Numba would optimise twice, to find references that it need not count; kernels count none.
    """

    def finalize(self) -> None:
        self._linking_libraries = _reached_from(self._linking_libraries)
        super().finalize()

    def _optimize_final_module(self) -> None:
        passes, builder = self._codegen._module_pass_manager()
        passes.run(self._final_module, builder)


def _reached_from(libraries: list[Any]) -> list[Any]:
    """Return these libraries and all that pieces among them call, in the order in which they are met."""
    reached: dict[Any, None] = {}
    waiting = libraries[::-1]
    while waiting:
        library = waiting.pop()
        if library not in reached:
            reached[library] = None
            waiting += getattr(library, "called", [])[::-1]
    return list(reached)


@register_pass(mutates_CFG=True, analysis_only=False)
class _PieceLowering(NativeLowering):
    """Lower a function into a library of that kind."""

    _name = "vmcfg_piece_lowering"

    def run_pass(self, state: Any) -> bool:
        state.library = _PieceLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        done = super().run_pass(state)
        function = state.cr.fndesc
        refusal = _dynfunc.make_function(
            function.lookup_module(), function.qualname, "", _REFUSAL, state.cr.env, (state.library,)
        )
        state.targetctx.insert_user_function(refusal, function, [state.library])
        state.cr = state.cr._replace(cfunc=refusal)
        return bool(done)


@register_pass(mutates_CFG=True, analysis_only=False)
class _EntryLowering(NativeLowering):
    """Lower an entry into a library that links as its pieces want to be linked."""

    _name = "vmcfg_entry_lowering"

    def run_pass(self, state: Any) -> bool:
        state.library = _EntryLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return bool(super().run_pass(state))


class EntryCompiler(CompilerBase):
    """The pipeline of an entry."""

    lowering: type = _EntryLowering

    def compile_extra(self, func: Any) -> Any:
        """Compile a function and all that it calls; meanwhile nothing is collected, since nothing becomes garbage."""
        is_collecting = gc.isenabled()
        gc.disable()
        try:
            return super().compile_extra(func)
        finally:
            if is_collecting:
                gc.enable()

    def define_pipelines(self) -> list[Any]:
        """Return numba's own pipeline with the lowering of this compiler in it."""
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.passes = [
            (self.lowering, text) if passed is NativeLowering else (passed, text) for passed, text in pipeline.passes
        ]
        pipeline.finalize()
        return [pipeline]


class PieceCompiler(EntryCompiler):
    """The pipeline of a piece, of either kind."""

    lowering = _PieceLowering


@ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object, ctypes.py_object, ctypes.py_object)
def _refuse(self: Any, args: Any, kwargs: Any) -> Any:
    raise TypeError("a piece of a kernel has no machine code of its own: call an entry, or as_python(piece)")


_REFUSAL = ctypes.cast(_refuse, ctypes.c_void_p).value
