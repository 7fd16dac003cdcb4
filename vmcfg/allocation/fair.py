"""`fair`: whoever holds more than an equal part gives, in proportion to the excess.

The simplest rule that is not unjust: no VM has to give while it holds less than an equal part of what all hold, and the
one that holds most gives most. It knows neither shares nor idle memory, and loses wherever VMs are not equally
important or do not use what they hold.
"""

from __future__ import annotations

from collections.abc import Sequence


def shares(held_pages: Sequence[int], wanted_pages: int) -> list[int]:
    """Return how many pages each VM is to give, `wanted_pages` in all or what there is.

    Equal VMs give equally: then nobody is above the average, and all give in proportion to what they hold.
    """
    average = sum(held_pages) // max(1, len(held_pages))
    excess = [max(0, pages - average) for pages in held_pages]
    if sum(excess) < wanted_pages:
        excess = list(held_pages)
    total = sum(excess)
    wanted = min(wanted_pages, total)
    return [-(-wanted * part // total) for part in excess] if total else [0] * len(held_pages)
