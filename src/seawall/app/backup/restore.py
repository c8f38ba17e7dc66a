"""Restoring a snapshot into an empty place: everything is verified before anything counts.

1. The index, the snapshot's note, its listing and its manifest are as they were signed.
2. No log is behind a checkpoint that is known, or a successor is asked for.
3. The key part is not older than the snapshot, and opens under the key manager.
4. Each chunk opens under its own name, and holds what the manifest says.
5. Each log, grown again from its entries, has the root of its signed checkpoint.
6. Sealed values of each tenant open under the restored keys.
7. Each payload has the digest by which it is named.

Then the database is made durable, all at once. 45 CFR 164.308(a)(7)(ii)(B), required.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from seawall.app.backup.filling import Begun, Filling
from seawall.app.backup.key_part import TENANT_KEYS, KeyPart, open_key_part
from seawall.app.backup.known import logs_behind, read_known, refuse_behind
from seawall.app.backup.repository import RING, sha256
from seawall.app.entries import entry
from seawall.app.ports import SUCCEEDED, SYSTEM_LOG, TenantKey, WrappedKey
from seawall.core.backup.statements import untold
from seawall.core.errors import Missing, Tampered
from seawall.core.ledger.encoding import encode
from seawall.core.ledger.note import encode_base64
from seawall.core.policy.principal import Principal
from seawall.core.seal.envelope import Sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from seawall.app.backup.filling import Filled
    from seawall.app.backup.known import Behind
    from seawall.app.backup.repository import NoteSigner, Repository
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


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to restore, and what is known besides."""

    snapshot: str | None = None
    """None for the newest."""
    known: tuple[str, ...] = ()
    """Signed checkpoints that somebody kept."""
    is_successor: bool = False
    is_drill: bool = False
    """A drill leaves no trace in what it restores."""
    by: str = "operator"


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored."""

    snapshot: str
    made: str
    rows: int
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
        payloads: Payloads | None = None,
        owner: str = "",
    ) -> None:
        """Take `payloads`, and by which word the installation claims that store."""
        self._repository = repository
        self._keeper = keeper
        self._proof = proof
        self._signer = signer
        self._clock = clock
        self._random = random
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
        behind = await asyncio.to_thread(self._behind, manifest, wanted.known)
        if not wanted.is_successor:
            refuse_behind(behind)
        keys = await self._keys(manifest)
        loading = await asyncio.to_thread(target.begin)
        try:
            filling = Filling(
                self._repository,
                manifest,
                loading,
                self._signer,
                lambda size: progress("rows", size),
            )
            renamed = _successors(behind, manifest)
            begun = self._begun(wanted, manifest, behind)
            filled = await asyncio.to_thread(filling.fill, renamed, begun)
            opened = await self._prove(keys, filled)
            gone = await asyncio.to_thread(_load_keys, loading, keys)
            await self._put_payloads(manifest, filled, keys, is_drill=wanted.is_drill)
            restored = Restored(
                snapshot=manifest.snapshot,
                made=manifest.made,
                rows=filled.rows,
                size=filled.size,
                logs=len(manifest.logs),
                succeeded=tuple(sorted(renamed)),
                opened=opened,
                shredded=gone,
                files=tuple(filled.files),
            )
            await asyncio.to_thread(keep, restored)
            await asyncio.to_thread(loading.finish)
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
        chunks = {chunk.path for chunk in manifest.chunks}
        listed = self._repository.listing(name).keys()
        if chunks != {path for path in listed if path.startswith("chunks/")}:
            untold()
        return manifest

    def _behind(self, manifest: Manifest, notes: Iterable[str]) -> list[Behind]:
        """Return the logs that are behind other snapshots here, or what somebody kept."""
        notes = [*notes]
        names = [name for name, _ in self._repository.index().snapshots]
        for name in names[names.index(manifest.snapshot) + 1 :]:
            notes += [log.checkpoint for log in self._repository.manifest(name).logs]
        known = read_known(notes, self._signer.public_key)
        return logs_behind(manifest.logs, known, self._signer.public_key)

    def _begun(self, wanted: Wanted, manifest: Manifest, behind: Sequence[Behind]) -> list[Begun]:
        """Return what is appended: what succeeds which log, and in the system's log that it was."""
        if wanted.is_drill:
            return []
        entries: dict[str, list[bytes]] = {}
        origins = {at.log: at.origin for at in manifest.logs}
        for log in behind:
            origins[log.at.log] = self._new_origin()
            said = {**_gap(log), "snapshot": manifest.snapshot}
            entries[log.at.log] = [self._entry("log.successor", wanted, log.at.log, said)]
        said = {
            "repository": manifest.repository,
            "snapshot": manifest.snapshot,
            "made": manifest.made,
            "succeeded": len(behind),
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
        files = {path.rpartition("-")[0]: (path, digest) for path, digest in index.keys}
        found: dict[str, list[Rows]] = {}
        for tenant in manifest.keys:
            name = self._repository.keys.name_of(tenant)
            path, digest = files.get(f"keys/{name}", ("", ""))
            raw = await asyncio.to_thread(self._repository.place.read, path) if path else b""
            if sha256(raw) != digest:
                untold()
            part = KeyPart.from_bytes(self._repository.keys.open_manifest(f"keys/{name}", raw))
            if part.tenant != tenant:
                untold()
            found[tenant] = await open_key_part(part, self._keeper)
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
                    continue  # shredded since
                await self._proof.prove(tenant_keys, key, sealed)
                opened += 1
        return opened

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


def _load_keys(loading: Loading, keys: Mapping[str, Sequence[Rows]]) -> int:
    """Load the key part, and leave out what its keys no longer open; return how much that was."""
    for tables in keys.values():
        for rows in tables:
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
