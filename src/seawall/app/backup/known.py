"""What is known of logs beyond a snapshot: whoever restores behind it would rewrite history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from seawall.core.errors import Conflict, Tampered
from seawall.core.ledger.checkpoint import format_vkey, open_checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from seawall.core.backup.manifest import LogAt
    from seawall.core.ledger.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class Behind:
    """A log that would be restored behind what is known of it."""

    at: LogAt
    restored: Checkpoint
    known: Checkpoint


def read_known(notes: Iterable[str], public_key: bytes) -> dict[str, Checkpoint]:
    """Return the largest checkpoint of each origin; `Tampered` unless our key signed each."""
    known: dict[str, Checkpoint] = {}
    for note in notes:
        origin = note.partition("\n")[0]
        checkpoint = open_checkpoint(note, format_vkey(origin, public_key))
        if origin not in known or known[origin].size < checkpoint.size:
            known[origin] = checkpoint
    return known


def logs_behind(
    logs: Sequence[LogAt], known: Mapping[str, Checkpoint], public_key: bytes
) -> list[Behind]:
    """Return the logs of a snapshot that are behind what is known.

    `Tampered` (`backup-forked`) if a known checkpoint of the same size has another root.
    """
    found = []
    for at in logs:
        own = open_checkpoint(at.checkpoint, format_vkey(at.origin, public_key))
        newest = known.get(at.origin, own)
        if newest.size > own.size:
            found.append(Behind(at, own, newest))
        elif newest.size == own.size and newest.root != own.root:
            raise Tampered(
                "backup-forked",
                "a log's checkpoint in the backup contradicts one that is known",
                "keep both, compare them with what witnesses have, and treat it as an incident",
            )
    return found


def refuse_behind(behind: Sequence[Behind]) -> None:
    """Raise `Conflict` if a log is behind: restoring would take back what was recorded."""
    if behind:
        first = behind[0]
        raise Conflict(
            "restore-behind",
            f"{len(behind)} of the logs are behind a known checkpoint: one has "
            f"{first.restored.size} entries here, and had {first.known.size}",
            "restore a newer snapshot; where there is none, --successor freezes what is restored "
            "and begins a new log that names the gap",
        )
