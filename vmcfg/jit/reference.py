"""A named tuple of arrays, handed on by reference, and its arrays as bare memory.

A machine is a named tuple of some forty arrays. Numba passes an array as seven values, and guards every index
against being negative. So a function that takes the machine would take three hundred arguments, and most of its
code would be about shapes. Here instead:

* `by_reference` puts the tuple into its caller's frame once and hands on a pointer. `m.host.pmap` means what it
  always means: an inner tuple is again a reference.
* An array read through a reference is `Memory`: where its items begin and, with two dimensions, how long a row
  is. Items are read and written by non-negative integers; there are no slices, and nothing is checked.

The tuple never changes while a reference to it lives, and its arrays share no memory: each access is marked with the
field it belongs to, so that what has been read from one is not read again because another was written to. A tuple that
holds an array which is also another's says so (`borrows`); such accesses may be any array's. As plain
Python both are the tuple and the array themselves, and there every index *is* checked: the tests run the same kernels
that way.

Python needs 17 µs to hand a whole machine to an entry, and an entry much code to take it. So machines are pinned:
`Pinned` has written once what the caller's frame would hold, and entries are handed its address.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_global, signature
from numba.extending import (
    NativeValue,
    infer_getattr,
    intrinsic,
    lower_getattr_generic,
    models,
    register_model,
    unbox,
)

T = TypeVar("T", bound=type)
_BYTES = ir.IntType(8).as_pointer()
_WORD = ir.IntType(64)


class Reference(types.Type):
    """A pointer to a named tuple of type `target`.

    Numba writes the names of its arguments' types into the name of each function, and that wherever it is called. All
    the arrays of a machine take five thousand letters: they are told by their digest.
    """

    def __init__(self, target: Any) -> None:
        self.target = target
        digest = hashlib.blake2b(str(target).encode(), digest_size=6).hexdigest()
        super().__init__(name=f"reference_{target.instance_class.__name__}_{digest}")


class Memory(types.Type):
    """The items of a C-contiguous array of one or two dimensions; of which field of which tuple, or "" if of any."""

    def __init__(self, dtype: Any, ndim: int, field: str) -> None:
        self.dtype = dtype
        self.ndim = ndim
        self.field = field
        super().__init__(name=f"memory({dtype}, {ndim}, {field})")

    @property
    def index_type(self) -> Any:
        return types.intp if self.ndim == 1 else types.UniTuple(types.intp, self.ndim)


@register_model(Reference)
class _ReferenceModel(models.OpaqueModel):
    """One untyped pointer."""


@register_model(Memory)
class _MemoryModel(models.StructModel):
    def __init__(self, manager: Any, memory: Memory) -> None:
        super().__init__(manager, memory, [("items", types.CPointer(memory.dtype)), ("row", types.intp)])


_borrowed: dict[type, tuple[str, ...]] = {}


def borrows(*fields: str) -> Callable[[T], T]:
    """Return a decorator of a named tuple some of whose arrays are another tuple's, too."""

    def remember(owner: T) -> T:
        _borrowed[owner] = fields
        return owner

    return remember


class Pinned:
    """A named tuple of arrays written to memory as compiled code holds it; it keeps the arrays alive."""

    def __init__(self, machine: Any) -> None:
        self.machine = machine
        self._words = np.array([*_words(machine)], np.int64)
        self.address = self._words.ctypes.data
        self._numba_type_ = Reference(numba.typeof(machine))


def pinned(machine: Any) -> Pinned:
    """Return a machine pinned. The latest one stays so: whoever drives a machine hands it on again and again."""
    if not _latest or _latest[0].machine is not machine:
        _latest[:] = [Pinned(machine)]
    return _latest[0]


_latest: list[Pinned] = []


def _words(machine: Any) -> Iterator[int]:
    """Yield numba's words for each array: nobody owns it; items, bytes of an item, where they begin; shape; strides."""
    for item in machine:
        if isinstance(item, tuple):
            yield from _words(item)
        else:
            yield from (0, 0, item.size, item.itemsize, item.ctypes.data, *item.shape, *item.strides)


@unbox(Reference)
def _unbox_pinned(reference_type, pinned, c):
    number = c.pyapi.object_getattr_string(pinned, "address")
    address = c.pyapi.long_as_longlong(number)
    c.pyapi.decref(number)
    is_error = cgutils.is_not_null(c.builder, c.pyapi.err_occurred())
    return NativeValue(c.builder.inttoptr(address, _BYTES), is_error=is_error)


@intrinsic
def call(typing_context, address, machine, number):
    """Call the machine code of an entry that takes a reference and a number; return what it returns."""

    def code(context, builder, sig, args):
        target = ir.FunctionType(_WORD, [_BYTES, _WORD]).as_pointer()
        made = builder.call(builder.inttoptr(args[0], target), args[1:])
        # Seldom made: LLVM is to spill registers here, and not on the way past it. llvmlite's own list lacks the word.
        set.add(made.attributes, "cold")
        return made

    return types.int64(types.int64, machine, types.int64), code


@intrinsic
def by_reference(typing_context, machine):
    """Return a reference to a named tuple; it lives as long as the function that asked for it."""
    if isinstance(machine, Reference):
        return machine(machine), lambda context, builder, sig, args: args[0]

    def code(context, builder, sig, args):
        place = builder.bitcast(cgutils.alloca_once_value(builder, args[0]), _BYTES)
        # An empty instruction that may write memory: what was stored stays stored, and whoever loads through the
        # pointer cannot see that it is this frame. Only so may the loads below be called invariant.
        identity = ir.FunctionType(_BYTES, [_BYTES])
        return builder.asm(identity, "", "=r,0,~{memory}", [place], side_effect=True)

    return Reference(machine)(machine), code


@infer_getattr
class _ReferenceAttributes(AttributeTemplate):
    key = Reference

    def generic_resolve(self, reference: Any, name: str) -> Any:
        if name not in reference.target.fields:
            return None
        field = reference.target[reference.target.fields.index(name)]
        if isinstance(field, types.BaseNamedTuple):
            return Reference(field)
        return _memory_of(reference, name, field)


@lower_getattr_generic(Reference)
def _load_attribute(context, builder, reference, pointer, name):
    index = reference.target.fields.index(name)
    field = reference.target[index]
    whole = context.get_value_type(reference.target).as_pointer()
    place = cgutils.gep_inbounds(builder, builder.bitcast(pointer, whole), 0, index)
    if isinstance(field, types.BaseNamedTuple):
        return builder.bitcast(place, _BYTES)
    array = context.make_array(field)(context, builder, ref=place)
    memory = cgutils.create_struct_proxy(_memory_of(reference, name, field))(context, builder)
    memory.items = _load_invariant(builder, array._get_ptr_by_name("data"))
    shape = array._get_ptr_by_name("shape")
    memory.row = _load_invariant(builder, cgutils.gep_inbounds(builder, shape, 0, field.ndim - 1))
    return memory._getvalue()


def _memory_of(reference: Reference, name: str, array: Any) -> Memory:
    owner = reference.target.instance_class
    return Memory(array.dtype, array.ndim, "" if name in _borrowed.get(owner, ()) else f"{owner.__name__}.{name}")


def mark(builder: Any, access: Any, memory: Memory) -> None:
    """Tell LLVM of which field this load or store is an access: different arrays share no memory."""
    if not memory.field:
        return
    module = builder.module
    root = module.add_metadata([ir.MetaDataString(module, "vmcfg")])
    kind = module.add_metadata([ir.MetaDataString(module, memory.field), root, _WORD(0)])
    access.set_metadata("tbaa", module.add_metadata([kind, kind, _WORD(0)]))


def _load_invariant(builder: Any, place: Any) -> Any:
    """Load what no store can change, so that the load can be taken out of loops."""
    loaded = builder.load(place)
    loaded.set_metadata("invariant.load", builder.module.add_metadata([]))
    return loaded


@infer_global(operator.getitem)
class _GetItem(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        if isinstance(args[0], Memory):
            return signature(args[0].dtype, args[0], args[0].index_type)
        return None


@infer_global(operator.setitem)
class _SetItem(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        if isinstance(args[0], Memory):
            return signature(types.none, args[0], args[0].index_type, args[0].dtype)
        return None


@lower_builtin(operator.getitem, Memory, types.Any)
def _get_item(context, builder, sig, args):
    loaded = builder.load(place_of(context, builder, sig.args[0], args[0], args[1]))
    mark(builder, loaded, sig.args[0])
    return loaded


@lower_builtin(operator.setitem, Memory, types.Any, types.Any)
def _set_item(context, builder, sig, args):
    stored = builder.store(args[2], place_of(context, builder, sig.args[0], args[0], args[1]))
    mark(builder, stored, sig.args[0])
    return context.get_dummy_value()


def place_of(context: Any, builder: Any, memory_type: Memory, memory: Any, index: Any) -> Any:
    """Return a pointer to an item: code for items + index, or items + index[0] × row + index[1]."""
    parts = cgutils.create_struct_proxy(memory_type)(context, builder, value=memory)
    if memory_type.ndim == 2:
        row, column = cgutils.unpack_tuple(builder, index, 2)
        index = builder.add(builder.mul(row, parts.row), column)
    return builder.gep(parts.items, [index])
