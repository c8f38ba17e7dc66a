"""What is known of logs beyond a snapshot: whoever restores behind it would rewrite history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from seawall.app.ports import SUCCEEDED, SYSTEM_LOG
from seawall.core.backup.trees import forked
from seawall.core.errors import Conflict
from seawall.core.ledger.checkpoint import Checkpoint, format_vkey, open_checkpoint

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from seawall.core.backup.manifest import LogAt

    Known = Mapping[str, Mapping[int, bytes]]
    """Roots that are known, by origin and size."""


@dataclass(frozen=True, slots=True)
class Behind:
    """A log that is succeeded: where it is restored to, and what is known of it."""

    at: LogAt
    restored: Checkpoint
    known: Checkpoint


def read_known(notes: Iterable[str], public_key: bytes) -> dict[str, dict[int, bytes]]:
    """Return what is known, by origin and size; `Tampered` unless our key signed each note.

    `Tampered` (`backup-forked`) too if two of the same origin and size contradict each other.
    """
    known: dict[str, dict[int, bytes]] = {}
    for note in notes:
        origin = note.partition("\n")[0]
        checkpoint = open_checkpoint(note, format_vkey(origin, public_key))
        if known.setdefault(origin, {}).setdefault(checkpoint.size, checkpoint.root) != (
            checkpoint.root
        ):
            raise forked()
    return known


def logs_behind(logs: Sequence[LogAt], known: Known, public_key: bytes) -> list[Behind]:
    """Return the logs of a snapshot that a successor goes on for: those behind what is known.

    The system's log is always one: that a snapshot was made is its entry after the snapshot.
    A log that was succeeded is never one, since nobody appends to it.
    `Tampered` (`backup-forked`) if a known checkpoint of the same size has another root;
    smaller ones are compared when the log has grown so far.
    """
    found = []
    for at in logs:
        own = open_checkpoint(at.checkpoint, format_vkey(at.origin, public_key))
        roots = known.get(at.origin, {})
        if roots.get(own.size, own.root) != own.root:
            raise forked()
        size = max([own.size, *roots])
        if SUCCEEDED in at.log or (size == own.size and at.log != SYSTEM_LOG):
            continue
        newest = Checkpoint(at.origin, size, roots[size]) if size > own.size else own
        found.append(Behind(at, own, newest))
    return found


def logs_lacking(logs: Sequence[LogAt], known: Known) -> list[Checkpoint]:
    """Return the newest known checkpoint of each log that a snapshot has nothing of."""
    there = {at.origin for at in logs}
    return [
        Checkpoint(origin, max(roots), roots[max(roots)])
        for origin, roots in sorted(known.items())
        if origin not in there
    ]


def refuse_behind(behind: Sequence[Behind]) -> None:
    """Raise `Conflict` if a tenant's log is behind: what was recorded would be taken back."""
    tenants = [one for one in behind if one.at.log != SYSTEM_LOG]
    if tenants:
        first = tenants[0]
        raise Conflict(
            "restore-behind",
            f"{len(tenants)} of the logs are behind a known checkpoint: one has "
            f"{first.restored.size} entries here, and had {first.known.size}",
            "restore a newer snapshot; where there is none, --successor freezes what is restored "
            "and begins a new log that names the gap",
        )


def refuse_lacking(lacking: Sequence[Checkpoint], without: Collection[str]) -> None:
    """Raise `Conflict` if a known log is not in the snapshot, unless it is given up by origin."""
    left = [one for one in lacking if one.origin not in without]
    if left:
        raise Conflict(
            "restore-lacks-log",
            f"{len(left)} of the logs that are known are not in this snapshot; the first is "
            f"{left[0].origin}, with {left[0].size} entries",
            "restore a newer snapshot; where there is none, --without names the origin of each "
            "log that is given up",
        )
