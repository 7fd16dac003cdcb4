"""A race: the same input for vmcfg and for a peer, their counts, and the time of each."""

from __future__ import annotations

from attrs import frozen

ROUNDS = 3


@frozen
class Race:
    """One input: misses and seconds of vmcfg and of the peer. What vmcfg has to load before is timed apart."""

    name: str
    peer: str
    misses: int
    peer_misses: int
    seconds: float
    load_seconds: float
    peer_seconds: float
