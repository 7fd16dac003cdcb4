"""The translation caches of one core, as a group: what a flush or a fault takes from them.

Linear and combined mappings (tagged by address space) live in the TLBs and in the guest-dimension walk caches,
guest-physical mappings (tagged by VM) in the host-dimension walk caches and in the nested TLB. The processor's
manual names its flush sets in just these words; so do the functions here.
"""

from __future__ import annotations

from vmcfg.hardware.assoc import MIDDLE, NARROW, SLIM, drop, drop_pages, flush, flush_spaces, geometry
from vmcfg.hardware.sets import tag_of
from vmcfg.jit import kernel, part

# Stores of one core, in this order: store `kind` of core c is c * STORES + kind. Walk caches by level of entry.
L1, L1I, L2, NESTED_TLB = range(4)
GUEST_WALK = 2  # + level 2 … 5 gives 4 … 7
HOST_WALK = 6  # + level 2 … 5 gives 8 … 11
SOFTWARE_TLB = 12  # the VMM's, in memory: only what invalidates empties it
LARGE_TLBS = 13  # L1 for 2 MiB and for 1 GiB, then L2 likewise
STORES = 17
LOWEST_WALK, HIGHEST_WALK = 2, 5
HIGHEST_LEAN = 4  # hosts of the usual build, see `engine.lean`, walk no more levels
TABLE_BITS = 9  # a table has 2^9 entries of 8 bytes
WIDE_BITS = 10  # or 2^10 of 4 bytes, in guests that walk two levels without PAE


@kernel
def walk_key(page, level):
    """Return the part of a page number that selects an entry of `level`: 2 covers 2 MiB, 3 covers 1 GiB."""
    return page >> (TABLE_BITS * (level - 1))


@kernel
def entry_key(page, level, bits):
    """Return the same where a table has 2^bits entries."""
    return page >> (bits * (level - 1))


@kernel
def drop_linear(stores, core, space, vpn, bits, is_lean):
    """Drop the TLB entries of one page and the walk-cache entries on its path (a page fault does this)."""
    if is_lean:
        _drop_linear_lean(stores, core, space, vpn)
    else:
        _drop_linear(stores, core, space, vpn, bits)


@kernel
def drop_guest_physical(stores, core, vm, ppn, is_lean):
    """Drop what leads to one guest-physical page (an EPT violation does this)."""
    if is_lean:
        _drop_guest_physical_lean(stores, core, vm, ppn)
    else:
        _drop_guest_physical(stores, core, vm, ppn)


@part
def _drop_linear(stores, core, space, vpn, bits):
    _drop_from_tlbs(stores, core, space, vpn, False)
    _drop_path(stores, core * STORES + GUEST_WALK, space, vpn, bits, False)


@part
def _drop_linear_lean(stores, core, space, vpn):
    _drop_from_tlbs(stores, core, space, vpn, True)
    _drop_path(stores, core * STORES + GUEST_WALK, space, vpn, TABLE_BITS, True)


@part
def _drop_guest_physical(stores, core, vm, ppn):
    _drop_nested(stores, core, vm, ppn, False)
    _drop_path(stores, core * STORES + HOST_WALK, vm, ppn, TABLE_BITS, False)


@part
def _drop_guest_physical_lean(stores, core, vm, ppn):
    _drop_nested(stores, core, vm, ppn, True)
    _drop_path(stores, core * STORES + HOST_WALK, vm, ppn, TABLE_BITS, True)


@part
def flush_combined(stores, core):
    """Empty all that an untagged VM entry or exit empties: linear and combined mappings."""
    first = core * STORES
    for kind in range(L1, L2 + 1):
        flush(stores, first + kind)
    for kind in range(LARGE_TLBS, STORES):
        flush(stores, first + kind)
    for level in range(LOWEST_WALK, HIGHEST_WALK + 1):
        flush(stores, first + GUEST_WALK + level)


@part
def flush_linear(stores, core, first_space, end_space):
    """Empty the linear and combined mappings of some address spaces (a load of CR3 does this)."""
    first = core * STORES
    for kind in range(L1, L2 + 1):
        flush_spaces(stores, first + kind, first_space, end_space)
    flush_spaces(stores, first + SOFTWARE_TLB, first_space, end_space)
    for kind in range(LARGE_TLBS, STORES):
        flush_spaces(stores, first + kind, first_space, end_space)
    flush_walk_caches(stores, core, first_space, end_space)


@part
def flush_walk_caches(stores, core, first_space, end_space):
    """Empty the guest-dimension walk caches of some address spaces (INVLPG does this, whatever the address)."""
    for level in range(LOWEST_WALK, HIGHEST_WALK + 1):
        flush_spaces(stores, core * STORES + GUEST_WALK + level, first_space, end_space)


@part
def flush_guest_physical(stores, core, vm):
    """Empty the guest-physical mappings of one VM (INVEPT does this, besides combined ones)."""
    first = core * STORES
    flush_spaces(stores, first + NESTED_TLB, vm, vm + 1)
    for level in range(LOWEST_WALK, HIGHEST_WALK + 1):
        flush_spaces(stores, first + HOST_WALK + level, vm, vm + 1)


@part
def drop_page(stores, core, space, vpn):
    """Drop the TLB entries of one page, the VMM's too."""
    _drop_from_tlbs(stores, core, space, vpn, False)
    drop(stores, geometry(stores, core * STORES + SOFTWARE_TLB, False, NARROW), vpn, tag_of(space, vpn))


@part
def drop_pieces(stores, core, space, vpn, pages):
    """Drop all TLB entries of a large page that begins at `vpn`: it may be held whole, or in smaller pieces."""
    for kind in range(L1, L2 + 1):
        drop_pages(stores, core * STORES + kind, space, vpn, vpn + pages)
    for kind in range(LARGE_TLBS, STORES):
        drop_pages(stores, core * STORES + kind, space, vpn, vpn + pages)


@part
def drop_way(stores, core, space, vpn, bits):
    """Drop the walk-cache entries on the path to one page (INVPCID of a page does this, besides its TLB entries)."""
    _drop_path(stores, core * STORES + GUEST_WALK, space, vpn, bits, False)


@kernel
def _drop_from_tlbs(stores, core, space, vpn, is_lean):
    tag = tag_of(space, vpn)
    first = core * STORES
    drop(stores, geometry(stores, first + L1, is_lean, NARROW), vpn, tag)
    if not is_lean:
        drop(stores, geometry(stores, first + L1I, False, NARROW), vpn, tag)
    drop(stores, geometry(stores, first + L2, is_lean, MIDDLE), vpn, tag)


@kernel
def _drop_nested(stores, core, vm, ppn, is_lean):
    drop(stores, geometry(stores, core * STORES + NESTED_TLB, is_lean, NARROW), ppn, tag_of(vm, ppn))


@kernel
def _drop_path(stores, walk_caches, space, page, bits, is_lean):
    for level in range(LOWEST_WALK, (HIGHEST_LEAN if is_lean else HIGHEST_WALK) + 1):
        key = entry_key(page, level, bits)
        drop(stores, geometry(stores, walk_caches + level, is_lean, SLIM), key, tag_of(space, key))
