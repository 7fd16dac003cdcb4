"""Peers on the same input: equal counts first, then the ratio of their times. All are optional (extra `bench`)."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from vmcfg.bench import replacement_peer, tlb_peer
from vmcfg.bench.race import Race

PEERS = (tlb_peer, replacement_peer)


def races() -> Iterator[Race]:
    """Race against every peer that is installed; yields nothing where none is."""
    for peer in PEERS:
        if importlib.util.find_spec(peer.MODULE):
            yield from peer.races()
