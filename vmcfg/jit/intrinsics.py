"""Three instructions that Python has no word for, written as LLVM code. Their twins are in `jit.plain`."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from vmcfg.jit.reference import place_of

_LANES = 4
_INT32 = ir.IntType(32)
_INT64 = ir.IntType(64)


@intrinsic  # type: ignore[untyped-decorator]
def prefetch(typing_context, array, index):  # type: ignore[no-untyped-def]
    """Ask the memory system for array[index]; a place out of range is harmless."""

    def code(context, builder, signature, args):  # type: ignore[no-untyped-def]
        byte_pointer = ir.IntType(8).as_pointer()
        call_type = ir.FunctionType(ir.VoidType(), [byte_pointer, _INT32, _INT32, _INT32])
        function = cgutils.get_or_insert_function(builder.module, call_type, "llvm.prefetch.p0")
        place = builder.bitcast(place_of(context, builder, signature.args[0], *args), byte_pointer)
        builder.call(function, [place, _INT32(0), _INT32(3), _INT32(1)])  # to read, keep in all caches, data
        return context.get_dummy_value()

    return types.void(array, types.int64), code


@intrinsic  # type: ignore[untyped-decorator]
def match4(typing_context, tags, first, tag):  # type: ignore[no-untyped-def]
    """Return a mask of four bits: which of tags[first : first + 4] equal `tag`, by one vector compare."""

    def code(context, builder, signature, args):  # type: ignore[no-untyped-def]
        array, index, value = args
        vector = ir.VectorType(_INT64, _LANES)
        place = place_of(context, builder, signature.args[0], array, index)
        found = builder.load(builder.bitcast(place, vector.as_pointer()))
        found.align = 8
        wanted = ir.Constant(vector, ir.Undefined)
        for lane in range(_LANES):
            wanted = builder.insert_element(wanted, value, _INT32(lane))
        equal = builder.icmp_signed("==", found, wanted)
        return builder.zext(builder.bitcast(equal, ir.IntType(_LANES)), _INT64)

    return types.int64(tags, types.int64, types.int64), code


@intrinsic  # type: ignore[untyped-decorator]
def lowest_bit(typing_context, mask):  # type: ignore[no-untyped-def]
    """Return the index of the lowest set bit of a mask that is not zero."""

    def code(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.cttz(args[0], ir.IntType(1)(1))

    return types.int64(types.int64), code
