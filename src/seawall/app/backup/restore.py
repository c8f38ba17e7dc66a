"""Restoring a snapshot into an empty place: everything is verified before anything counts.

1. The index, the snapshot's note, its listing and its manifest are as they were signed.
2. No log is behind a checkpoint that is known, or a successor is asked for.
3. The key part is not older than the snapshot, and opens under the key manager.
4. Each chunk opens under its own name, and holds what the manifest says.
5. Each log, grown again from its entries, has the root of its signed checkpoint, and had
   those of smaller ones that are known.
6. Sealed values of each tenant open under the restored keys; whose keys are gone was shredded.
7. Each payload has the digest by which it is named.

Then the database is made durable, all at once. 45 CFR 164.308(a)(7)(ii)(B), required.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from seawall.app.backup.filling import Begun, Filling, open_chunk
from seawall.app.backup.key_part import TENANT_KEYS, KeyPart, merged, open_key_part
from seawall.app.backup.known import (
    logs_behind,
    logs_lacking,
    read_known,
    refuse_behind,
    refuse_lacking,
)
from seawall.app.backup.repository import RING, sha256
from seawall.app.backup.shreddings import SHREDDINGS, keys_lost
from seawall.app.entries import entry
from seawall.app.ports import SUCCEEDED, SYSTEM_LOG, TenantKey, WrappedKey, whose
from seawall.core.backup.statements import untold
from seawall.core.errors import Conflict, Error, Missing, Tampered
from seawall.core.ledger.encoding import encode
from seawall.core.ledger.note import encode_base64
from seawall.core.policy.principal import Principal
from seawall.core.seal.envelope import Sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from seawall.app.backup.filling import Filled
    from seawall.app.backup.known import Behind, Known
    from seawall.app.backup.repository import NoteSigner, Repository
    from seawall.app.backup.shreddings import Shreddings
    from seawall.app.ports import (
        Clock,
        KeyKeeper,
        KeyProof,
        Loading,
        LoadTarget,
        Payloads,
        Random,
    )
    from seawall.core.backup.manifest import Manifest
    from seawall.core.backup.rows import Rows
    from seawall.core.ledger.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to restore, and what is known besides."""

    snapshot: str | None = None
    """None for the newest."""
    known: tuple[str, ...] = ()
    """Signed checkpoints that somebody kept."""
    is_successor: bool = False
    without: tuple[str, ...] = ()
    """Origins of known logs that are given up: the snapshot has nothing of them."""
    is_drill: bool = False
    """A drill leaves no trace in what it restores."""
    by: str = "operator"


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored."""

    snapshot: str
    made: str
    rows: int
    """As its snapshot counts them."""
    size: int
    logs: int
    succeeded: tuple[str, ...]
    """Logs that go on as successors; what was restored of them is frozen."""
    opened: int
    """Sealed values that were opened to see that they open."""
    shredded: int
    """Sealed values of the snapshot that were left out, since their keys are gone."""
    files: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)


class RestoreBackup:
    """Restores from one repository."""

    def __init__(
        self,
        *,
        repository: Repository,
        keeper: KeyKeeper,
        proof: KeyProof,
        signer: NoteSigner,
        clock: Clock,
        random: Random,
        revision: str,
        payloads: Payloads | None = None,
        owner: str = "",
    ) -> None:
        """Take `revision`, the newest step of the tables that this program knows.

        `payloads` is where payloads go, `owner` the word by which the installation claims it.
        """
        self._repository = repository
        self._keeper = keeper
        self._proof = proof
        self._signer = signer
        self._clock = clock
        self._random = random
        self._revision = revision
        self._payloads = payloads
        self._owner = owner

    async def restore(
        self,
        wanted: Wanted,
        target: LoadTarget,
        keep: Callable[[Restored], None] = lambda _: None,
        progress: Callable[[str, int], None] = lambda _what, _size: None,
    ) -> Restored:
        """Restore; `keep` is called when all is verified, right before the database counts."""
        manifest = await asyncio.to_thread(self._manifest, wanted.snapshot)
        beyond = await asyncio.to_thread(self._beyond, manifest, wanted)
        behind = beyond.behind
        keys = await self._keys(manifest)
        loading = await asyncio.to_thread(target.begin)
        try:
            filling = Filling(
                self._repository,
                manifest,
                loading,
                self._signer,
                tell=lambda size: progress("rows", size),
                known=beyond.known,
            )
            renamed = _successors(behind, manifest)
            begun = self._begun(wanted, manifest, beyond)
            filled = await _on_thread(lambda: filling.fill(renamed, begun), filling.stop)
            await asyncio.to_thread(self._explain, manifest, keys, filled)
            opened = await self._prove(keys, filled)
            gone = await _on_thread(lambda: _load_keys(loading, keys))
            await self._put_payloads(manifest, filled, keys, is_drill=wanted.is_drill)
            restored = Restored(
                snapshot=manifest.snapshot,
                made=manifest.made,
                rows=sum(chunk.rows for chunk in manifest.chunks),
                size=filled.size,
                logs=len(manifest.logs),
                succeeded=tuple(sorted(renamed)),
                opened=opened,
                shredded=gone,
                files=tuple(filled.files),
            )
            await asyncio.to_thread(keep, restored)
            await _on_thread(loading.finish)
        except BaseException:
            await asyncio.shield(asyncio.to_thread(loading.abandon))
            raise
        return restored

    def ring(self) -> bytes:
        """Return the key ring's file as the key part has it; `Tampered` if it is another."""
        for path, digest in self._repository.index().keys:
            if path.startswith(f"keys/{RING}-"):
                raw = self._repository.place.read(path)
                if sha256(raw) != digest:
                    untold()
                return raw
        return untold()

    # --- 1 and 2 -------------------------------------------------------------------------

    def _manifest(self, wanted: str | None) -> Manifest:
        name = wanted or self._repository.newest()
        if name is None:
            raise Missing(
                "snapshot-unknown",
                "the backup has no snapshot yet",
                "make one: `seawall backup --to DIR`",
            )
        manifest = self._repository.manifest(name)
        if manifest.revision > self._revision:
            raise Conflict(
                "backup-newer",
                "the snapshot was made by a newer program",
                "restore it by the version that made it, or by a newer one",
            )
        chunks = {chunk.path for chunk in manifest.chunks}
        listed = self._repository.listing(name).keys()
        if chunks != {path for path in listed if path.startswith("chunks/")}:
            untold()
        return manifest

    def _beyond(self, manifest: Manifest, wanted: Wanted) -> _Beyond:
        """Return what other snapshots here, or somebody who kept it, know beyond this one.

        `Conflict` if that is more than the snapshot has, and is not given up by the order.
        """
        index, public_key = self._repository.index(), self._signer.public_key
        names = [name for name, _ in index.snapshots]
        at = names.index(manifest.snapshot)
        notes = [*wanted.known, *([index.checkpoint] if index.checkpoint else ())]
        for name in names[at + 1 :]:
            notes += [log.checkpoint for log in self._repository.manifest(name).logs]
        known = read_known(notes, public_key)
        behind = logs_behind(manifest.logs, known, public_key)
        lacking = logs_lacking(manifest.logs, known)
        refuse_lacking(lacking, wanted.without)
        if not wanted.is_successor:
            refuse_behind(behind)
        for name in names[:at]:
            # A damaged older snapshot is no reason not to restore this one.
            with suppress(Error):
                notes += [log.checkpoint for log in self._repository.manifest(name).logs]
        return _Beyond(read_known(notes, public_key), behind, lacking)

    def _begun(self, wanted: Wanted, manifest: Manifest, beyond: _Beyond) -> list[Begun]:
        """Return what is appended: what succeeds which log, and in the system's log that it was."""
        if wanted.is_drill:
            return []
        entries: dict[str, list[bytes]] = {}
        origins = {at.log: at.origin for at in manifest.logs}
        for log in beyond.behind:
            origins[log.at.log] = self._new_origin()
            said = {**_gap(log), "snapshot": manifest.snapshot}
            entries[log.at.log] = [self._entry("log.successor", wanted, log.at.log, said)]
        said = {
            "repository": manifest.repository,
            "snapshot": manifest.snapshot,
            "made": manifest.made,
            "succeeded": len(beyond.behind),
            "lacking": [
                {"origin": one.origin, "size": one.size, "root": encode_base64(one.root)}
                for one in beyond.lacking
            ],
        }
        if SYSTEM_LOG in origins:
            entries.setdefault(SYSTEM_LOG, []).append(
                self._entry("backup.restore", wanted, SYSTEM_LOG, said)
            )
        return [Begun(log, origins[log], tuple(own)) for log, own in entries.items()]

    def _entry(self, action: str, wanted: Wanted, log: str, said: Mapping[str, Any]) -> bytes:
        principal = Principal("operator", wanted.by, log)
        return encode(entry(action, principal, self._clock, **said))

    def _new_origin(self) -> str:
        return f"{self._signer.host}/log/{self._random.bytes(8).hex()}"

    # --- 3 and 6: keys ---------------------------------------------------------------------

    async def _keys(self, manifest: Manifest) -> dict[str, list[Rows]]:
        """Open the key part; `Tampered` unless it is of this snapshot or newer, and whole."""
        index = await asyncio.to_thread(self._repository.index)
        if index.sequence <= manifest.sequence:
            untold()
        found: dict[str, list[Rows]] = {}
        for tenant in manifest.keys:
            name, rows = self._repository.keys.name_of(tenant), []
            files = [one for one in index.keys if one[0].startswith(f"keys/{name}-")]
            for path, digest in files:
                raw = await asyncio.to_thread(self._repository.place.read, path)
                if sha256(raw) != digest:
                    untold()
                part = KeyPart.from_bytes(self._repository.keys.open_manifest(f"keys/{name}", raw))
                if part.tenant != tenant:
                    untold()
                rows += await open_key_part(part, self._keeper)
            if not files:
                untold()
            found[tenant] = merged(rows)
        return found

    async def _prove(self, keys: Mapping[str, Sequence[Rows]], filled: Filled) -> int:
        """Open a sample of each tenant's sealed values; return how many."""
        opened = 0
        for tenant, samples in filled.samples.items():
            tables = {rows.shape.table: rows for rows in keys.get(tenant, ())}
            tenant_keys = [TenantKey(**row) for row in _named(tables.get(TENANT_KEYS))]
            data_keys = {
                row["key_id"]: WrappedKey(**row) for row in _named(tables.get("data_keys"))
            }
            for sealed in samples:
                key = data_keys.get(sealed.key_id)
                if key is None:
                    if any(one.subject == sealed.context.subject for one in data_keys.values()):
                        raise keys_lost(1)
                    continue  # shredded since
                await self._proof.prove(tenant_keys, key, sealed)
                opened += 1
        return opened

    def _explain(
        self, manifest: Manifest, keys: Mapping[str, Sequence[Rows]], filled: Filled
    ) -> None:
        """Raise `Tampered` (`backup-keys-lost`) unless everybody without a key was shredded."""
        gone, said = _without_key(keys, filled), filled.shreddings
        for tenant, tables in keys.items():
            for rows in tables:
                if rows.shape == SHREDDINGS:
                    said.read(tenant, (row[0] for row in rows.rows))
                elif rows.shape.table == TENANT_KEYS and not all(
                    row["wrapped"] for row in _named(rows)
                ):
                    said.tenants.add(tenant)
        left = {tenant for tenant, subjects in gone.items() if said.unexplained(tenant, subjects)}
        if left:
            self._read_later(manifest, left, said)
        lost = sum(said.unexplained(tenant, subjects) for tenant, subjects in gone.items())
        if lost:
            raise keys_lost(lost)

    def _read_later(self, manifest: Manifest, tenants: Collection[str], said: Shreddings) -> None:
        """Read what the newest snapshot has of tenants' logs beyond this one."""
        newest = self._repository.manifest(str(self._repository.newest()))
        read = {at.origin: at.size for at in manifest.logs}
        for at in newest.logs:
            if whose(at.log) in tenants:
                for chunk in newest.entries_of(at.origin):
                    if chunk.stop > read.get(at.origin, 0):
                        rows = open_chunk(self._repository, chunk)
                        said.read(whose(at.log), (row[0] for row in rows.rows))

    # --- 7 -----------------------------------------------------------------------------------

    async def _put_payloads(
        self,
        manifest: Manifest,
        filled: Filled,
        keys: Mapping[str, Sequence[Rows]],
        *,
        is_drill: bool,
    ) -> None:
        """Put each payload where it belongs; a drill compares its digest and lets go of it.

        Those of subjects that were shredded since stay where they are.
        """
        if manifest.payloads != len(filled.payloads):
            untold()
        held = {
            row["key_id"]
            for tables in keys.values()
            for rows in tables
            if rows.shape.table == "data_keys"
            for row in _named(rows)
        }
        if filled.payloads and self._payloads is not None:
            await self._payloads.self_test(self._owner)
        for digest in filled.payloads:
            named = digest.removeprefix("sha256:")
            path = f"payloads/{named[:2]}/{named}"
            raw = await asyncio.to_thread(self._repository.place.read, path)
            if sha256(raw) != named:
                raise Tampered(
                    "payload-tampered",
                    f"the payload at {path} is not the one of its name",
                    "use another copy of the backup, and treat it as an incident",
                )
            sealed = Sealed(raw)
            if is_drill or sealed.key_id not in held:
                continue
            if self._payloads is None:
                raise Missing(
                    "payload-missing",
                    "the backup holds payloads, and no payload store is set",
                    "set [payloads] in the new folder's seawall.toml, and restore again",
                )
            await self._payloads.put(sealed)
        if self._payloads is not None:
            await self._payloads.close()


@dataclass(frozen=True, slots=True)
class _Beyond:
    """What is known beyond a snapshot."""

    known: Known
    behind: list[Behind]
    lacking: list[Checkpoint]


def _without_key(keys: Mapping[str, Sequence[Rows]], filled: Filled) -> dict[str, set[str]]:
    """Return those of whom there are sealed values and no data key, by tenant."""
    gone = {tenant: set(subjects) for tenant, subjects in filled.subjects.items()}
    for tenant, tables in keys.items():
        for rows in tables:
            if rows.shape.table == "data_keys":
                gone.get(tenant, set()).difference_update(row["subject"] for row in _named(rows))
    return {tenant: subjects for tenant, subjects in gone.items() if subjects}


async def _on_thread(work: Callable[[], Any], stop: Callable[[], None] = lambda: None) -> Any:
    """Work on a thread; when cancelled, wait until it has stopped: it writes to what then goes."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop()
        await asyncio.wait([task])
        raise


def _load_keys(loading: Loading, keys: Mapping[str, Sequence[Rows]]) -> int:
    """Load the key part, and leave out what its keys no longer open; return how much that was."""
    for tables in keys.values():
        for rows in tables:
            if rows.shape != SHREDDINGS:
                loading.load(rows)
    return loading.drop_unkeyed()


def _successors(behind: Sequence[Behind], manifest: Manifest) -> dict[str, str]:
    """Return under which name each succeeded log is kept: its own with the next free number."""
    taken = {at.log for at in manifest.logs}
    renamed = {}
    for log in behind:
        number = 1
        while f"{log.at.log}{SUCCEEDED}{number}" in taken:
            number += 1
        renamed[log.at.log] = f"{log.at.log}{SUCCEEDED}{number}"
    return renamed


def _gap(log: Behind) -> dict[str, Any]:
    """Return what a successor's first entry says of what it succeeds."""
    return {
        "origin": log.at.origin,
        "restored": {"size": log.restored.size, "root": encode_base64(log.restored.root)},
        "known": {"size": log.known.size, "root": encode_base64(log.known.root)},
        "gap": {"from": log.restored.size, "until": log.known.size},
    }


def _named(rows: Rows | None) -> list[dict[str, Any]]:
    """Return rows with the names of their columns."""
    if rows is None:
        return []
    names = [name for name, _ in rows.shape.columns]
    return [dict(zip(names, row, strict=True)) for row in rows.rows]
