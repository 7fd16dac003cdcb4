"""The two draws that the oracle leaves to others, once more with Python's integers and nothing else."""

from __future__ import annotations

from functools import cache

from oracle.streams import MASK, mix, stream_key

from vmcfg.workload import zipf

PAGE_WORD, SPARE_WORD = 0, 3


@cache
def zipf_table(pages: int, alpha: str) -> tuple[list[int], ...]:
    """The engine's sampling table as lists: its contents are proved elsewhere, its use is tested here."""
    return tuple(column.tolist() for column in zipf.build(pages, alpha))


def zipf_rank(pages: int, alpha: str, page_word: int, spare_word: int, touch: int, key: int) -> int:
    """Draw a rank; attempt a after a rejection takes the same words of the stream with the mixed key mix(key + a)."""
    attempt = 0
    mixed_key = mix(key)
    while (rank := _drawn(zipf_table(pages, alpha), page_word, spare_word)) is None:
        attempt += 1
        again = mix(mixed_key + attempt & MASK)
        page_word, spare_word = (mix(again ^ mix(4 * touch + which)) for which in (PAGE_WORD, SPARE_WORD))
    return rank


def _drawn(table: tuple[list[int], ...], page_word: int, spare_word: int) -> int | None:
    thresholds, aliases, firsts, sizes, _, heaviest, weights = table
    slot, left = divmod(page_word * len(thresholds), 1 << 64)
    bucket = slot if left < thresholds[slot] else aliases[slot]
    place, height = divmod(spare_word * sizes[bucket], 1 << 64)
    rank = firsts[bucket] + place
    return rank if (height * heaviest[bucket] >> 64) < weights[rank] else None


def scatter_with(seed: int):  # type: ignore[no-untyped-def]
    """The named permutations of a run with this seed: three rounds on 2^bits, walked until the page is a page."""

    def scatter(name: str, pages: int, rank: int) -> int:
        bits = (pages - 1).bit_length()
        if bits == 0:
            return rank
        salts = [mix(mix(stream_key(seed, name)) ^ mix(turn)) for turn in range(3)]
        page = _three_rounds(rank, bits, salts)
        while page >= pages:
            page = _three_rounds(page, bits, salts)
        return page

    return scatter


def _three_rounds(x: int, bits: int, salts: list[int]) -> int:
    for salt in salts:
        x = (x ^ salt) * (salt | 1) % (1 << bits)
        x ^= x >> (bits + 1) // 2
    return x
