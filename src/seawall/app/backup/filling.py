"""Filling a database from a snapshot: every chunk opened, every log grown again and compared."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from seawall.app.backup.shreddings import Shreddings
from seawall.app.ports import whose
from seawall.core.backup.chunks import OVERHEAD
from seawall.core.backup.manifest import LogAt
from seawall.core.backup.rows import Rows, Shape, decode_rows, malformed
from seawall.core.backup.trees import Regrown
from seawall.core.ledger.checkpoint import Checkpoint, sign_checkpoint
from seawall.core.seal.envelope import Sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from seawall.app.backup.known import Known
    from seawall.app.backup.repository import NoteSigner, Repository
    from seawall.app.ports import Loading
    from seawall.core.backup.manifest import Chunk, Manifest
    from seawall.core.backup.trees import Tile

HEADS: Final = Shape(
    "heads",
    (
        ("checkpoint", "text"),
        ("edge", "bytes"),
        ("log", "text"),
        ("minimum", "integer"),
        ("origin", "text"),
        ("size", "integer"),
    ),
)
TILES: Final = Shape(
    "tiles", (("hashes", "bytes"), ("level", "integer"), ("log", "text"), ("position", "integer"))
)
ENTRIES: Final = Shape("entries", (("entry", "bytes"),))
SAMPLE: Final = 8
"""So many sealed values of each tenant are opened, spread over all chunks."""
_THREADS: Final = 2
_AHEAD: Final = 4


@dataclass(slots=True)
class Filled:
    """What was filled in."""

    rows: int = 0
    size: int = 0
    files: list[tuple[str, bytes]] = field(default_factory=list)
    samples: dict[str, list[Sealed]] = field(default_factory=dict)
    payloads: list[str] = field(default_factory=list)
    subjects: dict[str, set[str]] = field(default_factory=dict)
    """Whose sealed values there are, by tenant."""
    shreddings: Shreddings = field(default_factory=Shreddings)


@dataclass(frozen=True, slots=True)
class Begun:
    """What is appended to a log that is restored, or to a new one: its name, origin, entries."""

    log: str
    origin: str
    entries: tuple[bytes, ...]


class _Stopped(Exception):
    """Somebody ended the filling."""


class Filling:
    """Loads one snapshot."""

    def __init__(
        self,
        repository: Repository,
        manifest: Manifest,
        loading: Loading,
        signer: NoteSigner,
        *,
        tell: Callable[[int], None],
        known: Known,
    ) -> None:
        """Take `known`: roots that the logs must have had, by origin and size."""
        self._repository = repository
        self._manifest = manifest
        self._loading = loading
        self._signer = signer
        self._tell = tell
        self._known = known
        self._tiles: dict[str, dict[tuple[int, int], bytes]] = {}
        self._is_stopped = False
        self.filled = Filled()

    def stop(self) -> None:
        """End what another thread fills, at its next chunk."""
        self._is_stopped = True

    def fill(self, renamed: Mapping[str, str], begun: Sequence[Begun]) -> Filled:
        """Load everything but the key part; `Tampered` unless every chunk and log is right.

        `renamed` says which logs are kept under another name; `begun` is what is appended to
        logs once they have been compared with their checkpoints, or begins new ones.
        """
        tables = [one for one in self._manifest.chunks if one.table != "entries"]
        for chunk, rows in self._opened(tables):
            self._table(chunk, _renamed(rows, renamed))
        joining = {one.origin: one for one in begun}
        for at in self._manifest.logs:
            name = renamed.get(at.log, at.log)
            self._log(replace(at, log=name), joining.pop(at.origin, None))
        for one in joining.values():
            at = LogAt(one.log, one.origin, 0, "")
            self._close(Regrown(at), one.entries)
        return self.filled

    def _table(self, chunk: Chunk, rows: Rows) -> None:
        columns = [name for name, _ in rows.shape.columns]
        if chunk.table == "files":
            self.filled.files += [(path, content) for content, path in rows.rows]
            return
        if chunk.table == "tiles":
            at = [columns.index(name) for name in ("log", "level", "position", "hashes")]
            for row in rows.rows:
                log, level, index, hashes = (row[place] for place in at)
                self._tiles.setdefault(log, {})[level, index] = hashes
            return
        if chunk.table == "payloads":
            self.filled.payloads += [row[columns.index("digest")] for row in rows.rows]
        if chunk.table in {"payloads", "sealed"}:
            tenant, subject = columns.index("tenant"), columns.index("subject")
            for row in rows.rows:
                self.filled.subjects.setdefault(row[tenant], set()).add(row[subject])
        if chunk.table == "sealed":
            self._sample(rows, columns.index("tenant"), columns.index("envelope"))
        self.filled.rows += self._loading.load(rows)

    def _sample(self, rows: Rows, tenant: int, envelope: int) -> None:
        """Remember some sealed values of each tenant, the newest chunk's in place of older ones."""
        for row in (rows.rows[0], rows.rows[-1]):
            held = self.filled.samples.setdefault(row[tenant], [])
            held.append(Sealed(row[envelope]))
            del held[1 : len(held) - SAMPLE + 1]

    def _log(self, at: LogAt, joining: Begun | None) -> None:
        """Load a log's entries in their order, and compare what they make with its checkpoint."""
        log = Regrown(at, self._tiles.pop(at.log, None), self._known.get(at.origin))
        for chunk, rows in self._opened(self._manifest.entries_of(at.origin)):
            if chunk.start != log.size or rows.shape != ENTRIES:
                raise malformed()
            entries = [row[0] for row in rows.rows]
            self._append(log, entries)
            self.filled.shreddings.read(whose(at.log), entries)
        log.check(self._signer.public_key)
        self._close(log, joining.entries if joining else ())

    def _append(self, log: Regrown, entries: Sequence[bytes]) -> None:
        start = log.size
        tiles = log.add(entries)
        rows = Rows(ENTRIES, [(entry,) for entry in entries], log.at.log, start)
        self.filled.rows += self._loading.load(rows)
        self._keep_tiles(log, tiles)

    def _keep_tiles(self, log: Regrown, tiles: Sequence[Tile]) -> None:
        if tiles:
            rows = [(hashes, level, log.at.log, index) for level, index, hashes in tiles]
            self._loading.load(Rows(TILES, rows))

    def _close(self, log: Regrown, entries: Sequence[bytes]) -> None:
        """Append what is new, and write the log's head."""
        at, checkpoint = log.at, log.at.checkpoint
        if entries:
            self._append(log, entries)
            checkpoint = sign_checkpoint(
                Checkpoint(at.origin, log.size, log.edge.root()),
                at.origin,
                self._signer.sign,
                self._signer.public_key,
            )
        self._keep_tiles(log, log.rest())
        edge = log.edge.range.to_bytes()
        head = (checkpoint, edge, at.log, at.minimum, at.origin, log.size)
        self._loading.load(Rows(HEADS, [head]))

    def _opened(self, chunks: Sequence[Chunk]) -> Iterator[tuple[Chunk, Rows]]:
        """Yield the rows of chunks, a few of which are opened ahead."""
        with ThreadPoolExecutor(_THREADS, "restore") as pool:
            ahead: deque[Any] = deque()
            try:
                for chunk in chunks:
                    ahead.append((chunk, pool.submit(self._open, chunk)))
                    if len(ahead) > _AHEAD:
                        yield self._told(*ahead.popleft())
                while ahead:
                    yield self._told(*ahead.popleft())
            finally:
                for _, waiting in ahead:
                    waiting.cancel()

    def _told(self, chunk: Chunk, opening: Any) -> tuple[Chunk, Rows]:
        rows = opening.result()
        if self._is_stopped:
            raise _Stopped
        self._tell(chunk.size)
        self.filled.size += chunk.size
        return chunk, rows

    def _open(self, chunk: Chunk) -> Rows:
        return open_chunk(self._repository, chunk)


def open_chunk(repository: Repository, chunk: Chunk) -> Rows:
    """Return the rows of a chunk; `Tampered` unless they are what the manifest says."""
    sealed = repository.place.read(chunk.path, chunk.size + OVERHEAD)
    if len(sealed) != chunk.size + OVERHEAD:
        raise malformed()
    rows = decode_rows(repository.keys.open_chunk(chunk.id, sealed))
    told = (rows.shape.table, len(rows.rows), rows.log, rows.start)
    if told != (chunk.table, chunk.rows, chunk.log, chunk.start):
        raise malformed()
    return rows


def _renamed(rows: Rows, renamed: Mapping[str, str]) -> Rows:
    """Return rows whose log is kept under another name."""
    names = [name for name, _ in rows.shape.columns]
    if not renamed or "log" not in names:
        return rows
    at = names.index("log")
    changed = [(*row[:at], renamed.get(row[at], row[at]), *row[at + 1 :]) for row in rows.rows]
    return replace(rows, rows=changed)
