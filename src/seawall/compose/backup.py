"""Backups of an installation: what is copied, into which repository, and back."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from contextlib import contextmanager
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Never

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from seawall.adapters.backup.folder import FolderPlace
from seawall.adapters.clock import SystemClock, SystemRandom
from seawall.adapters.db.key_store import SqlKeys
from seawall.adapters.db.load import FileTarget, not_empty
from seawall.adapters.db.sqlcipher import connect
from seawall.adapters.keys.proof import ManagedProof
from seawall.adapters.keys.ring import EnvelopeKeyRing
from seawall.adapters.keys.ring_file import RingFile
from seawall.app.backup.make import Copied, MakeBackup
from seawall.app.backup.recording import record_backup
from seawall.app.backup.repository import (
    IDENTITY,
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
from seawall.compose.database import DATABASE, RESTORING, needing_the_library
from seawall.compose.key_manager import key_manager, root_lock
from seawall.compose.payloads import payloads_of
from seawall.core.backup.chunks import BackupKeys
from seawall.core.backup.statements import untold
from seawall.core.errors import Conflict, Invalid, Missing
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
_BUSY_SECONDS: Final = 600.0


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


def backup_maker(installation: Installation, folder: Path, keep: int = 0) -> MakeBackup:
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


class RepositoryCopies:
    """The KeyCopies port over the repository that the settings name."""

    def __init__(self, installation: Installation, folder: Path) -> None:
        self._installation = installation
        self._folder = folder

    async def rewrite(self, tenant: str) -> int:
        """Replace the copy of a tenant's keys by what is held now, once no backup is at work."""
        until = self._installation.clock.monotonic() + _BUSY_SECONDS
        while True:
            try:
                return await backup_maker(self._installation, self._folder).rewrite_keys(tenant)
            except Missing as error:
                if error.code != "backup-missing":
                    raise
                return 0
            except Conflict:
                if self._installation.clock.monotonic() >= until:
                    raise
                await asyncio.sleep(1)


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
        if not await asyncio.to_thread(self._is_due, folder):
            return
        maker = backup_maker(self._installation, folder, self._backup.keep)

        async def record(made: Made) -> None:
            """Make the entry durable."""
            principal = Principal("system", "seawall", SYSTEM_LOG)
            await self._record.record(principal, {"what": "make", **record_backup(made)})

        await maker.make(record)

    def _is_due(self, folder: Path) -> bool:
        if FolderPlace(folder).size(IDENTITY) is None:
            return True
        repository = repository_of(self._installation, folder)
        newest = repository.newest()
        if newest is None:
            return True
        made = datetime.fromisoformat(repository.manifest(newest).made)
        return self._installation.clock.now() - made >= timedelta(hours=self._backup.hours)


@contextmanager
def restoring(
    source: Path, settings: Settings, passphrase: Passphrase
) -> Iterator[tuple[RestoreBackup, RingFile]]:
    """Yield what restores a repository into a folder, by the key ring that the repository holds."""
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
            payloads=payloads_of(settings),
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

    `Conflict` if there is an installation already. Until the end the folder is marked as one
    that is not served; whatever ends this, restoring again begins anew.
    """
    folder = settings.data_dir
    if (folder / _RING).exists() and not (folder / RESTORING).exists():
        raise not_empty()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with restoring(source, settings, passphrase) as (restore, ring):
        if (folder / RESTORING).exists():
            for left in (_RING, Path(DATABASE)):
                (folder / left).unlink(missing_ok=True)
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
    return restored


async def drill_backup(
    installation: Installation,
    source: Path,
    scratch: Path | None = None,
    progress: Callable[[str, int], None] = lambda _what, _size: None,
) -> Restored:
    """Restore the newest snapshot into a folder that is removed afterwards.

    The database is an embedded one, whatever the installation's: a backup is the same for both.
    """
    repository = repository_of(installation, source)
    repository.identity()
    within = scratch or installation.settings.data_dir
    place = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="drill-", dir=within))
    try:
        restore = RestoreBackup(
            repository=repository,
            keeper=_keeper(installation.settings, installation.ring, None),
            proof=ManagedProof(installation.key_manager),
            signer=_signer(installation),
            clock=installation.clock,
            random=installation.random,
        )
        key = installation.ring.key("database")
        target = FileTarget(place / DATABASE, lambda path: connect(path, key))
        await asyncio.to_thread(restore.ring)
        return await restore.restore(Wanted(is_drill=True), target, progress=progress)
    finally:
        await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)


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
