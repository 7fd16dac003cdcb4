"""`pointer_chase`: each page holds the address of the next, and a cycle of all pages is walked round and round.

The cycle is fixed and random: step n is the page that a permutation puts at place n mod pages, so that the way from
one page to the next is a permutation with a single cycle. No page is met twice before all have been, which is LRU's
worst case, and nothing can be guessed ahead. What lmbench's lat_mem_rd and most latency benchmarks do (McVoy and
Staelin, USENIX 1996).
"""

from __future__ import annotations

from vmcfg.jit import kernel
from vmcfg.workload.patterns import sequential


@kernel
def rank(m, drawn, key, touch, nth):
    """Return the place of the nth step in the cycle; the permutation that makes a page of it is always there."""
    return sequential.rank(m, drawn, key, touch, nth)
