"""Verifying a backup repository to the byte: whatever differs is named by its file.

1. `seawall-backup.json` has its one spelling, and the key that it names signed the index.
2. The index is signed for this repository.
3. Each snapshot's note is signed, and is the one that the index names.
4. Each snapshot's listing and manifest are those that its note binds.
5. Each file of the key part is the one that the index names.
6. Each file that a listing names has its size and its SHA-256.
7. With the keys: each chunk opens under its own name, and the manifest names the same chunks.
8. Nothing else lies there.

Steps 1 to 6 and 8 take no key. Nothing is changed.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from seawall.app.backup.repository import (
    IDENTITY,
    INDEX,
    MOST_STATED,
    read_bound_listing,
    read_identity,
    read_index,
    read_snapshot_note,
    sha256,
)
from seawall.core.backup.manifest import Manifest
from seawall.core.errors import Conflict, Error, Invalid, Missing, Tampered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from seawall.app.ports import BackupPlace
    from seawall.core.backup.chunks import BackupKeys
    from seawall.core.backup.statements import Identity, Index, Stored

_THREADS: Final = 2
_LOOKS: Final = 3
"""So often all is looked at anew when the index changed meanwhile."""


@dataclass(slots=True)
class Findings:
    """What a verification found."""

    repository: str = ""
    snapshots: list[str] = field(default_factory=list)
    """Those that were looked at."""
    files: int = 0
    size: int = 0
    is_opened: bool = False
    """Whether the chunks were opened as well, and not only compared with what was signed."""
    damaged: dict[str, str] = field(default_factory=dict)
    """Files that are missing or changed, and which of the two."""
    extra: list[str] = field(default_factory=list)
    """Files that nothing names: an ended backup leaves such, and the next removes them."""

    @property
    def is_sound(self) -> bool:
        """Whether everything that a restoring needs is as it was written."""
        return not self.damaged


class VerifyBackup:
    """Looks at every byte of a repository; `keys` opens chunks too, `vkey` is whose it must be."""

    def __init__(
        self, place: BackupPlace, *, keys: BackupKeys | None = None, vkey: str | None = None
    ) -> None:
        self._place = place
        self._keys = keys
        self._vkey = vkey

    def verify(self, tell: Callable[[int], None] = lambda _size: None) -> Findings:
        """Return what was found; `Missing` if there is no backup.

        Where a backup that was made meanwhile may be what was found, it is looked for again;
        `Conflict` (`backup-in-use`) if that never ends.
        """
        for _ in range(_LOOKS):
            before = self._stated()
            found = self._look(tell)
            if (found.is_sound and not found.extra) or before == self._stated():
                return found
        raise Conflict(
            "backup-in-use",
            "backups were made while this one was verified, again and again",
            "verify it when none is being made",
        )

    def _stated(self) -> bytes:
        """Return the index as it lies there: what takes files away replaces it first."""
        try:
            return self._place.read(INDEX, MOST_STATED)
        except (Missing, Tampered):
            return b""

    def _look(self, tell: Callable[[int], None]) -> Findings:
        found = Findings(is_opened=self._keys is not None)
        seen = {IDENTITY, INDEX}
        identity = self._identity(found)  # 1
        index = self._index(identity, found) if identity else None  # 2
        if identity and index:
            listed: dict[str, Stored] = {}
            for name, digest in index.snapshots:
                seen |= {f"snapshots/{name}/{part}" for part in ("note", "files", "manifest")}
                listed |= self._snapshot(identity, name, digest, found)  # 3, 4
            seen |= {path for path, _ in index.keys}
            self._same(index.keys, found)  # 5
            seen |= listed.keys()
            self._files(listed, found, tell)  # 6, 7
        stated = (IDENTITY, INDEX, "snapshots/")
        if not any(path.startswith(stated) for path in found.damaged):
            # Else nobody knows what is needed.
            found.extra = sorted(path for path in self._place.paths() if path not in seen)  # 8
        return found

    def _identity(self, found: Findings) -> Identity | None:
        try:
            identity = read_identity(self._place)
        except Error as error:
            if error.code == "backup-missing" and not any(True for _ in self._place.paths()):
                raise
            _name(found, IDENTITY, error)
            return None
        if self._vkey is not None and identity.vkey != self._vkey:
            raise Invalid(
                "vkey-differs",
                "the backup was signed by another key than the one that was given",
                "compare the key with the one that was noted when the backup was begun",
            )
        found.repository = identity.repository
        found.files += 1
        return identity

    def _index(self, identity: Identity, found: Findings) -> Index | None:
        try:
            index = read_index(self._place, identity)
        except Error as error:
            _name(found, INDEX, error)
            return None
        found.files += 1
        return index

    def _snapshot(
        self, identity: Identity, name: str, digest: str, found: Findings
    ) -> dict[str, Stored]:
        """Look at a snapshot's own files; return those that it needs."""
        found.snapshots.append(name)
        at = f"snapshots/{name}"
        try:
            note = read_snapshot_note(self._place, identity, name, digest)
        except Error as error:
            _name(found, f"{at}/note", error)
            return {}
        self._same([(f"{at}/files", note.files), (f"{at}/manifest", note.manifest)], found)
        found.files += 1
        if found.damaged.keys() & {f"{at}/files", f"{at}/manifest"}:
            return {}
        listing = read_bound_listing(self._place, name, note)
        if self._keys is not None:
            try:
                raw = self._keys.open_manifest(
                    f"snapshot/{name}", self._place.read(f"{at}/manifest")
                )
                chunks = {chunk.path for chunk in Manifest.from_bytes(raw).chunks}
            except Error as error:
                _name(found, f"{at}/manifest", error)
                return {}
            if chunks != {path for path in listing if path.startswith("chunks/")}:
                found.damaged[f"{at}/files"] = "changed"
        return listing

    def _same(self, files: Iterable[tuple[str, str]], found: Findings) -> None:
        """Compare small files with their digests."""
        for path, digest in files:
            try:
                raw = self._place.read(path)
            except Error as error:
                _name(found, path, error)
                continue
            found.files += 1
            found.size += len(raw)
            if sha256(raw) != digest:
                found.damaged[path] = "changed"

    def _files(
        self, listed: dict[str, Stored], found: Findings, tell: Callable[[int], None]
    ) -> None:
        with ThreadPoolExecutor(_THREADS, "backup-verify") as pool:
            for path, fault in pool.map(lambda item: self._file(*item), listed.items()):
                found.files += 1
                found.size += listed[path].size
                tell(listed[path].size)
                if fault is not None:
                    found.damaged[path] = fault

    def _file(self, path: str, held: Stored) -> tuple[str, str | None]:
        """Return what is wrong with a file, or None."""
        try:
            raw = self._place.read(path, held.size)
        except Error as error:
            return path, _fault(error)
        if len(raw) != held.size or sha256(raw) != held.digest:
            return path, "changed"
        if path.startswith("payloads/") and not path.endswith(held.digest):
            return path, "changed"
        if self._keys is not None and path.startswith("chunks/"):
            named = path.rpartition("/")[2]
            try:
                if self._keys.chunk_id(self._keys.open_chunk(named, raw)) != named:
                    return path, "changed"
            except Error:
                return path, "changed"
        return path, None


def _name(found: Findings, path: str, error: Error) -> None:
    """Note a file that is damaged; anything but damage goes on as the error that it is."""
    found.damaged[path] = _fault(error)


def _fault(error: Error) -> str:
    if error.code in {"backup-file-missing", "backup-missing"}:
        return "missing"
    if error.code == "backup-unavailable":
        raise error
    return "changed"
