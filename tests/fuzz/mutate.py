"""Mutations of scenarios, as trees and as texts, and of traces as bytes: most stay near to what is valid.

A mutated text mostly fails to parse, which tests the front wing alone. A mutated tree is good YAML whose values are
odd, and gets further: into the checks between values, the plan, and often the run.
"""

from __future__ import annotations

import copy
from typing import Any

import yaml
from hypothesis import strategies as st
from workload.trace_makers import COMPRESS, champsim, lackey_line, oracle_general, records, words

from vmcfg import resources

Path_ = tuple[Any, ...]  # the keys and indices that lead to a place in a tree

SIZES = [
    "0B",
    "1B",
    "4KiB",
    "8KiB",
    "20KiB",
    "64KiB",
    "1MiB",
    "1.5MiB",
    "3MiB",
    "1GiB",
    "1TiB",
    "16TiB",
    "7EiB",
    "8EiB",
]
TIMES = ["0s", "1ns", "3ns", "999ns", "1us", "17us", "1ms", "1s", "1h", "10000h", "292000h", "2562047h", "9e9h"]
COUNTS = [
    0,
    1,
    2,
    3,
    7,
    64,
    65,
    1000,
    99_999,
    2**31,
    2**32,
    2**62,
    2**63 - 1,
    2**63,
    2**64,
    -1,
    "1k",
    "1G",
    "0.5k",
    0.5,
]
RATES = ["1/s", "0/s", "1/h", "60/min", "7M/s", "1G/s", "999G/s", "0.001/s", "1k", "1/ns"]
SHARES = ["0%", "100%", "50%", "0.0001%", "0.00001%", "101%", "-1%", 50]
WORDS = [
    "none", "all", "forever", "native", "nested", "shadow", "on_touch", "at_start", "uniform", "sequential", "zipf",
    "hot_cold", "records", "lackey", "csv", "u64", "champsim", "oracle_general", "haswell", "merom", "nehalem", "lru",
    "plru", "scattered", "contiguous", "trace", "pages", "missing", ".", "..", "/dev/null", "/dev/zero", "web", "web-1",
    "esx", "h", "a", "heap", "phase-1", "vms", "translation", "out_of_frames", "walks", "", "é", "\x00", "#", "a.b",
]  # fmt: skip
OTHERS: list[Any] = [
    None, True, False, [], {}, [[]], {"a": 1}, float("nan"), float("inf"), 1e300, 0.1, "0.1", "1e3", "4 KiB", "4KB",
]  # fmt: skip
# What a key may have, for the most part: so that a good part of the mutants gets as far as the run.
VALUES: dict[str, list[Any]] = {
    "memory": ["64KiB", "512KiB", "2MiB", "3MiB", "16MiB", "200MiB", "1GiB", "16TiB"],
    "size": ["4KiB", "8KiB", "60KiB", "1MiB", "3MiB", "64MiB", "1TiB"],
    "hot": ["4KiB", "8KiB", "60KiB", "1MiB"],
    "kernel_memory": ["0B", "4KiB", "1MiB", "2MiB"],
    "base": [0, 4096, 0x200000, 0x3FFFF000, 0x7FFFFFFFF000, 0xFFFFFFFFF000, 1 << 47],
    "duration": ["1ns", "999ns", "3us", "200us", "1ms", "1s", "10h", "10000h"],
    "epoch": ["1ns", "5us", "7us", "1ms", "1h", "10000h"],
    "slice": ["1ns", "2ns", "5us", "1ms", "1h"],
    "quantum": ["1ns", "1us", "5us", "1ms", "1h"],
    "start": ["0s", "1ns", "7us", "1s", "10h"],
    "warmup": [0, 1, 999, 1000, "1G", "1ns", "50us", "10h"],
    "accesses": ["all", 1, 2, 7, 999, "100k", "1M", "1G", 2**62],
    "rate": ["1/s", "1/h", "60/min", "1M/s", "1G/s", "0.001/s"],
    "write": SHARES,
    "quarter": SHARES,
    "half": SHARES,
    "hot_share": SHARES,
    "accesses_per_touch": [1, 2, 1000, 10**6, 10**9],
    "count": [1, 2, 3, 20, 1000],
    "vcpus": [1, 2, 3, 64],
    "cores": [1, 2, 3, 64],
    "hz": [1, 1000, 999_999_937, 10**10],
    "walkers": [1, 2, 4],
    "exit": [0, 1, 2000, 10**6, 10**9],
    "mode": ["native", "nested", "shadow", "paravirt", "software_tlb"],
    "software_tlb": ["none", {"entries": 64}, {"entries": 12, "ways": 3}],
    "batch": [1, 2, 32, 4096, 4097],
    "pin": [True, False],
    "vpid": [True, False],
    "page_size": ["4KiB", "2MiB", "1GiB"],
    "table_page_size": ["4KiB", "2MiB", "1GiB"],
    "cpu": resources.profile_names(),
    "profile": resources.profile_names(),
    "populate": ["on_touch", "at_start"],
    "backing": ["on_touch", "at_start"],
    "zero_on_fault": [True, False],
    "kind": ["uniform", "sequential", "zipf", "hot_cold", "stride", "pointer_chase", "mixture",
             "read_file", "write_file", "munmap", "fork", "exit", "power_off", "reboot"],
    "stride": ["1B", "2KiB", "4KiB", "4100B", "60KiB", "1MiB", "1TiB"],
    "weight": [1, 2, 3, 1000, 999_983, 10**6],
    "alpha": [0, 0.1, 0.99, 1, 2.5, 4],
    "order": ["scattered", "contiguous"],
    "entries": [1, 2, 3, 7, 16, 64, 1536, 65536],
    "ways": [1, 2, 3, 4, 16, 17, 64],
    "policy": ["lru", "plru"],
    "index": ["modulo", "xor"],
    "pml": [True, False],
    "nested_caches": ["all", "1d", "2d", "2d_nested_tlb", "2d_nested_tlb_data"],
    "l2": ["none", {"entries": 12, "ways": 3}],
    "walk_caches": ["none", {"host": {"pde": {"entries": 5}}}],
    "nested_tlb": ["none", {"entries": 1}],
    "data_caches": ["none", "profile", {"llc": {"size": "8MiB", "ways": 16, "latency": 40}}],
    "llc": ["none", {"size": "64KiB", "ways": 4, "latency": 30}],
    "latency": [0, 1, 4, 300, 10**9],
    "repeat": ["forever", 1, 3, 1000, 10**9, 2**62],
    "seed": [0, 1, 2**64 - 1],
    "host": ["esx", "bare", "h"],
    "workload": ["mixed", "scan", "w", "replay"],
    "region": ["heap", "stack"],
    "table": ["vms", "translation", "memory", "time", "exits", "frames", "comparison", "data_caches", "dirty_log",
              "dirty_rounds", "hypercalls", "paging", "kills", "compression", "devices", "series", "curve",
              "page_cache"],
    "value": [0, 1, 0.5, 1e9],
    "tolerance": [0, "1%", "100%", 5],
    "format": ["records", "lackey", "csv", "u64", "champsim", "oracle_general", "guest_physical"],
    "victim": ["random", "fifo", "clock", "clock_referenced", "sieve", "two_list", "lru", "lfu", "lru2",
               "lru2_history", "opt"],
    "references": ["walks", "every_access"],
    "capacity": ["4KiB", "40KiB", "200KiB", "64MiB"],
    "read_ahead": [1, 2, 8, 64],
    "preventer": [True, False],
    "mapper": [True, False],
    "keep_free": ["0B", "4KiB", "64KiB", "1MiB"],
    "max": ["0%", "1%", "10%", "100%"],
    "target": ["0B", "4KiB", "400KiB", "1MiB", "16MiB"],
    "keep": ["0B", "400KiB", "16MiB"],
    "at": ["0s", "100us", "1ms", "10h"],
    "touched": [True],
    "poll": ["1us", "900us", "1h"],
    "zeroes": ["1KiB/s", "400MiB/s", "100GiB/s"],
    "zero_thread": ["1KiB/s", "20MiB/s", "100GiB/s"],
    "bandwidth": ["1KiB/s", "1MiB/s", "100MiB/s", "100GiB/s"],
    "seek": ["0s", "30us", "1ms", "1s"],
    "per_memory": ["0%", "1%", "50%", "100%"],
    "oom": ["error", "kill"],
    "guest": ["linux", "windows"],
    "blocks": [1, 32, 4096],
    "flush_every": ["1us", "3ms", "1h"],
    "flush_after": ["0s", "3ms", "1h"],
    "shared": [True, False],
    "file": ["data", "log", "trace", "guest"],
    "disk": ["ssd", "disk"],
    "processes": [1, 2, 8],
    "max_processes": [1, 4, 64],
    "every": [1, 3, 37, 10**9],
    "pages": [1, 9, 1000, 10**9],
    "to": ["read", "read_write"],
    "epoch_time": ["1ns", "1ms", "10h"],
    "sample": ["1us", "300us", "1h"],
    "curve": ["1%", "100%"],
    "variant": ["virtual_tlb", "cached", "unsync"],
    "tlb": ["none", "processor"],
    "page_table": ["none", "4_level", "5_level", "2_level", "pae"],
}
POOLS: list[list[Any]] = [SIZES, TIMES, COUNTS, RATES, SHARES, WORDS, OTHERS]

PAGES = list(range(50, 0, -1))
TRACES = {
    "lackey": "".join(lackey_line("ILSM"[i % 4], (1 << 40) + i * 1000, 8) for i in range(40)).encode(),
    "records": records((page, page % 3) for page in range(50)),
    "oracle_general": oracle_general(PAGES),
    "champsim": champsim((4096 * page, (0, 5000 * page), (page, 0, 0, 1 << 40)) for page in PAGES),
    "u64": words(PAGES),
    "csv": ("page,rw\n" + "".join(f"{page:#x},{'rwf'[page % 3]}\n" for page in PAGES)).encode(),
    "guest_physical": b"".join((page << 1 | page % 2).to_bytes(4, "little") for page in PAGES) + b"\xff" * 4,
}
ODD_BYTES = [
    b"",
    b"\0",
    b"\xff" * 8,
    b"\n",
    b"\r\n",
    b",",
    b"-",
    b"9" * 25,
    b" L ffffffffffffffff,1\n",
    b"\x28\xb5\x2f\xfd",
]


@st.composite
def trees(draw: Any, texts: list[str]) -> str:
    """A scenario with one to three places of its tree changed."""
    tree = yaml.safe_load(draw(st.sampled_from(texts)))
    names = sorted({str(step) for path in _paths(tree) for step in path})
    for _ in range(draw(st.sampled_from((1, 1, 2, 3)))):
        leaves = [path for path in _paths(tree) if path[-1] in VALUES]
        path = draw(st.sampled_from(leaves if draw(st.integers(0, 3)) else _paths(tree)))
        draw(st.sampled_from(_CHANGES))(draw, tree, path, names)
    return yaml.safe_dump(tree, allow_unicode=True, sort_keys=False)


@st.composite
def texts(draw: Any, good: list[str]) -> str:
    """A scenario with one to four stretches of its text, cut at the edges of words, replaced, removed or repeated."""
    text = draw(st.sampled_from(good))
    for _ in range(draw(st.integers(1, 4))):
        edges = [0, *(at for at in range(1, len(text)) if text[at - 1].isalnum() != text[at].isalnum()), len(text)]
        start = draw(st.sampled_from(edges))
        end = min(len(text), start + draw(st.integers(0, 30)))
        new = draw(st.sampled_from(POOLS).flatmap(st.sampled_from).map(str) | st.just(text[start:end] * 2))
        text = text[:start] + new + text[end:]
    return text


@st.composite
def traces(draw: Any) -> tuple[str, bytes, bytes]:
    """The format, the contents of a trace of that format, and of a page list, both mutated before or after packing."""
    kind = draw(st.sampled_from(sorted(TRACES)))
    pack = COMPRESS[draw(st.sampled_from(sorted(COMPRESS)))]
    unpacked = draw(_bytes(TRACES[kind])) if draw(st.booleans()) else TRACES[kind]
    packed = draw(_bytes(pack(unpacked))) if draw(st.booleans()) else pack(unpacked)
    return kind, packed, draw(st.just(words(PAGES)) | _bytes(words(PAGES)))


@st.composite
def _bytes(draw: Any, contents: bytes) -> bytes:
    """Contents with one to three stretches replaced, cut out, repeated, or all after them cut off."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(contents)))
        end = draw(st.sampled_from([start, min(len(contents), start + draw(st.integers(0, 16))), len(contents)]))
        new = draw(st.sampled_from(ODD_BYTES) | st.binary(max_size=12) | st.just(contents[start:end] * 2))
        contents = contents[:start] + new + contents[end:]
    return contents


def _paths(tree: Any, here: Path_ = ()) -> list[Path_]:
    """Return the ways to all places of a tree but its root."""
    steps = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else []
    return [path for step in steps for path in ((*here, step), *_paths(tree[step], (*here, step)))]


def _parent(tree: Any, path: Path_) -> Any:
    for step in path[:-1]:
        tree = tree[step]
    return tree


def _replace(draw: Any, tree: Any, path: Path_, names: list[str]) -> None:
    """Put another value there, mostly one that the key may have."""
    keys = [key for key in path if key in VALUES]
    pool = VALUES[keys[-1]] if keys and draw(st.integers(0, 5)) else draw(st.sampled_from(POOLS))
    _parent(tree, path)[path[-1]] = copy.deepcopy(draw(st.sampled_from(pool)))


def _remove(draw: Any, tree: Any, path: Path_, names: list[str]) -> None:
    del _parent(tree, path)[path[-1]]


def _copy_from(draw: Any, tree: Any, path: Path_, names: list[str]) -> None:
    """Put there what stands somewhere else."""
    other = draw(st.sampled_from(_paths(tree)))
    _parent(tree, path)[path[-1]] = copy.deepcopy(_parent(tree, other)[other[-1]])


def _add(draw: Any, tree: Any, path: Path_, names: list[str]) -> None:
    """Add another key, or another item, beside that place."""
    parent = _parent(tree, path)
    if isinstance(parent, dict):
        key = draw(st.sampled_from([*names, *VALUES]))
        parent[key] = copy.deepcopy(draw(st.sampled_from(VALUES.get(key) or draw(st.sampled_from(POOLS)))))
    else:
        parent.append(copy.deepcopy(draw(st.sampled_from(parent))))


_CHANGES = [_replace] * 6 + [_remove, _copy_from, _add, _add]
