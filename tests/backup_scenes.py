"""Installations with a few of everything, on either database, and their backups."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from seawall.adapters.db.schema import REVISION, metadata
from seawall.adapters.keys.proof import ManagedProof
from seawall.app.backup.recording import record_backup
from seawall.app.backup.restore import RestoreBackup, Wanted
from seawall.compose import (
    Installation,
    backup_maker,
    backup_verifier,
    drill_backup,
    repository_of,
    restore_folder,
)
from seawall.compose.backup import _keeper, _signer
from seawall.config import Passphrase, Settings
from seawall.core.policy.principal import Principal
from seawall.demo.stage import sample_patients

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from seawall.app.backup.make import Made
    from seawall.app.backup.restore import Restored
    from seawall.app.backup.verify import Findings

PASSPHRASE: Final = Passphrase(b"correct horse battery staple")
TENANTS: Final = ("hillside", "riverside")
BESIDE: Final = frozenset({"facets", "indexed", "leases", "heads", "tiles"})
"""What a restoring makes anew, and so compares by other means."""


@dataclass(frozen=True)
class Scene:
    """An installation, and where its backup is."""

    installation: Installation
    place: Path

    @property
    def repository(self) -> Path:
        """The backup's folder."""
        return self.place / "backup"

    async def back_up(self, keep: int = 0) -> Made:
        """Make a snapshot that is recorded nowhere."""

        async def record(_: Made) -> None:
            """Record nothing: what is compared stays as it was."""

        return await backup_maker(self.installation, self.repository, keep).make(record)

    async def back_up_recorded(self) -> Made:
        """Make a snapshot, and its entry."""
        async with self.installation.write() as writer:
            principal = Principal("operator", "operator", "hillside")

            async def record(made: Made) -> None:
                """Make the entry durable."""
                await writer.record_backup.record(
                    principal, {"what": "make", **record_backup(made, is_settings=False)}
                )

            return await backup_maker(self.installation, self.repository).make(record)

    def verify(self, *, keyless: bool = False) -> Findings:
        """Verify the backup."""
        return backup_verifier(
            self.repository, None if keyless else self.installation, None
        ).verify()

    async def drilled(self, **wanted: Any) -> Restored:
        """Restore in a scratch place that is removed."""
        return await drill_backup(self.installation, self.repository, PASSPHRASE, Wanted(**wanted))

    async def restored(self, name: str = "new", **wanted: Any) -> Installation:
        """Restore into a folder of this name; return what is there then."""
        await self.restore(name, **wanted)
        return Installation.open(Settings(self.place / name, port=0), PASSPHRASE)

    async def restore(
        self, name: str = "new", *, owner: str | None = None, database: str = "", **wanted: Any
    ) -> Restored:
        """Restore into a folder of this name."""
        settings = Settings(self.place / name, port=0, database=database)
        return await restore_folder(
            self.repository, settings, PASSPHRASE, Wanted(**wanted), owner=owner
        )


async def scene(place: Path, *, database: str = "", patients: int = 2) -> Scene:
    """Make an installation with two tenants, patients of both, and an entry or two more."""
    settings = Settings(place / "data", port=0, database=database)
    made = Scene(Installation.create(settings, PASSPHRASE), place)
    (settings.data_dir / "seawall.toml").write_text('log_level = "warning"\n', encoding="ascii")
    async with made.installation.write() as writer:
        for tenant in TENANTS:
            await writer.open_tenant(tenant)
            principal = Principal("operator", "operator", tenant)
            for patient in list(sample_patients().values())[:patients]:
                await writer.import_patient.import_patient(principal, patient.resource)
    return made


async def append(
    installation: Installation, count: int, log: str = "hillside", size: int = 0
) -> None:
    """Append entries to a log, 64 at a time."""
    async with installation.write() as writer:
        for start in range(0, count, 64):
            await asyncio.gather(
                *(
                    writer.ledger.append(log, {"v": 1, "at": f"{at}", "filling": "x" * size})
                    for at in range(start, min(start + 64, count))
                )
            )


def copied(scene_: Scene, place: Path) -> Scene:
    """Return the same with a copy of its backup, to be damaged."""
    shutil.copytree(scene_.repository, place / "backup")
    return replace(scene_, place=place)


def rows_of(installation: Installation, beside: Sequence[str] = ()) -> dict[str, list[Any]]:
    """Return every row of every table, sorted, but for what is made anew."""
    with installation.database.dump_source().reading() as dump:
        tables = [*dump.tables(), *dump.key_tables()]
        found: dict[str, list[Any]] = {
            table.shape.table: sorted(
                (tuple(row) for batch in dump.rows(table) for row in batch), key=repr
            )
            for table in tables
            if table.shape.table not in {*BESIDE, *beside}
        }
        for log in dump.logs():
            found[f"log {log.log}"] = [
                log.origin,
                *(one for batch in dump.entries(log.log, log.minimum, log.size) for one in batch),
            ]
    return found


EVERY_TABLE: Final = frozenset(metadata.tables)


def restoring_by(
    installation: Installation, folder: Path, revision: str = REVISION
) -> RestoreBackup:
    """Return what restores a repository by an installation's own keys and key manager."""
    return RestoreBackup(
        repository=repository_of(installation, folder),
        keeper=_keeper(installation.settings, installation.ring, installation),
        proof=ManagedProof(installation.key_manager),
        signer=_signer(installation),
        clock=installation.clock,
        random=installation.random,
        revision=revision,
    )
