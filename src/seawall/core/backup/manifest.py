"""The sealed manifest of a snapshot: which chunk holds which rows, and where every log stood."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

import orjson

from seawall.core.backup.rows import malformed


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk, and what lies in it."""

    id: str
    table: str
    rows: int
    size: int
    """Of its content, not sealed."""
    log: str = ""
    """Of entries: the origin of their log."""
    start: int = 0
    is_full: bool = False
    """Of entries: whether the next snapshot has the same one, whatever is appended."""

    @property
    def path(self) -> str:
        """Where it lies in the repository."""
        return f"chunks/{self.id[:2]}/{self.id}"

    @property
    def stop(self) -> int:
        """Of entries: the index after its last."""
        return self.start + self.rows


@dataclass(frozen=True, slots=True)
class LogAt:
    """Where a log stood: its signed checkpoint, and the first entry that pruning left."""

    log: str
    origin: str
    size: int
    checkpoint: str
    minimum: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything that a snapshot is, but for the rows."""

    repository: str
    snapshot: str
    made: str
    program: str
    revision: str
    """Which step the tables had taken."""
    logs: tuple[LogAt, ...]
    chunks: tuple[Chunk, ...]
    payloads: int = 0
    sequence: int = 0
    """The repository's index when it was made: an older key part is not this snapshot's."""
    keys: tuple[str, ...] = field(default=())
    """The tenants that the key part had."""

    def to_bytes(self) -> bytes:
        """Write it as JSON."""
        return orjson.dumps(asdict(self), option=orjson.OPT_SORT_KEYS)

    @classmethod
    def from_bytes(cls, raw: bytes) -> Manifest:
        """Read it; `Tampered` if it is none.

        Fields that a newer program added are left out: `revision` says whether it was one.
        """
        try:
            told: dict[str, Any] = orjson.loads(raw)
            told["logs"] = tuple(LogAt(**_known(LogAt, log)) for log in told["logs"])
            told["chunks"] = tuple(Chunk(**_known(Chunk, chunk)) for chunk in told["chunks"])
            told["keys"] = tuple(told["keys"])
            return cls(**_known(cls, told))
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            raise malformed() from None

    def entries_of(self, origin: str) -> list[Chunk]:
        """Return the chunks of a log's entries, in their order."""
        found = [one for one in self.chunks if (one.table, one.log) == ("entries", origin)]
        return sorted(found, key=lambda chunk: chunk.start)

    def rows(self) -> dict[str, int]:
        """Return how many rows each table has."""
        counted: dict[str, int] = {}
        for chunk in self.chunks:
            counted[chunk.table] = counted.get(chunk.table, 0) + chunk.rows
        return counted


def _known(kind: type, told: dict[str, Any]) -> dict[str, Any]:
    names = {one.name for one in fields(kind)}
    return {name: value for name, value in told.items() if name in names}
