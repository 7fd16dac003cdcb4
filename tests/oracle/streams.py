"""Named random streams and the patterns drawn from them, one word at a time.

Touch i of a vCPU uses the words 4i ... 4i+3 of the stream `vm/vcpu`: page, line, kind, spare.
"""

from __future__ import annotations

from collections.abc import Callable

from siphash24 import siphash24

from vmcfg.scenario.spec import MILLION, PAGE_BYTES, Mixture, Pattern, Stride, Workload

from .core import LOAD, STORE

PAGE_WORD, LINE_WORD, KIND_WORD, SPARE_WORD = 0, 1, 2, 3
WORDS_PER_TOUCH = 4
MASK = (1 << 64) - 1

Zipf = Callable[[int, str, int, int, int, int], int]  # (pages, alpha, page word, spare word, i, key) -> rank
Scatter = Callable[[str, int, int], int]  # (stream, pages, rank) -> page


def stream_key(seed: int, name: str) -> int:
    """SipHash-2-4 of the stream's name, keyed by the seed."""
    key = seed.to_bytes(8, "little") + bytes(8)
    return int.from_bytes(siphash24(name.encode(), key=key).digest(), "little")


def mix(x: int) -> int:
    """splitmix64's finaliser."""
    x ^= x >> 30
    x = x * 0xBF58476D1CE4E5B9 & MASK
    x ^= x >> 27
    x = x * 0x94D049BB133111EB & MASK
    return x ^ x >> 31


def word(key: int, index: int) -> int:
    """The 64-bit word at `index` of the stream."""
    return mix(mix(key) ^ mix(index))


def touch_word(key: int, touch: int, which: int) -> int:
    return word(key, WORDS_PER_TOUCH * touch + which)


def draw(bits: int, n: int) -> int:
    """An integer below `n`: the high word of the product."""
    return bits * n >> 64


def is_chosen(bits: int, share_ppm: int) -> bool:
    """True for `share_ppm` millionths of all words."""
    return draw(bits, MILLION) < share_ppm


def kind_of_touch(key: int, touch: int, write_ppm: int) -> int:
    return STORE if is_chosen(touch_word(key, touch, KIND_WORD), write_ppm) else LOAD


def part_of_touch(key: int, touch: int, mixture: Mixture) -> int:
    """Which part of a mixture a touch falls to: a draw from a bag that holds each part as often as it weighs."""
    bag = draw(word(key, touch), sum(part.weight for part in mixture.parts))
    for number, part in enumerate(mixture.parts):
        bag -= part.weight
        if bag < 0:
            return number
    raise AssertionError("a draw is below the sum of weights")


def vpn_of_touch(
    key: int, touch: int, nth: int, workload: Workload, pattern: Pattern, zipf: Zipf | None, scatter: Scatter | None
) -> int:
    """The page of touch `touch` of the stream, the `nth` (from 0) that the vCPU makes with this pattern."""
    region = workload.regions[pattern.region]
    page = _rank(key, touch, nth, pattern, region.pages, zipf)
    use = {"pointer_chase": "chase"}.get(pattern.kind, "order" if pattern.order == "scattered" else "")
    if use:
        assert scatter is not None
        page = scatter(f"{use}/{workload.name}/{region.name}", region.pages, page)
    assert 0 <= page < region.pages
    return region.base_vpn + page


def _rank(key: int, touch: int, nth: int, pattern: Pattern, pages: int, zipf: Zipf | None) -> int:
    page_word = touch_word(key, touch, PAGE_WORD)
    spare_word = touch_word(key, touch, SPARE_WORD)
    if pattern.kind in ("sequential", "pointer_chase"):
        return nth % pages
    if isinstance(pattern, Stride):
        return nth * pattern.stride_bytes % (pages * PAGE_BYTES) // PAGE_BYTES
    if pattern.kind == "hot_cold":
        if is_chosen(spare_word, pattern.hot_share_ppm):
            return draw(page_word, pattern.hot_pages)
        return pattern.hot_pages + draw(page_word, pages - pattern.hot_pages)
    if pattern.kind == "zipf" and pattern.alpha.strip("0.") != "":
        assert zipf is not None
        return zipf(pages, pattern.alpha, page_word, spare_word, touch, key)
    assert pattern.kind in ("uniform", "zipf")
    return draw(page_word, pages)
