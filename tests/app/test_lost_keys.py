"""Keys that are gone were destroyed by a recorded shredding, or they are lost."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from backup_scenes import PASSPHRASE, Scene, scene
from seawall.adapters.db.sqlcipher import connect
from seawall.app.backup.shreddings import Shreddings
from seawall.compose import Installation
from seawall.config import Backup
from seawall.core.errors import Tampered
from seawall.core.ledger.encoding import encode
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from pathlib import Path

HILLSIDE = Principal("operator", "operator", "hillside")


def lose(made: Scene, what: str) -> None:
    """Delete keys behind the program's back."""
    path = made.installation.settings.data_dir / "seawall.db"
    connection = connect(path, made.installation.ring.key("database"))
    connection.execute(f"delete from data_keys where {what}")  # noqa: S608  our own text
    connection.commit()
    connection.close()


async def kept_in_settings(place: Path) -> Scene:
    """Make an installation whose settings name the backup's folder."""
    made = await scene(place)
    settings = replace(made.installation.settings, backup=Backup(str(made.repository), hours=0))
    return Scene(Installation.open(settings, PASSPHRASE), place)


def subjects(installation: Installation) -> list[str]:
    """Return the patients of hillside who have keys."""
    with installation.database.dump_source().reading() as dump:
        table = next(one for one in dump.key_tables() if one.shape.table == "data_keys")
        at = [name for name, _ in table.shape.columns].index("subject")
        return sorted({row[at] for batch in dump.rows(table, "hillside") for row in batch})


async def shred(made: Scene, patient: str) -> None:
    """Shred a patient of hillside."""
    async with made.installation.write() as writer:
        shredding = writer.key_room.managing._shredding  # beyond the second factor
        await shredding.patients(HILLSIDE, "hillside", [patient], "relationship-ended")


@pytest.mark.parametrize("what", ["true", "tenant = 'hillside'"])
async def test_lost_keys_are_not_taken_for_shredded(tmp_path: Path, what: str) -> None:
    """A backup of a database whose keys are gone is sound, and restores nobody as shredded."""
    made = await scene(tmp_path)
    lose(made, what)
    await made.back_up()

    with pytest.raises(Tampered) as caught:
        await made.restore()

    assert "backup-keys-lost" == caught.value.code
    assert not (tmp_path / "new" / "keys" / "ring.json").exists()


async def test_keys_lost_before_a_shredding_are_told(tmp_path: Path) -> None:
    """One patient was shredded, another one's key is gone: the first explains one alone."""
    made = await kept_in_settings(tmp_path)
    await made.back_up()
    first, second = subjects(made.installation)
    lose(made, f"subject = '{second}'")
    await shred(made, first)

    with pytest.raises(Tampered) as caught:
        await made.restore(is_successor=True)

    assert "backup-keys-lost" == caught.value.code
    assert "1 subjects" in caught.value.message


async def test_a_shredding_that_a_newer_snapshot_records_explains(tmp_path: Path) -> None:
    """An older snapshot is restored with the newer one's entries for what is gone."""
    made = await kept_in_settings(tmp_path)
    older = (await made.back_up()).snapshot
    await shred(made, subjects(made.installation)[0])
    await made.back_up()

    restored = await made.restore(snapshot=older, is_successor=True)

    assert (1, True) == (restored.shredded, restored.opened > 0)


def test_another_tenants_shredding_explains_nothing() -> None:
    """Who was shredded is told by tenant."""
    said = Shreddings()
    said.read(
        "hillside", [encode({"action": "keys.shred", "what": "patients", "patients": ["ab"]})]
    )

    assert (0, 1) == (said.unexplained("hillside", ["ab"]), said.unexplained("riverside", ["ab"]))
