"""How long to measure: enough for steady figures, or a few seconds to see that all works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effort:
    """How often each thing is done."""

    rounds: int
    """Each figure is the median of this many rounds, which take turns."""
    exchanges: int
    """Of one client in a round; sixteen clients make twice as many together."""
    streams: int
    appends: int
    """Of one client; sixty-four clients make eight times as many together."""
    log_size: int
    """Entries of the log that the verifier reads, and of the tree that proofs are about."""
    indexed_size: int
    """Entries of the log that is indexed and asked."""
    backup_megabytes: int
    """Of the database that is backed up and restored."""
    part_seconds: float
    """CPU time for each part of an exchange and for detection."""
    data_keys: int
    """Data keys that are wrapped anew."""
    decisions: int
    """Of the access policies, by each way of asking them."""


FULL = Effort(
    rounds=5,
    exchanges=100,
    streams=40,
    appends=1_000,
    log_size=1_000_000,
    indexed_size=1_000_000,
    backup_megabytes=1_000,
    part_seconds=0.5,
    data_keys=100_000,
    decisions=20_000,
)
QUICK = Effort(
    rounds=1,
    exchanges=8,
    streams=4,
    appends=32,
    log_size=1_000,
    indexed_size=2_000,
    backup_megabytes=4,
    part_seconds=0.02,
    data_keys=300,
    decisions=40,
)
