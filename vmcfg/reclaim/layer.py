"""A replacement layer: who among resident pages goes next, for any number of owners, in eight bytes per page.

A layer serves one level of memory: the host that pages its VMs, a guest that pages its processes, or a stream of pages
that is replayed by itself. It decides and does nothing: whoever has it says what happened to a page, and asks for a
victim (`reclaim.replacement` has the four verbs). An owner is whoever can be told to give a page: a VM. Owners have
neighbouring ranges of pages, each its own policy and victims, and share nothing.

Each page has one word, and so has each end of a list; 0 is a page that is not here and of which nothing is known, so
that a layer's memory comes from calloc. Page p is *node* p + 1, so that 0 is nobody:

    63 | 62     | 61         | 60       | 59 .. 30       | 29 .. 0
       | ACTIVE | REFERENCED | ACCESSED | newer neighbour | older neighbour     where a policy keeps lists
                                        | who is in slot  | its own slot        where it keeps slots: random, heaps

A negative word belongs to a page that is gone, of which its policy remembers something.

What has been accessed, a policy learns in one of two ways. Under `every_access` it is told of each reference. Under
`walks` it sees what hardware shows, a bit that somebody else sets in a word of his own: in the word `accessed[page]`
(the pmap's A), or, where a page can be anywhere, in `accessed[where[page] - 1]` (an entry of a guest's table), and not
at all where `where[page]` is 0. ACCESSED in the layer's own word holds beside it, for what policies set themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vmcfg.jit import borrows, kernel

# Policies, as the kernels know them. Several may share a file.
FIFO, LRU, CLOCK, CLOCK_REFERENCED, SIEVE, LFU, LRU2, LRU2_HISTORY, RANDOM, TWO_LIST, OPT = range(11)
KEYED = (LFU, LRU2, LRU2_HISTORY, OPT)

HALF_BITS = 30
HALF = (1 << HALF_BITS) - 1
ACCESSED = 1 << 60
REFERENCED = 1 << 61
ACTIVE = 1 << 62
LISTS = 2  # of an owner; most policies use the first alone

# settings[field]. BIT: of the words in `accessed`, 0 if nobody marks pages; BESIDE: bits that go with it, when it is
# cleared where it was set. HAS_WHERE: `where` says where they are.
PAGES, BIT, HAS_WHERE, BESIDE = range(4)
SETTINGS = 4

# owners[owner, field]. RESIDENT, RESIDENT + 1: pages in its lists. FIRST: its first page.
# HAND: where a sieve's hand stands, 0 at first. DRAWN: draws of random victims. POLICY: by which it chooses. The rest
# belongs to two lists.
RESIDENT, FIRST, HAND, DRAWN = 0, 2, 3, 4
AGE, ROUND, TO_SCAN, TO_AGE, TAKEN, POLICY = range(5, 11)
OWNER_FIELDS = 11


BORROWED = ("accessed", "where")  # a machine's own, which a layer looks at


@borrows(*BORROWED)
class Layer(NamedTuple):
    """All that replacement remembers.

    words    i64[1 + pages + LISTS × owners]   by node, as described above; the ends of lists stand behind the pages
    keys     i64[1 + pages, 2]                 by node: the smallest pair goes first; one row where no policy has keys
    owners   i64[owners, OWNER_FIELDS]
    streams  u64[owners]                       mixed keys of the streams that random victims are drawn from
    settings i64[SETTINGS]
    accessed i64[…]                            words that are marked by others, one that is not read if there are none
    where    i64[…]                            where a page's word is, plus one; likewise
    """

    words: np.ndarray
    keys: np.ndarray
    owners: np.ndarray
    streams: np.ndarray
    settings: np.ndarray
    accessed: np.ndarray
    where: np.ndarray


def new_layer(
    policy: int | Sequence[int],
    pages: Sequence[int],
    streams: Sequence[np.uint64] = (),
    accessed: np.ndarray | None = None,
    bit: int = 0,
    where: np.ndarray | None = None,
) -> Layer:
    """Return a layer without resident pages; owner i has the `pages[i]` pages that follow those of owner i - 1.

    `policy` is that of all owners, or one for each.
    `accessed` and `where` are the arrays themselves and no copies: the layer reads what others write, and clears `bit`.
    """
    total, owners = sum(pages), len(pages)
    nodes = 1 + total + LISTS * owners
    assert nodes <= HALF, "4 TiB of pages at most"
    policies = [policy] * owners if isinstance(policy, int) else policy
    assert RANDOM not in policies or len(streams) == owners
    settings = np.zeros(SETTINGS, np.int64)
    settings[[PAGES, BIT, HAS_WHERE]] = total, bit, where is not None
    by_owner = np.zeros((owners, OWNER_FIELDS), np.int64)
    by_owner[1:, FIRST] = np.cumsum(pages[:-1])
    by_owner[:, POLICY] = policies
    words = np.zeros(nodes, np.int64)
    ends = np.arange(1 + total, nodes)
    words[ends] = (ends << HALF_BITS) | ends  # an empty list's end is its own neighbour
    nowhere = np.zeros(1, np.int64)
    return Layer(
        words,
        np.zeros((1 + total * any(each in KEYED for each in policies), 2), np.int64),
        by_owner,
        np.array(streams if len(streams) else [0] * owners, np.uint64),
        settings,
        nowhere if accessed is None else accessed,
        nowhere if where is None else where,
    )


@kernel
def is_resident(layer, page):
    """Tell whether a page is resident."""
    word = layer.words[page + 1]
    return word > 0 and word & HALF != 0


@kernel
def is_accessed(layer, page):
    """Tell whether a page has been accessed since its bits were cleared."""
    if layer.words[page + 1] & ACCESSED:
        return True
    bit = layer.settings[BIT]
    if bit == 0:
        return False
    place = _place(layer, page)
    return place >= 0 and layer.accessed[place] & bit != 0


@kernel
def clear_accessed(layer, page):
    """Forget that a page has been accessed."""
    layer.words[page + 1] &= ~ACCESSED
    bit = layer.settings[BIT]
    if bit:
        place = _place(layer, page)
        if place >= 0 and layer.accessed[place] & bit:
            layer.accessed[place] &= ~(bit | layer.settings[BESIDE])


@kernel
def note_accessed(layer, page):
    """Remember that a resident page has been accessed; words of others are left alone."""
    layer.words[page + 1] |= ACCESSED


@kernel
def _place(layer, page):
    """Return where others mark a page, or -1."""
    if layer.settings[HAS_WHERE]:
        return layer.where[page] - 1
    return np.int64(page)
