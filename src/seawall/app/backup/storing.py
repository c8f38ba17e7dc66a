"""Storing chunks on two threads beside the one that reads: sealing and flushing take their time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Self

from seawall.app.backup.repository import sha256
from seawall.core.backup.chunks import NONCE, OVERHEAD
from seawall.core.backup.manifest import Chunk
from seawall.core.backup.rows import encode_rows
from seawall.core.backup.statements import Stored
from seawall.core.errors import Missing, Tampered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future
    from types import TracebackType
    from typing import Any

    from seawall.app.backup.repository import Repository
    from seawall.app.ports import Random
    from seawall.core.backup.rows import Shape

_THREADS: Final = 2
_WAITING: Final = 6
"""So many chunks may wait to be written: what bounds memory."""
_SAMPLE: Final = 16
"""Of so many files that are there already, one is read: a backup notices a dying disk."""
_SMALL: Final = 256
"""Of a snapshot of fewer files all are read."""


class Storing:
    """Writes chunks that are not there yet, and remembers all that a snapshot needs."""

    def __init__(
        self,
        repository: Repository,
        random: Random,
        before: Mapping[str, Stored],
        tell: Callable[[int], None],
    ) -> None:
        self._repository = repository
        self._random = random
        self._before = before
        self._tell = tell
        self._pool = ThreadPoolExecutor(_THREADS, "backup")
        self._room = threading.BoundedSemaphore(_WAITING)
        self._stored: list[Future[tuple[Chunk, Stored]]] = []
        # At random, so that no file is passed over by every backup.
        self._met = random.bytes(1)[0] if len(before) > _SMALL else None
        self._differing: set[str] = set()
        self.written = 0
        """Bytes that were not there before."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def rows(
        self,
        shape: Shape,
        rows: Sequence[Sequence[Any]],
        *,
        log: str = "",
        start: int = 0,
        is_full: bool = False,
    ) -> None:
        """Store rows as a chunk, sooner or later."""
        content = encode_rows(shape, rows, log=log, start=start)
        count = len(rows)

        def work() -> tuple[Chunk, Stored]:
            """Seal and write it, unless it is there."""
            try:
                named = self._repository.keys.chunk_id(content)
                chunk = Chunk(named, shape.table, count, len(content), log, start, is_full)
                return chunk, self._store(chunk, content)
            finally:
                self._room.release()

        self._room.acquire()
        self._stored.append(self._pool.submit(work))
        self._raise_early()

    def again(self, chunk: Chunk) -> bool:
        """Take a chunk of an earlier snapshot as it is; False if it is not as it was."""
        held = self._kept(chunk)
        if held is None:
            return False
        done: Future[tuple[Chunk, Stored]] = self._pool.submit(lambda: (chunk, held))
        self._stored.append(done)
        self._tell(chunk.size)
        return True

    def finish(self) -> tuple[tuple[Chunk, ...], dict[str, Stored]]:
        """Wait for all; return the chunks in their order, and their files."""
        done = [future.result() for future in self._stored]
        return tuple(chunk for chunk, _ in done), {chunk.path: held for chunk, held in done}

    def _store(self, chunk: Chunk, content: bytes) -> Stored:
        held = self._kept(chunk)
        if held is None:
            keys = self._repository.keys
            sealed = keys.seal_chunk(chunk.id, content, self._random.bytes(NONCE))
            self._repository.place.write(chunk.path, sealed)
            held = Stored(len(sealed), sha256(sealed))
            self.written += len(sealed)
        self._tell(chunk.size)
        return held

    def _kept(self, chunk: Chunk) -> Stored | None:
        """Return a chunk's file if it is there, of its size, and, of a sample, opens.

        One that no listing names is of a backup that was ended: it is read whole. One that
        was found to differ is not kept whoever asks again.
        """
        size = chunk.size + OVERHEAD
        if chunk.path in self._differing or self._repository.place.size(chunk.path) != size:
            return None
        held = self._before.get(chunk.path)
        if held is not None and not self._is_looked_at():
            return held
        try:
            sealed = self._repository.place.read(chunk.path, size)
            self._repository.keys.open_chunk(chunk.id, sealed)
            found = Stored(len(sealed), sha256(sealed))
            if held in {None, found}:
                return found
        except (Missing, Tampered):
            pass
        self._differing.add(chunk.path)
        return None

    def payload(self, named: str) -> Stored | None:
        """Return a payload's file if it is there, as large as before, and, of a sample, itself."""
        path, place = payload_path(named), self._repository.place
        size, held = place.size(path), self._before.get(path)
        if size is None or (held is not None and size != held.size):
            return None
        if held is not None and not self._is_looked_at():
            return held
        try:
            is_itself = sha256(place.read(path)) == named
        except (Missing, Tampered):
            return None
        return Stored(size, named) if is_itself else None

    def _is_looked_at(self) -> bool:
        if self._met is None:
            return True
        self._met += 1
        return self._met % _SAMPLE == 0

    def _raise_early(self) -> None:
        """Raise what an earlier chunk failed with: a full disk ends a backup soon."""
        for future in self._stored[-_WAITING * 2 :]:
            if future.done():
                future.result()


def payload_path(named: str) -> str:
    """Return where the payload of a digest lies, in hex."""
    return f"payloads/{named[:2]}/{named}"
