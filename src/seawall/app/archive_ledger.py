"""Every full bundle of every log goes to every archive, is read back, and only then counts.

An archive becomes a tlog-tiles folder below each log's origin: bundles, tiles,
`vkey`, published checkpoints with cosignatures under `published/SIZE/`. Objects
are never written over, so a log's own checkpoint lies under `checkpoints/SIZE`,
with the partial tiles and bundle that a log of this size has: whoever copies
the archive and names the newest of them `checkpoint` can verify the copy.

Each object is kept for as long as the documents ask, counted from when it was
archived; a legal hold in force is set on what it covers, also on what was
archived before. What is less than a full bundle (checkpoints, stamps, `vkey`,
partial tiles) is held by any hold, for nothing that is held can be verified
without it; an archive's own listing says what there is of it.
45 CFR 164.316(b)(2)(i), 164.530(j)(2) for documentation; that the ledger is kept
so is practice.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from seawall.app.entries import entry
from seawall.app.keeping import changed, keeping_fields, keeping_of, place, read_bundle
from seawall.app.ports import SYSTEM_LOG, Archived, KeepArchived, Query
from seawall.core.errors import Conflict, Error, Missing, Refused, Tampered, Unavailable
from seawall.core.ledger.encoding import decode
from seawall.core.ledger.retention import latest_of
from seawall.core.ledger.tiles import bundle_path, encode_bundle, tile_path, tiles_of
from seawall.core.ledger.tree import (
    HASH_BYTES,
    TILE_BYTES,
    TILE_WIDTH,
    leaf_hash,
    root_of,
    split_hashes,
)
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from seawall.app.index_ledger import IndexLedger
    from seawall.app.ports import Archive, Clock, Head, Ledger, Store
    from seawall.core.ledger.retention import Keeping

_REST_SECONDS: Final = 86_400.0
"""How often a log that has grown by less than a bundle is archived all the same."""

_LOOKED_BACK: Final = 1_000
_RUNS: Final = ("ledger.archive", "ledger.retain")

_Place = tuple[str, str]
"""A log and an archive, by their names."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run brought to one archive of one log: bundles `first` to `stop` (exclusive)."""

    log: str
    archive: str
    first: int
    stop: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How far an archive follows a log."""

    log: str
    origin: str
    archive: str
    is_locked: bool
    bundles: int
    of: int
    newest_ms: int | None


class ArchiveLedger:
    """Brings every archive of the settings up to every log, and holds and locks by documents."""

    def __init__(
        self,
        *,
        store: Store,
        ledger: Ledger,
        archives: Sequence[Archive],
        clock: Clock,
        indexing: IndexLedger,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._indexing = indexing
        self._archives = archives
        self._clock = clock
        self._turn = asyncio.Lock()
        self._tested: set[str] = set()
        self._next: dict[_Place, int] = {}
        self._kept: dict[_Place, str] = {}
        self._rested: dict[_Place, tuple[int, float]] = {}
        self._published: dict[_Place, int] = {}

    async def all(
        self,
        *,
        is_whole: bool = False,
        progress: Callable[[str, Head, int], None] | None = None,
    ) -> list[Run]:
        """Archive what is missing; with `is_whole` also what is less than a full bundle.

        An archive that fails stops no other; its error is raised when all were tried.
        Going on where an earlier run was ended is all that resuming takes.
        """
        runs: list[Run] = []
        errors: list[Error] = []
        async with self._turn:
            for archive in self._archives:
                try:
                    runs += await self._follow(archive, errors, is_whole, progress)
                except Error as error:
                    self._tested.discard(archive.name)
                    errors.append(error)
        if errors:
            raise next((one for one in errors if isinstance(one, Tampered)), errors[0])
        return runs

    async def _follow(
        self,
        archive: Archive,
        errors: list[Error],
        is_whole: bool,  # noqa: FBT001  as `all` was told
        progress: Callable[[str, Head, int], None] | None,
    ) -> list[Run]:
        """Bring one archive up to every log; a log that fails stops no other log."""
        if archive.name not in self._tested:
            await archive.self_test()
            self._tested.add(archive.name)
        now = await archive.now() or self._clock.now()
        runs = []
        for head in await self._store.logs():
            if head.size == 0:
                continue
            keeping = await keeping_of(self._store, head.log, now.date())
            rows = await self._store.archived(head.log) if head.minimum else []
            copying = _Copying(self._store, archive, head, keeping, now, self._others(head, rows))
            try:
                run = await self._bring(copying, is_whole, progress)
            except Unavailable:
                raise
            except Error as error:
                errors.append(error)
            else:
                runs += [run] if run else []
        return runs

    async def _bring(
        self,
        copying: _Copying,
        is_whole: bool,  # noqa: FBT001  as `all` was told
        progress: Callable[[str, Head, int], None] | None,
    ) -> Run | None:
        """Archive a log's missing bundles in order, each remembered once it was read back."""
        head, key = copying.head, (copying.head.log, copying.archive.name)
        await self._keep_longer(copying, key)
        at = first = await self._first_missing(key)
        digests: list[str] = []
        try:
            while (at + 1) * TILE_WIDTH <= head.size:
                try:
                    copy = await copying.bundle(at)
                except Missing:
                    at = first = head.minimum // TILE_WIDTH  # pruned, and no archive has it
                    continue
                await self._ledger.remember([KeepArchived(copy)])
                digests.append(copy.digest)
                at = self._next[key] = at + 1
                if progress is not None:
                    progress(copying.archive.name, head, at)
            if is_whole or digests or self._is_due(key, head):
                await self._rest(copying, key)
        finally:
            if digests:
                await self._record(copying, "ledger.archive", first, at, digests)
        return Run(head.log, copying.archive.name, first, at) if digests else None

    async def _first_missing(self, key: _Place) -> int:
        if key not in self._next:
            rows = await self._store.archived(key[0])
            held = {row.bundle for row in rows if row.archive == key[1]}
            self._next[key] = next(at for at in range(len(held) + 1) if at not in held)
            # What was published before that was archived with it.
            self._published[key] = self._next[key] * TILE_WIDTH - 1
        return self._next[key]

    # --- what is less than a bundle --------------------------------------------

    def _is_due(self, key: _Place, head: Head) -> bool:
        size, at = self._rested.get(key, (0, 0.0))
        waited = self._clock.monotonic() - at
        return head.size != size and (size == 0 or waited >= _REST_SECONDS)

    async def _rest(self, copying: _Copying, key: _Place) -> None:
        """Archive a log's checkpoint with what it takes to verify it, and published ones."""
        self._published[key] = await copying.rest(self._published[key])
        self._rested[key] = copying.head.size, self._clock.monotonic()

    # --- what the documents change afterwards ----------------------------------

    async def _keep_longer(self, copying: _Copying, key: _Place) -> None:
        """Bring retention and holds of what is archived to what the documents say now."""
        digest = copying.keeping.digest()
        if self._kept.get(key) == digest:
            return
        rows = [row for row in await self._store.archived(key[0]) if row.archive == key[1]]
        if await self._recorded(copying) != digest:
            others = self._others(copying.head, await self._store.archived(key[0]))
            again = replace(copying, others=others)
            await again.keep_rest_longer()
            for row in rows:
                copy = await again.bundle(row.bundle, earlier=row)
                await self._ledger.remember([KeepArchived(copy)])
            if rows:
                digests = [row.digest for row in rows]
                await self._record(copying, "ledger.retain", 0, rows[-1].bundle + 1, digests)
        self._kept[key] = digest

    async def _recorded(self, copying: _Copying) -> str | None:
        """Return by what the newest run kept what it archived; None if no entry says so.

        The index is brought up first: by an older run, what was released since would stay held.
        """
        await self._indexing.caught_up(SYSTEM_LOG)
        found: list[tuple[int, bytes]] = []
        for action in _RUNS:
            query = Query((("action", action),), last=_LOOKED_BACK)
            found += await self._store.find(SYSTEM_LOG, query)
        for _, raw in sorted(found, reverse=True):
            run = decode(raw)
            if (run.get("log"), run.get("archive")) == (copying.head.origin, copying.archive.name):
                return str(run.get("keeping"))
        return None

    def _others(
        self, head: Head, rows: Sequence[Archived]
    ) -> dict[int, list[tuple[Archive, Archived, str]]]:
        """Return, by bundle, which archives of the settings hold it."""
        known = {archive.name: archive for archive in self._archives}
        found: dict[int, list[tuple[Archive, Archived, str]]] = {}
        for row in rows:
            if row.archive in known:
                path = place(head, bundle_path(row.bundle))
                found.setdefault(row.bundle, []).append((known[row.archive], row, path))
        return found

    async def _record(
        self, copying: _Copying, action: str, first: int, stop: int, digests: Sequence[str]
    ) -> None:
        """Record a run in the system's log."""
        together = hashlib.sha256("\n".join(digests).encode()).hexdigest()
        fields: dict[str, Any] = {
            "log": copying.head.origin,
            "archive": copying.archive.name,
            "from": first * TILE_WIDTH,
            "to": stop * TILE_WIDTH,
            "digest": f"sha256:{together}",
            **keeping_fields(copying.keeping),
        }
        principal = Principal("system", "seawall", copying.head.log)
        await self._ledger.append(SYSTEM_LOG, entry(action, principal, self._clock, **fields))


@dataclass(frozen=True)
class _Copying:
    """One log on its way to one archive, in one run."""

    store: Store
    archive: Archive
    head: Head
    keeping: Keeping
    now: datetime
    """By the archive's own clock, where it has one."""
    others: dict[int, list[tuple[Archive, Archived, str]]]
    """Who holds bundles that were pruned here."""

    async def bundle(self, at: int, earlier: Archived | None = None) -> Archived:
        """Archive one full bundle with the tiles that it completes; read each back.

        `earlier` says that it was archived then, so that only retention and holds change.
        """
        raw = await read_bundle(self.store, self.head, at, self.others.get(at, ()))
        leaves = b"".join(map(leaf_hash, raw))
        await self._check(0, at, leaves)
        since = datetime.fromtimestamp(earlier.at_ms / 1000, UTC) if earlier else self.now
        until = self.keeping.archive_until(latest_of(raw), since)
        is_held = self.keeping.hold_on(map(decode, raw)) is not None
        lifts = earlier is not None
        for level, index in completed_by(at):
            tile = await self.store.tile(self.head.log, level, index)
            await self._check(level, index, tile)
            is_any_held = bool(self.keeping.holds)
            await self._keep(tile_path(level, index), tile, until, is_any_held, lifts=lifts)
        await self._keep(tile_path(0, at), leaves, until, is_held, lifts=lifts)
        content = encode_bundle(raw)
        version = await self._keep(bundle_path(at), content, until, is_held, lifts=lifts)
        return Archived(
            self.head.log,
            at,
            self.archive.name,
            version,
            "sha256:" + hashlib.sha256(content).hexdigest(),
            earlier.at_ms if earlier else int(self.now.timestamp() * 1000),
        )

    async def _check(self, level: int, index: int, tile: bytes) -> None:
        """Raise `Tampered` unless a full tile is what the one above it says."""
        parent, at = divmod(index, TILE_WIDTH)
        above = await self.store.tile(self.head.log, level + 1, parent)
        signed = above[at * HASH_BYTES :][:HASH_BYTES]
        if len(tile) != TILE_BYTES or root_of(split_hashes(tile)) != signed:
            raise changed(f"tile {index} of level {level} is not what was signed")

    async def rest(self, above: int) -> int:
        """Archive the checkpoint of the present size, partial tiles, and what was published.

        Returns the size of the newest published checkpoint above `above`, or that.
        """
        head = self.head
        full, width = divmod(head.size, TILE_WIDTH)
        raw = await self.store.entries(head.log, full * TILE_WIDTH, head.size)
        until = self.keeping.archive_until(latest_of(raw), self.now)
        is_held = bool(self.keeping.holds)
        if width:
            await self._keep(bundle_path(full, width), encode_bundle(raw), until, is_held)
        for level, index, count in tiles_of(head.size):
            if count < TILE_WIDTH:
                tile = (await self.store.tile(head.log, level, index))[: count * HASH_BYTES]
                await self._keep(tile_path(level, index, count), tile, until, is_held)
        await self._keep("vkey", f"{head.vkey}\n".encode(), until, is_held)
        newest = above
        for made in await self.store.published(head.log, above=above):
            if made.size <= head.size and (made.is_witnessed or made.stamp is not None):
                await self._keep_published(made.size, made.note.encode(), made.stamp, until)
                newest = made.size
        checkpoint = head.checkpoint.encode()
        await self._keep(f"checkpoints/{head.size}", checkpoint, until, is_held)
        return newest

    async def keep_rest_longer(self) -> None:
        """Bring what is less than a full bundle to what the documents say now.

        Counted from when the archive took it; what is kept longer already stays so.
        """
        is_held = bool(self.keeping.holds)
        async for lying in self.archive.lying(self.head.origin):
            if _is_full(lying.path.removeprefix(f"{self.head.origin}/")):
                continue
            until = self.keeping.archive_until(None, lying.at)
            try:
                await self.archive.extend(lying.path, lying.version, until)
            except Refused as error:
                if error.code != "retention-shortened":
                    raise
            await self.archive.hold(lying.path, lying.version, is_held=is_held)

    async def _keep_published(
        self, size: int, note: bytes, stamp: bytes | None, until: datetime
    ) -> None:
        is_held = bool(self.keeping.holds)
        path = f"published/{size}"
        try:
            await self._keep(f"{path}/checkpoint", note, until, is_held)
            if stamp is not None:
                await self._keep(f"{path}/stamp.tsr", stamp, until, is_held)
        except Conflict:
            # More cosignatures came after it was archived: the earlier one stays as good.
            return

    async def _keep(
        self,
        path: str,
        content: bytes,
        until: datetime,
        is_held: bool,  # noqa: FBT001  what the keeping says of it
        *,
        lifts: bool = False,
    ) -> str:
        """Put an object, read it back by its version, hold it; return the version."""
        where = place(self.head, path)
        try:
            version = await self.archive.put(where, content, until)
        except Conflict:
            if path.startswith("published/"):
                raise
            raise self._altered() from None
        try:
            kept = await self.archive.get(where, version)
        except Missing:
            raise self._altered() from None
        if kept != content:
            raise self._altered()
        if is_held or lifts:
            await self.archive.hold(where, version, is_held=is_held)
        return version

    def _altered(self) -> Tampered:
        return Tampered(
            "archive-altered",
            f"the archive {self.archive.name} holds something else than the log",
            "keep the archive and the data folder as they are, and treat it as an incident",
        )


async def standings(store: Store, archives: Sequence[Archive]) -> list[Standing]:
    """Return how far each archive follows each log; asks no archive."""
    found = []
    for head in await store.logs():
        rows = await store.archived(head.log)
        for archive in archives:
            mine = [row for row in rows if row.archive == archive.name]
            newest = max((row.at_ms for row in mine), default=None)
            found.append(
                Standing(
                    head.log,
                    head.origin,
                    archive.name,
                    archive.is_locked,
                    len(mine),
                    head.size // TILE_WIDTH,
                    newest,
                )
            )
    return found


def _is_full(path: str) -> bool:
    """Return whether a path of a log's folder is one of a full tile or bundle."""
    return path.startswith("tile/") and ".p/" not in path


def completed_by(bundle: int) -> list[tuple[int, int]]:
    """Return (level, index) of the higher tiles that are full with this bundle, lowest first."""
    found, level, count = [], 1, bundle + 1
    while count % TILE_WIDTH == 0:
        count //= TILE_WIDTH
        found.append((level, count - 1))
        level += 1
    return found
