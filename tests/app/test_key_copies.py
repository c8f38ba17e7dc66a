"""After a shredding an older snapshot opens the survivors, and what was shredded nowhere."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from backup_scenes import PASSPHRASE, Scene, restoring_by, scene
from seawall.adapters.db.load import FileTarget
from seawall.adapters.db.sqlcipher import connect
from seawall.app.backup.restore import Wanted
from seawall.compose import Installation
from seawall.compose.backup import ScheduledBackups
from seawall.config import Backup
from seawall.core.errors import Error
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from pathlib import Path

HILLSIDE = Principal("operator", "operator", "hillside")


async def shredded(place: Path) -> tuple[Scene, str]:
    """Back up, keep a copy of that, and shred a patient; return the scene and the patient."""
    made = await scene(place)
    settings = replace(made.installation.settings, backup=Backup(str(made.repository), hours=0))
    made = Scene(Installation.open(settings, PASSPHRASE), place)
    await made.back_up()
    shutil.copytree(made.repository, place / "older" / "backup")
    patient = min(subjects(made.installation, "hillside"))
    async with made.installation.write() as writer:
        shredding = writer.key_room.managing._shredding  # beyond the second factor
        await shredding.patients(HILLSIDE, "hillside", [patient], "relationship-ended")
    return made, patient


def subjects(installation: Installation, tenant: str) -> set[str]:
    """Return whose sealed values a tenant holds."""
    with installation.database.dump_source().reading() as dump:
        table = next(one for one in dump.tables() if one.shape.table == "sealed")
        names = [name for name, _ in table.shape.columns]
        return {row[names.index("subject")] for batch in dump.rows(table, tenant) for row in batch}


async def test_an_older_snapshot_opens_the_survivors_alone(tmp_path: Path) -> None:
    """Restored with the key part as it is now, the patient who was shredded is gone."""
    made, patient = await shredded(tmp_path)
    await made.restore(is_successor=True)

    restored = Installation.open(
        replace(made.installation.settings, data_dir=tmp_path / "new"), PASSPHRASE
    )

    assert subjects(restored, "hillside") == subjects(made.installation, "hillside")
    assert patient not in subjects(restored, "hillside")
    assert 2 == len(subjects(restored, "riverside"))


async def test_the_rewritten_backup_is_sound(tmp_path: Path) -> None:
    """The older key part is gone from it, and nothing else is."""
    made, _ = await shredded(tmp_path)
    found = made.verify()
    assert (True, []) == (found.is_sound, found.extra)


async def test_a_copy_of_the_older_key_part_does_not_open_what_was_shredded(
    tmp_path: Path,
) -> None:
    """Under the key manager as it is now, an older key part in the repository opens nowhere."""
    made, _ = await shredded(tmp_path)

    restore = restoring_by(made.installation, tmp_path / "older" / "backup")
    target = FileTarget(tmp_path / "seawall.db", lambda path: connect(path, bytes(32)))

    with pytest.raises(Error) as caught:
        await restore.restore(Wanted(is_successor=True), target)

    assert "root-key-missing" == caught.value.code


async def test_the_server_makes_a_backup_when_one_is_due(tmp_path: Path) -> None:
    """The first at once, the next when the hours have passed; each is an entry."""
    made = await scene(tmp_path)
    backup = Backup(str(made.repository), hours=1)
    async with made.installation.write() as writer:
        scheduled = ScheduledBackups(made.installation, backup, writer.record_backup)
        await scheduled.round()
        await scheduled.round()

    assert 1 == len(made.verify().snapshots)
    assert 1 == (await made.installation.store.head("system")).size
