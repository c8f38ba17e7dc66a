"""An older copy of a whole backup is signed as well: the ledger knows that it is older."""

from __future__ import annotations

import asyncio
import shutil
import threading
from typing import TYPE_CHECKING, Final

import pytest

from backup_scenes import PASSPHRASE, Scene, append, scene
from seawall.adapters.backup.folder import FolderPlace
from seawall.app.backup.current import FOREIGN, OLDER, require_current
from seawall.app.backup.recording import record_backup
from seawall.app.backup.verify import VerifyBackup
from seawall.compose import Installation, backup_maker, differing_from_ledger, drill_backup
from seawall.core.errors import Tampered
from seawall.core.policy.principal import Principal
from terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from seawall.app.backup.make import Made

OPERATOR: Final = Principal("operator", "operator", "hillside")


async def recorded(made: Scene) -> None:
    """Make a backup that the ledger knows."""
    async with made.installation.write() as writer:

        async def record(told: Made) -> None:
            """Record it."""
            said = {"what": "make", **record_backup(told, is_settings=False)}
            await writer.record_backup.record(OPERATOR, said)

        await backup_maker(made.installation, made.repository).make(record)


async def replayed(place: Path) -> Scene:
    """Make two backups, and put the folder back as it was after the first."""
    made = await scene(place)
    await recorded(made)
    shutil.copytree(made.repository, place / "older")
    await recorded(made)
    shutil.rmtree(made.repository)
    (place / "older").rename(made.repository)
    return made


async def test_a_backup_as_it_was_left_differs_in_nothing(tmp_path: Path) -> None:
    """Whatever is appended afterwards: each log of a snapshot is a prefix."""
    made = await scene(tmp_path)
    await recorded(made)
    await append(made.installation, 300)
    await recorded(made)
    await append(made.installation, 5, "riverside")
    assert {} == await differing_from_ledger(made.installation, made.repository)


async def test_an_older_copy_is_noticed(tmp_path: Path) -> None:
    """It verifies by itself; a drill of it is refused all the same."""
    made = await replayed(tmp_path)
    assert made.verify().is_sound

    found = await differing_from_ledger(made.installation, made.repository)
    with pytest.raises(Tampered) as caught:
        await drill_backup(made.installation, made.repository, PASSPHRASE)

    assert ({"index": OLDER}, "backup-replayed") == (found, caught.value.code)


async def test_the_next_backup_makes_it_current(tmp_path: Path) -> None:
    """A new snapshot needs nothing of what is missing."""
    made = await replayed(tmp_path)
    await recorded(made)
    require_current(await differing_from_ledger(made.installation, made.repository))


async def test_a_ledger_behind_its_backup_is_noticed(tmp_path: Path) -> None:
    """An older copy of the database does not have what the snapshot has."""
    made = await scene(tmp_path)
    older = tmp_path / "older"
    older.mkdir()
    for path in (tmp_path / "data").glob("seawall.db*"):
        shutil.copy(path, older)
    await append(made.installation, 3)
    snapshot = (await made.back_up()).snapshot
    for path in (tmp_path / "data").glob("seawall.db*"):
        path.unlink()
    for path in older.iterdir():
        shutil.copy(path, tmp_path / "data")
    installation = Installation.open(made.installation.settings, PASSPHRASE)

    found = await differing_from_ledger(installation, made.repository)

    assert {f"snapshots/{snapshot}/manifest": FOREIGN} == found


async def test_a_backup_that_is_made_meanwhile_is_no_finding(tmp_path: Path) -> None:
    """A verification that saw files go looks again."""
    made = await scene(tmp_path)
    await made.back_up(keep=1)

    class Changing(FolderPlace):
        """A folder in which a backup is made right after the index was first read."""

        is_made = False

        def read(self, path: str, *most: int) -> bytes:
            """Return a file; make a backup once before a snapshot's."""
            if path.startswith("snapshots/") and not self.is_made:
                self.is_made = True
                thread = threading.Thread(target=asyncio.run, args=(made.back_up(keep=1),))
                thread.start()
                thread.join()
            return super().read(path, *most)

    found = VerifyBackup(Changing(made.repository)).verify()

    assert ({}, []) == (found.damaged, found.extra)


def test_the_terminal_says_that_a_backup_is_older(tmp_path: Path) -> None:
    """Verifying ends in an error, the status warns, and the next backup says so once."""
    terminal, folder = Terminal(tmp_path / "data"), tmp_path / "backup"
    terminal.run("init", "--tenant", "hillside")
    terminal.run("backup", "--to", str(folder))
    shutil.copytree(folder, tmp_path / "older")
    terminal.run("backup", "--to", str(folder))
    shutil.rmtree(folder)
    (tmp_path / "older").rename(folder)

    verified = terminal.run("backup", "verify", str(folder))
    status = terminal.run("backup", "status", "--to", str(folder), "--json").json()
    made = [terminal.run("backup", "--to", str(folder), "--json").json() for _ in range(2)]

    assert ("backup-damaged", {"index": OLDER}) == (verified.code, status["differing"])
    assert [True, False] == [told["was_older"] for told in made]
