"""Random numbers from named, counter-based streams.

    key   = SipHash-2-4(key = seed, message = stream name)
    value = mix(mix(key) xor mix(index)),  mix = splitmix64's finaliser

A value depends on the seed, the stream's name and the index, and on nothing else: adding a VM or a policy
moves no other stream, and any part of a stream can be drawn again. Integers only; source of `mix`: Steele,
Lea and Flood, OOPSLA 2014 (Stafford's variant 13). A bounded draw is the high word of word × n.
"""

from __future__ import annotations

import numpy as np
from siphash24 import siphash24

from vmcfg.jit import as_python, kernel

_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)
_S27 = np.uint64(27)
_S30 = np.uint64(30)
_S31 = np.uint64(31)
_S32 = np.uint64(32)
_LOW32 = np.uint64(0xFFFFFFFF)
_MILLION = np.uint64(1_000_000)


def stream_key(seed: int, name: str) -> int:
    """Return the 64-bit key of the stream `name`: SipHash-2-4 keyed by the seed (u64, little-endian, 8 zero bytes)."""
    digest = siphash24(name.encode(), key=seed.to_bytes(8, "little") + bytes(8)).digest()
    return int.from_bytes(digest, "little")


def mixed_key(seed: int, name: str) -> np.uint64:
    """Return the key of the stream `name`, mixed: what `word` takes."""
    with np.errstate(over="ignore"):
        return as_python(mix)(np.uint64(stream_key(seed, name)))


@kernel
def mix(x: np.uint64) -> np.uint64:
    """Return splitmix64's finaliser of `x`: a bijection on 64 bits."""
    x = (x ^ (x >> _S30)) * _M1
    x = (x ^ (x >> _S27)) * _M2
    return x ^ (x >> _S31)


@kernel
def word(mixed_key: np.uint64, index: np.uint64) -> np.uint64:
    """Return the word at `index` of the stream whose key, already mixed, is `mixed_key`."""
    return mix(mixed_key ^ mix(index))


@kernel
def bounded(word: np.uint64, end: np.uint64) -> np.uint64:
    """Return a draw below `end`, itself below 2^32: the high word of word × end, from two products."""
    return ((word >> _S32) * end + (((word & _LOW32) * end) >> _S32)) >> _S32


@kernel
def chance(ppm: np.uint64) -> np.uint64:
    """Return the largest word whose draw below a million is below `ppm`, which is 1 … 1,000,000.

    To ask whether a word is at most this is to ask whether `bounded(word, 1_000_000) < ppm`, at no product.
    """
    high = ppm << _S32
    quotient = high // _MILLION
    low = (high - quotient * _MILLION) << _S32
    rest = low // _MILLION
    is_exact = np.uint64(low == rest * _MILLION)
    return (quotient << _S32) + rest - is_exact


@kernel
def mulhi(a: np.uint64, b: np.uint64) -> np.uint64:
    """Return the high word of a × b, from four 32-bit products."""
    a_high, a_low = a >> _S32, a & _LOW32
    b_high, b_low = b >> _S32, b & _LOW32
    middle = a_high * b_low + ((a_low * b_low) >> _S32)
    carry = (a_low * b_high + (middle & _LOW32)) >> _S32
    return a_high * b_high + (middle >> _S32) + carry
