"""A backup repository: what it says of itself, its snapshots, its key part.

    seawall-backup.json             which repository, and whose key signs
    index                           signed: the snapshots and key files that count
    snapshots/NAME/{note,files,manifest}   signed; every file that it needs; sealed
    chunks/ab/ID                    sealed rows, each once
    payloads/ab/DIGEST              sealed values of a payload store, as they lie there
    keys/NAME-VERSION               the key part: wrapped keys and blind index, the newest alone

The index is written last and replaced whole: what it does not name does not count.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from seawall.core.backup.manifest import Manifest
from seawall.core.backup.statements import (
    Identity,
    Index,
    SnapshotNote,
    backup_vkey,
    read_listing,
    sign,
    untold,
)
from seawall.core.errors import Missing, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from seawall.app.ports import BackupPlace, Random
    from seawall.core.backup.chunks import BackupKeys
    from seawall.core.backup.statements import Stored

IDENTITY: Final = "seawall-backup.json"
INDEX: Final = "index"
RING: Final = "ring"
"""Under which name the key ring's file lies in the key part."""


@dataclass(frozen=True, slots=True)
class NoteSigner:
    """Who signs a repository's statements: the key that signs checkpoints, under a host's name."""

    host: str
    public_key: bytes
    sign: Callable[[bytes], bytes] = field(repr=False)


class Repository:
    """One repository, for whoever has its keys."""

    def __init__(self, place: BackupPlace, keys: BackupKeys, signer: NoteSigner) -> None:
        self.place = place
        self.keys = keys
        self._signer = signer

    def identity(self) -> Identity:
        """Return which repository this is; `Missing` if it is none, `Tampered` if another's."""
        identity = read_identity(self.place)
        if identity.vkey.split("+")[2] != self._vkey(identity.repository).split("+")[2]:
            raise Refused(
                "backup-of-another",
                "this backup was signed by another installation's key",
                "name a folder of this installation's own, or an empty one",
            )
        return identity

    def ensure(self, random: Random) -> Identity:
        """Return which repository this is, beginning one in an empty place."""
        if self.place.size(IDENTITY) is None:
            if any(True for _ in self.place.paths()):
                untold_place()
            repository = random.bytes(16).hex()
            made = Identity(repository, self._vkey(repository))
            self.place.write(IDENTITY, made.to_bytes())
        return self.identity()

    def index(self) -> Index:
        """Return what counts; an empty index if there is none yet. `Tampered` if untrusted."""
        identity = self.identity()
        if self.place.size(INDEX) is None:
            return Index(identity.repository, 0, sha256(identity.to_bytes()))
        return read_index(self.place, identity)

    def write_index(self, index: Index) -> Index:
        """Replace the index, durably; return it as it was written."""
        following = replace(index, sequence=index.sequence + 1)
        self.place.settle()
        self.place.write(INDEX, sign(following.text(), self.identity().vkey, self._signer.sign))
        self.place.settle()
        return following

    def sign(self, note: SnapshotNote) -> bytes:
        """Return a snapshot's signed note."""
        return sign(note.text(), self.identity().vkey, self._signer.sign)

    def manifest(self, name: str) -> Manifest:
        """Return a snapshot's manifest; `Tampered` unless it is the one that its note binds."""
        note = self._note(name)
        raw = self.place.read(f"snapshots/{name}/manifest")
        if sha256(raw) != note.manifest:
            untold()
        manifest = Manifest.from_bytes(self.keys.open_manifest(f"snapshot/{name}", raw))
        if (manifest.repository, manifest.snapshot) != (note.repository, name):
            untold()
        return manifest

    def listing(self, name: str) -> dict[str, Stored]:
        """Return the files that a snapshot needs; `Tampered` unless its note binds them."""
        return read_bound_listing(self.place, name, self._note(name))

    def newest(self) -> str | None:
        """Return the name of the newest snapshot, or None."""
        names = [name for name, _ in self.index().snapshots]
        return names[-1] if names else None

    def needed(self, index: Index) -> set[str]:
        """Return every file that an index and its snapshots name."""
        needed = {IDENTITY, INDEX, *(path for path, _ in index.keys)}
        for name, _ in index.snapshots:
            needed.update(f"snapshots/{name}/{part}" for part in ("note", "files", "manifest"))
            needed.update(self.listing(name))
        return needed

    def sweep(self, index: Index) -> int:
        """Delete what no snapshot needs, and what ended processes left; return how many files."""
        needed = self.needed(index)
        extra = [path for path in self.place.paths() if path not in needed]
        for path in extra:
            self.place.delete(path)
        self.place.settle()
        return len(extra)

    def _note(self, name: str) -> SnapshotNote:
        listed = dict(self.index().snapshots).get(name)
        if listed is None:
            raise unknown_snapshot()
        return read_snapshot_note(self.place, self.identity(), name, listed)

    def _vkey(self, repository: str) -> str:
        return backup_vkey(self._signer.host, repository, self._signer.public_key)


def read_identity(place: BackupPlace) -> Identity:
    """Return which repository lies at a place; `Missing` (`backup-missing`) if none does."""
    try:
        return Identity.from_bytes(place.read(IDENTITY))
    except Missing:
        raise Missing(
            "backup-missing",
            "there is no backup in this folder",
            "name the folder that `seawall backup --to` was given",
        ) from None


def read_index(place: BackupPlace, identity: Identity) -> Index:
    """Return a repository's index; `Tampered` unless its key signed it for this repository."""
    index = Index.read(place.read(INDEX), identity.vkey)
    if (index.repository, index.form) != (identity.repository, sha256(identity.to_bytes())):
        untold()
    return index


def read_snapshot_note(
    place: BackupPlace, identity: Identity, name: str, digest: str
) -> SnapshotNote:
    """Return a snapshot's note; `Tampered` unless it is the one that the index names."""
    raw = place.read(f"snapshots/{name}/note")
    note = SnapshotNote.read(raw, identity.vkey)
    if sha256(raw) != digest or (note.repository, note.name) != (identity.repository, name):
        untold()
    return note


def read_bound_listing(place: BackupPlace, name: str, note: SnapshotNote) -> dict[str, Stored]:
    """Return the files of a snapshot; `Tampered` unless its note binds them."""
    raw = place.read(f"snapshots/{name}/files")
    if sha256(raw) != note.files:
        untold()
    return read_listing(raw)


def without(index: Index, names: Collection[str]) -> Index:
    """Return an index without some snapshots."""
    kept = tuple(one for one in index.snapshots if one[0] not in names)
    return replace(index, snapshots=kept)


def sha256(raw: bytes) -> str:
    """Return the SHA-256 of bytes, in hex."""
    return hashlib.sha256(raw).hexdigest()


def unknown_snapshot() -> Missing:
    """Return what it is to name a snapshot that the index does not have."""
    return Missing(
        "snapshot-unknown",
        "the backup has no such snapshot",
        "`seawall backup status` lists them",
    )


def untold_place() -> None:
    """Raise that a folder holds other things than a backup."""
    raise Refused(
        "backup-folder-not-empty",
        "the folder holds other files and no backup",
        "name an empty folder, or one that holds a backup of this installation",
    )
