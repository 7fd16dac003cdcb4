"""Instructions that Python has no word for, written as LLVM code. Their twins are in `jit.plain`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from vmcfg.jit.reference import mark, place_of

_INT32 = ir.IntType(32)
_INT64 = ir.IntType(64)


@intrinsic
def prefetch(typing_context, array, index):
    """Ask the memory system for array[index]; a place out of range is harmless."""

    def code(context, builder, signature, args):
        byte_pointer = ir.IntType(8).as_pointer()
        call_type = ir.FunctionType(ir.VoidType(), [byte_pointer, _INT32, _INT32, _INT32])
        function = cgutils.get_or_insert_function(builder.module, call_type, "llvm.prefetch.p0")
        place = builder.bitcast(place_of(context, builder, signature.args[0], *args), byte_pointer)
        builder.call(function, [place, _INT32(0), _INT32(3), _INT32(1)])  # to read, keep in all caches, data
        return context.get_dummy_value()

    return types.void(array, types.int64), code


@intrinsic
def match4(typing_context, tags, first, tag):
    """Return a mask of four bits: which of tags[first : first + 4] equal `tag`, by one vector compare."""
    return types.int64(tags, types.int64, types.int64), _matching(4)


@intrinsic
def match8(typing_context, tags, first, tag):
    """Return a mask of eight bits: which of tags[first : first + 8] equal `tag`, by one vector compare."""
    return types.int64(tags, types.int64, types.int64), _matching(8)


@intrinsic
def match16(typing_context, tags, first, tag):
    """Return a mask of sixteen bits: which of tags[first : first + 16] equal `tag`, by one vector compare."""
    return types.int64(tags, types.int64, types.int64), _matching(16)


@intrinsic
def to_front8(typing_context, tags, first, tag, last):
    """Move `tag` to tags[first], those before it one place on; if it is absent, what stood in the last way is lost.

    Return a mask of where it was. `last` has the bit of the last way; what lies behind it stays. Eight places of 32
    bits are read and written at once, by one shuffle.
    """
    return types.int64(tags, types.int64, types.int64, types.int64), _moving_to_front(8)


@intrinsic
def to_front16(typing_context, tags, first, tag, last):
    """Do the same in sixteen places, at once."""
    return types.int64(tags, types.int64, types.int64, types.int64), _moving_to_front(16)


@intrinsic
def to_front32(typing_context, tags, first, tag, last):
    """Do the same in thirty-two places, half of them at a time."""
    return types.int64(tags, types.int64, types.int64, types.int64), _moving_to_front(32)


@intrinsic
def lowest_bit(typing_context, mask):
    """Return the index of the lowest set bit of a mask that is not zero."""

    def code(context, builder, signature, args):
        return builder.cttz(args[0], ir.IntType(1)(1))

    return types.int64(types.int64), code


@intrinsic
def count_bits(typing_context, mask):
    """Return how many bits of a mask are set."""

    def code(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.int64(types.int64), code


@intrinsic
def unlikely(typing_context, condition):
    """Return a condition that seldom holds: what is done then is compiled out of the way."""

    def code(context, builder, signature, args):
        bit = ir.IntType(1)
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(bit, [bit, bit]), "llvm.expect.i1")
        return builder.call(function, [args[0], bit(0)])

    return types.boolean(types.boolean), code


def _matching(lanes: int) -> Callable[..., Any]:
    """Return the code that compares so many neighbours with one value; LLVM cuts it to the machine's registers."""

    def code(context, builder, signature, args):
        array, index, value = args
        vector = ir.VectorType(_INT64, lanes)
        place = place_of(context, builder, signature.args[0], array, index)
        found = builder.load(builder.bitcast(place, vector.as_pointer()))
        found.align = 8
        mark(builder, found, signature.args[0])
        wanted = _spread(builder, value, lanes)
        equal = builder.icmp_signed("==", found, wanted)
        return builder.zext(builder.bitcast(equal, ir.IntType(lanes)), _INT64)

    return code


_WIDEST = 16  # lanes of 32 bits that are moved at once; LLVM cuts them to the machine's registers


def _moving_to_front(lanes: int) -> Callable[..., Any]:
    """Return the code: the ways up to where the tag is (or all) get their neighbour, the first gets the tag."""

    width = min(lanes, _WIDEST)

    def code(context, builder, signature, args):
        array, index, tag, last = args
        vector = ir.VectorType(_INT32, width)
        wanted = _spread(builder, builder.trunc(tag, _INT32), width)
        places, before = [], []
        found = _INT64(0)
        for first in range(0, lanes, width):
            place = place_of(context, builder, signature.args[0], array, builder.add(index, _INT64(first)))
            places.append(builder.bitcast(place, vector.as_pointer()))
            before.append(builder.load(places[-1], align=4))
            mark(builder, before[-1], signature.args[0])
            equal = builder.bitcast(builder.icmp_signed("==", before[-1], wanted), ir.IntType(width))
            found = builder.or_(found, builder.shl(builder.zext(equal, _INT64), _INT64(first)))
        end = builder.or_(found, last)
        moving = builder.xor(end, builder.sub(end, _INT64(1)))  # ones up to the lowest, and with it
        ahead = wanted  # what moves into a piece's first lane is the last lane of this
        for first, place, piece in zip(range(0, lanes, width), places, before, strict=True):
            moved = builder.shuffle_vector(ahead, piece, _lanes([width - 1, *range(width, 2 * width - 1)]))
            bits = builder.trunc(builder.lshr(moving, _INT64(first)), ir.IntType(width))
            is_moving = builder.bitcast(bits, ir.VectorType(ir.IntType(1), width))
            stored = builder.store(builder.select(is_moving, moved, piece), _another_name_of(builder, place), align=4)
            mark(builder, stored, signature.args[0])
            ahead = piece
        return found

    return code


def _another_name_of(builder: Any, place: Any) -> Any:
    """Return a pointer to the same place, which the compiler cannot know: it would store with a mask.

    What was stored with a mask cannot be forwarded to a load of the whole that comes soon after.
    """
    return builder.asm(ir.FunctionType(place.type, [place.type]), "", "=r,0", [place], side_effect=False)


def _spread(builder: Any, value: Any, lanes: int) -> Any:
    """Return a vector that holds `value` in every lane."""
    vector = ir.VectorType(value.type, lanes)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, _INT32(0))
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), _lanes([0] * lanes))


def _lanes(numbers: Iterable[int]) -> Any:
    """Return a constant vector of 32-bit numbers."""
    numbers = list(numbers)
    return ir.Constant(ir.VectorType(_INT32, len(numbers)), numbers)
