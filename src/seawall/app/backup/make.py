"""Making a backup while serving: one moment of the database, sealed, what is new alone.

The entry `backup.make` is durable before the snapshot counts. Whatever ends this,
the repository holds the snapshots that it held, and the next backup goes on from
the chunks that are there. 45 CFR 164.308(a)(7)(ii)(A), required.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from seawall.app.backup.key_part import PIECE, TENANT_KEYS, key_pieces, make_key_part
from seawall.app.backup.repository import RING, sha256, without
from seawall.app.backup.shreddings import SHREDDINGS, told
from seawall.app.backup.storing import Storing, payload_path
from seawall.app.ports import SYSTEM_LOG, DumpedTable, whose
from seawall.core.backup.chunks import NONCE
from seawall.core.backup.cutting import cut_entries, cut_rows
from seawall.core.backup.manifest import Manifest
from seawall.core.backup.rows import Shape
from seawall.core.backup.statements import (
    SnapshotNote,
    Stored,
    oldest_beyond,
    write_listing,
)
from seawall.core.errors import Error, Missing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from seawall.app.backup.key_part import Piece
    from seawall.app.backup.repository import Repository
    from seawall.app.ports import (
        Clock,
        Dump,
        DumpSource,
        KeyKeeper,
        Payloads,
        Random,
    )
    from seawall.core.backup.manifest import Chunk, LogAt
    from seawall.core.backup.statements import Index

    Progress = Callable[[str, int], None]
    """Told what is being copied, and how many bytes of it more."""

ENTRIES: Final = Shape("entries", (("entry", "bytes"),))
FILES: Final = Shape("files", (("content", "bytes"), ("path", "text")))
PAYLOADS: Final = "payloads"


@dataclass(frozen=True, slots=True)
class Copied:
    """What is copied, apart from the database."""

    source: DumpSource
    payloads: Payloads | None
    files: Callable[[], Iterable[tuple[str, bytes]]]
    """The configuration: paths and contents."""
    ring: Callable[[], bytes]
    """The key ring's file, whose keys are wrapped."""


@dataclass(frozen=True, slots=True)
class Made:
    """A snapshot that was made."""

    snapshot: str
    note: str
    """SHA-256 of its signed note."""
    repository: str
    files: int
    size: int
    """Bytes of all its files, those included that were there before."""
    written: int
    rows: int
    logs: int
    unread: tuple[str, ...] = ()
    """Listings of older snapshots that cannot be read: nothing that they may need was swept."""


class MakeBackup:
    """Makes a snapshot in a repository, once; lets go of the payload store afterwards."""

    def __init__(
        self,
        *,
        repository: Repository,
        copied: Copied,
        keeper: KeyKeeper,
        clock: Clock,
        random: Random,
        program: str,
        keep: int = 0,
        piece: int = PIECE,
    ) -> None:
        """Take how many snapshots stay (0 for all), and how large the key part's files get."""
        self._repository = repository
        self._copied = copied
        self._keeper = keeper
        self._clock = clock
        self._random = random
        self._program = program
        self._keep = keep
        self._piece = piece

    async def make(
        self,
        record: Callable[[Made], Awaitable[object]],
        progress: Progress = lambda _what, _size: None,
    ) -> Made:
        """Make a snapshot; let the oldest go that are more than are to be kept.

        `record` makes the entry durable before the snapshot counts.
        """
        repository = self._repository
        with repository.place.claim(begin=True):
            identity = await asyncio.to_thread(repository.ensure, self._random)
            index = await asyncio.to_thread(repository.index)
            name = f"{self._clock.now():%Y%m%dT%H%M%SZ}-{self._random.bytes(6).hex()}"
            loop = asyncio.get_running_loop()
            dumped = await asyncio.to_thread(self._dump, progress, loop)
            try:
                files = {**dumped.files, **await self._copy_payloads(dumped, progress)}
            finally:
                if self._copied.payloads is not None:
                    await self._copied.payloads.close()
            keys = tuple(sorted([*dumped.keys, await self._write_ring()]))
            manifest = Manifest(
                repository=identity.repository,
                snapshot=name,
                made=self._clock.now().isoformat(timespec="milliseconds"),
                program=self._program,
                revision=dumped.revision,
                logs=dumped.logs,
                chunks=dumped.chunks,
                payloads=len(dumped.payloads),
                sequence=index.sequence,
                keys=dumped.tenants,
            )
            note, digest = await asyncio.to_thread(self._state, manifest, files)
            made = Made(
                snapshot=name,
                note=digest,
                repository=identity.repository,
                files=len(files),
                size=sum(held.size for held in files.values()),
                written=dumped.storing.written,
                rows=sum(chunk.rows for chunk in dumped.chunks),
                logs=len(dumped.logs),
            )
            await record(made)
            await asyncio.to_thread(repository.place.write, f"snapshots/{name}/note", note)
            following = replace(
                index,
                snapshots=(*index.snapshots, (name, digest)),
                keys=keys,
                checkpoint=await asyncio.to_thread(self._recorded),
            )
            unread = await asyncio.to_thread(self._settle, following)
        return replace(made, unread=unread)

    async def rewrite_keys(self, tenant: str) -> int:
        """Replace the copy of a tenant's keys by what is held now; return how many there were.

        `Missing` (`backup-missing`) if there is no repository: none is begun for this.
        """
        repository = self._repository
        await asyncio.to_thread(repository.identity)
        with repository.place.claim():
            index = await asyncio.to_thread(repository.index)
            named = repository.keys.name_of(tenant)
            old = [one for one in index.keys if _named(one[0]) in {named, RING}]
            if not old:
                return 0
            loop = asyncio.get_running_loop()
            keys = await asyncio.to_thread(self._rewrite, tenant, loop)
            written = [*keys, await self._write_ring()]
            kept = [one for one in index.keys if one not in old]
            following = replace(index, keys=tuple(sorted({*kept, *written})))
            await asyncio.to_thread(self._settle, following)
        return int(any(_named(path) == named for path, _ in old))

    # --- one moment of the database, on a thread ------------------------------------

    def _dump(self, progress: Progress, loop: asyncio.AbstractEventLoop) -> _Dumped:
        repository = self._repository
        before, known = self._earlier()
        with (
            self._copied.source.reading() as dump,
            Storing(
                repository, self._random, known, lambda size: progress("rows", size)
            ) as storing,
        ):
            logs, payloads = dump.logs(), []
            for table in dump.tables():
                for rows in cut_rows(dump.rows(table), table.by):
                    storing.rows(table.shape, rows)
                    if table.shape.table == PAYLOADS:
                        at = [name for name, _ in table.shape.columns].index("digest")
                        payloads += [row[at] for row in rows]
            for log in logs:
                _entries(dump, storing, log, before.get(log.origin, ()))
            storing.rows(FILES, [(content, path) for path, content in self._copied.files()])
            keys = {
                tenant: self._write_keys(tenant, key_pieces(dump, tenant, self._piece), loop)
                for tenant in _tenants(dump)
            }
            chunks, files = storing.finish()
            return _Dumped(
                revision=dump.revision,
                logs=tuple(logs),
                chunks=chunks,
                files=files,
                tenants=tuple(sorted(tenant for tenant, written in keys.items() if written)),
                keys=tuple(one for written in keys.values() for one in written),
                payloads=tuple(payloads),
                storing=storing,
            )

    def _earlier(self) -> tuple[dict[str, list[Chunk]], dict[str, Stored]]:
        """Return the full chunks of entries of the newest snapshot by origin, and its files."""
        newest = self._repository.newest()
        if newest is None:
            return {}, {}
        try:
            manifest = self._repository.manifest(newest)
            listing = self._repository.listing(newest)
        except Error:
            # What is damaged there is no reason to make no better one.
            return {}, {}
        found: dict[str, list[Chunk]] = {}
        for log in manifest.logs:
            mine = [
                one for one in manifest.chunks if one.table == "entries" and one.log == log.origin
            ]
            found[log.origin] = sorted(
                (one for one in mine if one.is_full), key=lambda chunk: chunk.start
            )
        return found, listing

    def _recorded(self) -> str:
        """Return the system log's checkpoint now that it says that a snapshot was made."""
        with self._copied.source.reading() as dump:
            return next((at.checkpoint for at in dump.logs() if at.log == SYSTEM_LOG), "")

    def _rewrite(self, tenant: str, loop: asyncio.AbstractEventLoop) -> list[tuple[str, str]]:
        """Write a tenant's key part anew, with what no snapshot has yet of shreddings."""
        newest = self._repository.newest()
        since: dict[str, int] = {}
        with suppress(Error):
            since = {at.origin: at.size for at in self._repository.manifest(str(newest)).logs}
        with self._copied.source.reading() as dump:
            said = [
                (raw,)
                for log in dump.logs()
                if whose(log.log) == tenant
                for batch in dump.entries(
                    log.log, max(log.minimum, since.get(log.origin, 0)), log.size
                )
                for raw in told(batch)
            ]
            pieces = key_pieces(dump, tenant, self._piece)
            first = [[*piece, (DumpedTable(SHREDDINGS, 0), said)] for piece in islice(pieces, 1)]
            return self._write_keys(tenant, chain(first, pieces), loop)

    def _write_keys(
        self, tenant: str, pieces: Iterable[Piece], loop: asyncio.AbstractEventLoop
    ) -> list[tuple[str, str]]:
        """Write a tenant's key part piece by piece, from a thread; return its files."""
        return [
            asyncio.run_coroutine_threadsafe(self._write_key_part(tenant, piece), loop).result()
            for piece in pieces
        ]

    # --- what goes beside -------------------------------------------------------------

    async def _copy_payloads(self, dumped: _Dumped, progress: Progress) -> dict[str, Stored]:
        """Copy what the payload store holds and the repository lacks, or has otherwise."""
        files: dict[str, Stored] = {}
        payloads, place = self._copied.payloads, self._repository.place
        for digest in dumped.payloads:
            named = digest.removeprefix("sha256:")
            path = payload_path(named)
            held = await asyncio.to_thread(dumped.storing.payload, named)
            if held is None:
                if payloads is None:
                    raise Missing(
                        "payload-missing",
                        "the database names payloads, and no payload store is set",
                        "set [payloads] as it was when they were kept",
                    )
                raw = bytes(await payloads.get(digest))
                await asyncio.to_thread(place.write, path, raw)
                held = Stored(len(raw), named)
                progress("payloads", held.size)
            files[path] = held
        return files

    async def _write_key_part(self, tenant: str, rows: Piece) -> tuple[str, str]:
        part = await make_key_part(tenant, rows, self._keeper)
        name = self._repository.keys.name_of(tenant)
        nonce = self._random.bytes(NONCE)
        sealed = self._repository.keys.seal_manifest(f"keys/{name}", part.to_bytes(), nonce)
        return await self._write_key_file(name, sealed)

    async def _write_ring(self) -> tuple[str, str]:
        return await self._write_key_file(RING, self._copied.ring())

    async def _write_key_file(self, name: str, content: bytes) -> tuple[str, str]:
        digest = sha256(content)
        path = f"keys/{name}-{digest[:16]}"
        await asyncio.to_thread(self._repository.place.write, path, content)
        return path, digest

    def _state(self, manifest: Manifest, files: Mapping[str, Stored]) -> tuple[bytes, str]:
        """Write a snapshot's listing and manifest; return its signed note, and its digest."""
        repository, name = self._repository, manifest.snapshot
        listing = write_listing(files)
        nonce = self._random.bytes(NONCE)
        sealed = repository.keys.seal_manifest(f"snapshot/{name}", manifest.to_bytes(), nonce)
        repository.place.write(f"snapshots/{name}/files", listing)
        repository.place.write(f"snapshots/{name}/manifest", sealed)
        said = SnapshotNote(manifest.repository, name, sha256(listing), sha256(sealed))
        note = repository.sign(said)
        return note, sha256(note)

    def _settle(self, index: Index) -> tuple[str, ...]:
        """Make an index count, then let go of what it does not name; return listings unread."""
        gone = oldest_beyond([name for name, _ in index.snapshots], self._keep)
        following = self._repository.write_index(without(index, gone))
        return self._repository.sweep(following)


@dataclass(frozen=True, slots=True)
class _Dumped:
    """What was read at one moment."""

    revision: str
    logs: tuple[LogAt, ...]
    chunks: tuple[Chunk, ...]
    files: dict[str, Stored]
    tenants: tuple[str, ...]
    keys: tuple[tuple[str, str], ...]
    payloads: tuple[str, ...]
    storing: Storing


def _entries(dump: Dump, storing: Storing, log: LogAt, before: Iterable[Chunk]) -> None:
    """Store a log's entries: full chunks of the earlier snapshot as they are, then the rest."""
    at = log.minimum
    for chunk in before:
        if chunk.start < at or chunk.stop > log.size:
            continue
        if chunk.start > at:
            # Pruning ended within a chunk: what is left of it is one of its own.
            _cut(dump, storing, log, (at, chunk.start), is_tail=False)
        if not storing.again(chunk):
            at = chunk.start
            break
        at = chunk.stop
    _cut(dump, storing, log, (at, log.size), is_tail=True)


def _cut(dump: Dump, storing: Storing, log: LogAt, part: tuple[int, int], *, is_tail: bool) -> None:
    at, stop = part
    for entries, is_full in cut_entries(dump.entries(log.log, at, stop)):
        storing.rows(
            ENTRIES,
            [(entry,) for entry in entries],
            log=log.origin,
            start=at,
            is_full=is_full or not is_tail,
        )
        at += len(entries)


def _tenants(dump: Dump) -> list[str]:
    """Return the tenants that may have keys: those with a log, and those with a key."""
    own = next(table for table in dump.key_tables() if table.shape.table == TENANT_KEYS)
    at = [name for name, _ in own.shape.columns].index("tenant")
    keyed = {row[at] for batch in dump.rows(own) for row in batch}
    return sorted(keyed | {whose(log.log) for log in dump.logs()})


def _named(path: str) -> str:
    """Return whose a file of the key part is."""
    return path.removeprefix("keys/").rpartition("-")[0]
