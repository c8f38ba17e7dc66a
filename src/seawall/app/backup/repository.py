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
from seawall.core.errors import Error, Missing, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from seawall.app.ports import BackupPlace, Random
    from seawall.core.backup.chunks import BackupKeys
    from seawall.core.backup.statements import Stored

IDENTITY: Final = "seawall-backup.json"
INDEX: Final = "index"
RING: Final = "ring"
"""Under which name the key ring's file lies in the key part."""
_SHARED: Final = ("chunks/", "payloads/")
"""Where files lie that several snapshots need."""
MOST_STATED: Final = 1 << 24
"""No statement that is read before its signature is longer."""


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
        if _key_of(identity.vkey) != _key_of(self._vkey(identity.repository)):
            raise Refused(
                "backup-of-another",
                "this backup was signed by another installation's key",
                "name a folder of this installation's own, or an empty one",
            )
        return identity

    def ensure(self, random: Random) -> Identity:
        """Return which repository this is, beginning one in an empty place.

        It begins with an index of nothing: one that is missing later was taken away.
        """
        if self.place.size(IDENTITY) is None:
            if any(path != f"{IDENTITY}.new" for path in self.place.paths()):
                untold_place()
            repository = random.bytes(16).hex()
            made = Identity(repository, self._vkey(repository))
            self.place.write(IDENTITY, made.to_bytes())
        identity = self.identity()
        if self.place.size(INDEX) is None:
            self.write_index(self.index())
        return identity

    def index(self) -> Index:
        """Return what counts; `Tampered` if untrusted.

        An empty index where none was written yet: then there is no snapshot and no key either.
        """
        identity = self.identity()
        if self.place.size(INDEX) is None:
            if any(path.startswith(("snapshots/", "keys/")) for path in self.place.paths()):
                untold(INDEX)
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

    def needed(self, index: Index) -> tuple[set[str], tuple[str, ...]]:
        """Return every file that an index and its snapshots name, and the listings unread.

        Of a snapshot whose listing cannot be read nobody knows what it needs.
        """
        needed = {IDENTITY, INDEX, *(path for path, _ in index.keys)}
        unread = []
        for name, _ in index.snapshots:
            needed.update(f"snapshots/{name}/{part}" for part in ("note", "files", "manifest"))
            try:
                needed.update(self.listing(name))
            except Error:
                unread.append(f"snapshots/{name}/files")
        return needed, tuple(unread)

    def sweep(self, index: Index) -> tuple[str, ...]:
        """Delete what no snapshot needs, and what ended processes left.

        Return the listings that cannot be read: while there are such, chunks and payloads
        stay that nothing else names. Older key parts go first, and whatever else there is.
        """
        needed, unread = self.needed(index)
        extra = [path for path in self.place.paths() if path not in needed]
        for path in sorted(extra, key=lambda one: not one.startswith("keys/")):
            if unread and path.startswith(_SHARED) and not path.endswith(".new"):
                continue
            self.place.delete(path)
        self.place.settle()
        return unread

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
        return Identity.from_bytes(place.read(IDENTITY, MOST_STATED))
    except Missing:
        raise Missing(
            "backup-missing",
            "there is no backup in this folder",
            "name the folder that `seawall backup --to` was given",
        ) from None


def read_index(place: BackupPlace, identity: Identity) -> Index:
    """Return a repository's index; `Tampered` unless its key signed it for this repository."""
    index = Index.read(place.read(INDEX, MOST_STATED), identity.vkey)
    if (index.repository, index.form) != (identity.repository, sha256(identity.to_bytes())):
        untold()
    return index


def read_snapshot_note(
    place: BackupPlace, identity: Identity, name: str, digest: str
) -> SnapshotNote:
    """Return a snapshot's note; `Tampered` unless it is the one that the index names."""
    raw = place.read(f"snapshots/{name}/note", MOST_STATED)
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


def _key_of(vkey: str) -> str:
    """Return the key of a verifier key, whose base64 may hold a + itself."""
    return vkey.split("+", 2)[2]


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
