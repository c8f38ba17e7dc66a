"""Backups of an installation: what is copied, into which repository, and back."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Never

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from seawall.adapters.backup.folder import FolderPlace
from seawall.adapters.clock import SystemClock, SystemRandom
from seawall.adapters.db.key_store import SqlKeys
from seawall.adapters.db.load import FileTarget, not_empty
from seawall.adapters.db.schema import REVISION
from seawall.adapters.db.sqlcipher import FolderLock, connect
from seawall.adapters.keys.proof import ManagedProof
from seawall.adapters.keys.ring import EnvelopeKeyRing
from seawall.adapters.keys.ring_file import RingFile
from seawall.app.backup.current import OLDER, differing, is_older, require_current
from seawall.app.backup.key_part import PIECE
from seawall.app.backup.make import Copied, MakeBackup
from seawall.app.backup.recording import record_backup, settings_repository
from seawall.app.backup.repository import (
    INDEX,
    NoteSigner,
    Repository,
    read_identity,
    read_index,
    sha256,
)
from seawall.app.backup.repository import RING as RING_NAME
from seawall.app.backup.restore import RestoreBackup, Restored, Wanted
from seawall.app.backup.verify import VerifyBackup
from seawall.app.ports import SYSTEM_LOG
from seawall.compose.database import DATABASE, LOCK, RESTORING, needing_the_library
from seawall.compose.key_manager import key_manager, root_lock
from seawall.compose.payloads import payloads_of
from seawall.config import PayloadFolder
from seawall.core.backup.chunks import BackupKeys
from seawall.core.backup.statements import untold
from seawall.core.errors import Conflict, Invalid, Missing, Refused, Tampered, Unavailable
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from seawall.app.backup.make import Made
    from seawall.app.backup.recording import RecordBackup
    from seawall.app.ports import BackupPlace, KeyCopies, LoadTarget
    from seawall.compose.installation import Installation
    from seawall.config import Backup, Passphrase, Settings

_RING: Final = Path("keys") / "ring.json"
_FILES: Final = ("seawall.toml", "tls/*", "clients/*")
"""What is copied of the folder. `secrets/` is not: what opens others' doors is not ours to copy."""
_DRILL: Final = "drill-"
_BUSY_SECONDS: Final = 600.0
_BUSY_PAUSE: Final = 1.0
"""So long, and with such pauses, a shredding waits for a backup; then it is left to be resumed."""


class _Reading:
    """Keeps nothing: who makes a backup reads keys and changes none."""

    async def keep(self, _key: Any) -> Never:
        """Refuse."""
        raise RuntimeError("a backup makes no keys")

    async def remember(self, _facts: Sequence[Any]) -> Never:
        """Refuse."""
        raise RuntimeError("a backup makes no keys")


def repository_of(installation: Installation, folder: Path) -> Repository:
    """Return a repository in a folder, by the installation's keys."""
    ring = installation.ring
    return _repository(FolderPlace(folder), ring.ensure("backup"), _signer(installation))


def backup_maker(
    installation: Installation, folder: Path, keep: int = 0, *, piece: int = PIECE
) -> MakeBackup:
    """Return what makes backups of an installation; it takes no claim on its database."""
    return MakeBackup(
        repository=repository_of(installation, folder),
        copied=Copied(
            source=installation.database.dump_source(),
            payloads=payloads_of(installation.settings),
            files=lambda: _files(installation.settings.data_dir),
            ring=(installation.settings.data_dir / _RING).read_bytes,
        ),
        keeper=_keeper(installation.settings, installation.ring, installation),
        clock=installation.clock,
        random=installation.random,
        program=version("seawall"),
        keep=keep,
        piece=piece,
    )


def backup_verifier(
    folder: Path, installation: Installation | None, vkey: str | None
) -> VerifyBackup:
    """Return what verifies a folder; with an installation's keys its chunks are opened too."""
    keys = None
    if installation is not None:
        keys = BackupKeys.derive(installation.ring.ensure("backup"))
        repository_of(installation, folder).identity()
    return VerifyBackup(FolderPlace(folder), keys=keys, vkey=vkey)


async def require_settings_repository(installation: Installation, folder: Path) -> bool:
    """Whether the settings' folder holds a repository; False if none was ever made there.

    `Unavailable` if one was made there and is not there now, as when a mount is absent;
    `Refused` if another lies there. Nothing is written, and no folder made.
    """
    known = await settings_repository(installation.store)
    try:
        found = await asyncio.to_thread(repository_of(installation, folder).identity)
    except Missing as error:
        if error.code != "backup-missing":
            raise
        if known is None:
            return False
        raise Unavailable(
            "backup-unavailable",
            "the settings' backup folder holds no backup, and the ledger says that one was made",
            "mount what belongs there; to begin a new one there, name the folder: "
            "`seawall backup --to DIR`",
        ) from None
    if known not in {None, found.repository}:
        raise Refused(
            "backup-replaced",
            "the settings' backup folder holds another backup than the last one made there",
            "mount what belongs there; to go on with what is there, name the folder: "
            "`seawall backup --to DIR`",
        )
    return True


async def differing_from_ledger(installation: Installation, folder: Path) -> dict[str, str]:
    """Return by file what of a backup is not as the installation's ledger knows it."""
    return await differing(installation.store, repository_of(installation, folder))


async def is_older_than_ledger(installation: Installation, folder: Path) -> bool:
    """Whether a folder lacks the backup that was recorded last of its repository."""
    try:
        return await is_older(installation.store, repository_of(installation, folder))
    except Missing as error:
        if error.code != "backup-missing":
            raise
        return False


class RepositoryCopies:
    """The KeyCopies port over the repository that the settings name."""

    def __init__(
        self, installation: Installation, folder: Path, busy_seconds: float = _BUSY_SECONDS
    ) -> None:
        self._installation = installation
        self._folder = folder
        self._busy_seconds = busy_seconds

    async def rewrite(self, tenant: str) -> int:
        """Replace the copy of a tenant's keys by what is held now, once no backup is at work.

        0 if no backup was ever made there. One that was made there and is not there now is
        an error: its copy would open what was shredded.
        """
        until = self._installation.clock.monotonic() + self._busy_seconds
        while True:
            if not await require_settings_repository(self._installation, self._folder):
                return 0
            try:
                return await backup_maker(self._installation, self._folder).rewrite_keys(tenant)
            except Conflict as conflict:
                if conflict.code != "backup-in-use":
                    raise
            if self._installation.clock.monotonic() >= until:
                raise Conflict(
                    "backup-in-use",
                    "a backup is being made, and its copy of the keys is not rewritten yet",
                    "when it has ended: `seawall keys shred --resume` does what is left",
                )
            await asyncio.sleep(_BUSY_PAUSE)


def key_copies(installation: Installation) -> list[KeyCopies]:
    """Return where copies of wrapped keys lie: the key part of the repository of the settings."""
    backup = installation.settings.backup
    return [RepositoryCopies(installation, Path(backup.folder))] if backup else []


class ScheduledBackups:
    """Makes the backups that the settings ask for, while the server serves."""

    def __init__(self, installation: Installation, backup: Backup, record: RecordBackup) -> None:
        self._installation = installation
        self._backup = backup
        self._record = record

    async def round(self) -> None:
        """Make a backup if the newest is older than the settings say, or there is none."""
        folder = Path(self._backup.folder)
        is_begun = await require_settings_repository(self._installation, folder)
        if is_begun and not await asyncio.to_thread(self._is_due, folder):
            return
        maker = backup_maker(self._installation, folder, self._backup.keep)

        async def record(made: Made) -> None:
            """Make the entry durable."""
            principal = Principal("system", "seawall", SYSTEM_LOG)
            said = {"what": "make", **record_backup(made, is_settings=True)}
            await self._record.record(principal, said)

        was_older = await is_older_than_ledger(self._installation, folder)
        made = await maker.make(record)
        if was_older:
            # The new one is whole; that the folder was not as it was left is told all the same.
            require_current({INDEX: OLDER})
        if made.unread:
            raise Tampered(
                "backup-damaged",
                f"an older snapshot cannot be read: {made.unread[0]}",
                "the new one is whole; `seawall backup verify` names all that is damaged",
            )

    def _is_due(self, folder: Path) -> bool:
        repository = repository_of(self._installation, folder)
        newest = repository.newest()
        if newest is None:
            return True
        try:
            made = datetime.fromisoformat(repository.manifest(newest).made)
        except (Missing, Tampered):
            return True  # What is damaged is no backup.
        return self._installation.clock.now() - made >= timedelta(hours=self._backup.hours)


@contextmanager
def restoring(
    source: Path, settings: Settings, passphrase: Passphrase, *, is_drill: bool = False
) -> Iterator[tuple[RestoreBackup, RingFile]]:
    """Yield what restores a repository into a folder, by the key ring that the repository holds.

    A drill touches no payload store.
    """
    place = FolderPlace(source)
    ring = _ring_of(place, source, settings, passphrase)
    signing = Ed25519PrivateKey.from_private_bytes(ring.key("checkpoints"))
    host = read_identity(place).vkey.split("/backup/")[0]
    signer = NoteSigner(host, signing.public_key().public_bytes_raw(), signing.sign)
    yield (
        RestoreBackup(
            repository=_repository(place, ring.key("backup"), signer),
            keeper=_keeper(settings, ring, None),
            proof=ManagedProof(key_manager(settings, ring)),
            signer=signer,
            clock=SystemClock(),
            random=SystemRandom(),
            revision=REVISION,
            payloads=None if is_drill else payloads_of(settings),
            owner=f"sha256:{sha256(signer.public_key)}",
        ),
        ring,
    )


async def restore_folder(
    source: Path,
    settings: Settings,
    passphrase: Passphrase,
    wanted: Wanted,
    *,
    owner: str | None = None,
    progress: Callable[[str, int], None] = lambda _what, _size: None,
) -> Restored:
    """Restore into the settings' folder, and into its database if it names one.

    `Conflict` if anything is there but the settings, `secrets/` and payloads, or another process
    restores into it. Until the end the folder is marked as one that is not served; whatever ends
    this, restoring again begins anew.
    """
    folder = settings.data_dir
    _require_empty(settings)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FolderLock(folder / LOCK)
    try:
        _require_empty(settings)
        with restoring(source, settings, passphrase) as (restore, ring):
            _sweep(folder)
            target = _target(settings, ring, owner)
            _write(folder / RESTORING, b"this folder is being restored\n")
            raw = restore.ring()

            def keep(restored: Restored) -> None:
                """Write the configuration, then the key ring."""
                for path, content in restored.files:
                    if not (folder / path).exists():
                        _write(folder / path, content)
                _write(folder / _RING, raw)

            restored = await restore.restore(wanted, target, keep, progress)
            (folder / RESTORING).unlink()
            _flush(folder)
    finally:
        lock.release()
    return restored


def _require_empty(settings: Settings) -> None:
    """Raise `Conflict` unless a folder may be restored into: new, or half restored before."""
    folder = settings.data_dir
    allowed = {"seawall.toml", "secrets", LOCK}
    if isinstance(settings.payloads, PayloadFolder):
        within = (folder / settings.payloads.folder).resolve()
        if within.is_relative_to(folder.resolve()):
            allowed.add(within.relative_to(folder.resolve()).parts[0])
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set[str]()
    if RESTORING not in there and there - allowed:
        raise not_empty()


def _sweep(folder: Path) -> None:
    """Delete what a restoring that was ended left; the folder is claimed."""
    (folder / _RING).unlink(missing_ok=True)
    for path in folder.glob(f"{DATABASE}*"):
        path.unlink()


async def drill_backup(
    installation: Installation,
    source: Path,
    passphrase: Passphrase,
    wanted: Wanted | None = None,
    *,
    scratch: Path | None = None,
    progress: Callable[[str, int], None] = lambda _what, _size: None,
) -> Restored:
    """Restore a snapshot into a folder that is removed afterwards, as a restoring would.

    By the key ring that the repository holds, opened by the passphrase. The database is an
    embedded one, whatever the installation's: a backup is the same for both.
    What drills that were ended left is removed first.
    """
    repository_of(installation, source).identity()
    require_current(await differing_from_ledger(installation, source))
    within = scratch or installation.settings.data_dir
    await asyncio.to_thread(_sweep_drills, within)
    place = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix=_DRILL, dir=within))
    lock = FolderLock(place / LOCK)
    try:
        settings = installation.settings
        with restoring(source, settings, passphrase, is_drill=True) as (restore, ring):
            key = ring.key("database")
            target = FileTarget(place / DATABASE, lambda path: connect(path, key))
            await asyncio.to_thread(restore.ring)
            drilled = replace(wanted or Wanted(), is_drill=True)
            return await restore.restore(drilled, target, progress=progress)
    finally:
        lock.release()
        await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)


def _sweep_drills(within: Path) -> None:
    """Remove the scratch places of drills that were ended; a running one holds its own."""
    for place in within.glob(f"{_DRILL}*"):
        if not (place / LOCK).is_file():
            continue
        try:
            lock = FolderLock(place / LOCK)
        except Conflict:
            continue
        shutil.rmtree(place, ignore_errors=True)
        lock.release()


def _target(settings: Settings, ring: RingFile, owner: str | None) -> LoadTarget:
    if not settings.database:
        key = ring.key("database")
        return FileTarget(settings.data_dir / DATABASE, lambda path: connect(path, key))
    if owner is None:
        raise Invalid(
            "wrong-setting",
            "the setting database names a database, and no owner of its tables is given",
            "name the role with --owner, and its password in SEAWALL_DATABASE_OWNER_PASSWORD_FILE",
        )
    with needing_the_library():
        from seawall.compose.shared import restoring_as_owner  # noqa: PLC0415  an extra
    return restoring_as_owner(settings, owner)


def _repository(place: BackupPlace, key: bytes, signer: NoteSigner) -> Repository:
    return Repository(place, BackupKeys.derive(key), signer)


def _signer(installation: Installation) -> NoteSigner:
    return NoteSigner(
        installation.settings.name, installation.public_key, installation.signing_key.sign
    )


def _keeper(
    settings: Settings, ring: RingFile, installation: Installation | None
) -> EnvelopeKeyRing:
    """Return what seals and opens key parts; without an installation it only opens them."""
    engine: Any = installation.engine if installation is not None else None
    return EnvelopeKeyRing(
        manager=installation.key_manager if installation else key_manager(settings, ring),
        operator=None,
        keys=SqlKeys(engine, _Reading()),
        receipt_key=b"",
        clock=SystemClock(),
        random=SystemRandom(),
    )


def _ring_of(
    place: FolderPlace, source: Path, settings: Settings, passphrase: Passphrase
) -> RingFile:
    """Open the key ring that a repository holds, as its index names it."""
    index = read_index(place, read_identity(place))
    for path, digest in index.keys:
        if path.startswith(f"keys/{RING_NAME}-"):
            if sha256(place.read(path)) != digest:
                untold()
            return RingFile.unlock(source / path, root_lock(settings, passphrase), SystemRandom())
    return untold()


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the configuration: paths within the folder, and contents."""
    for pattern in _FILES:
        for path in sorted(folder.glob(pattern)):
            if path.is_file():
                yield path.relative_to(folder).as_posix(), path.read_bytes()


def _write(path: Path, content: bytes) -> None:
    """Write a file durably, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.restoring")
    held = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(held, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    aside.replace(path)
    _flush(path.parent)


def _flush(folder: Path) -> None:
    held = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(held)
    finally:
        os.close(held)
