"""A backup that goes on: what is damaged is healed, named or kept, and none is begun by mistake."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from backup_scenes import PASSPHRASE, Scene, append, copied, scene
from fakes import PUBLIC_KEY, SIGNING_KEY
from seawall.adapters.backup.folder import FolderPlace
from seawall.app.backup.recording import last_drill, record_backup
from seawall.app.backup.repository import IDENTITY, NoteSigner, Repository
from seawall.compose import Installation, RepositoryCopies, backup_maker
from seawall.compose.backup import ScheduledBackups
from seawall.config import Backup
from seawall.core.backup.chunks import BackupKeys
from seawall.core.backup.statements import Identity, backup_vkey
from seawall.core.errors import Conflict, Refused, Tampered, Unavailable
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from pathlib import Path

    from seawall.app.backup.make import Made

OPERATOR: Final = Principal("operator", "operator", "hillside")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Return an installation with a backup of two snapshots."""

    async def make() -> Scene:
        """Make it."""
        found = await scene(tmp_path_factory.mktemp("kept-up"))
        await found.back_up()
        await append(found.installation, 20)
        await found.back_up()
        return found

    return asyncio.run(make())


async def test_a_missing_index_is_no_empty_repository(made: Scene, tmp_path: Path) -> None:
    """The next backup is refused, and sweeps nothing."""
    scene_ = copied(made, tmp_path)
    (scene_.repository / "index").unlink()
    before = sorted(path for path in scene_.repository.rglob("*"))

    with pytest.raises(Tampered) as caught:
        await scene_.back_up()

    assert "index" in str(caught.value)
    assert before == sorted(path for path in scene_.repository.rglob("*"))


async def test_rot_is_not_carried_on(made: Scene, tmp_path: Path) -> None:
    """Every chunk that is damaged is written anew by the next backup."""
    scene_ = copied(made, tmp_path)
    for path in (scene_.repository / "chunks").rglob("*"):
        if path.is_file():
            raw = path.read_bytes()
            path.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))

    await scene_.back_up(keep=1)

    assert {} == scene_.verify().damaged


@pytest.mark.parametrize("part", ["files", "note"])
async def test_an_unreadable_listing_stops_no_later_backup(
    made: Scene, tmp_path: Path, part: str
) -> None:
    """It is named, older key parts go all the same, and chunks that it may need stay."""
    scene_ = copied(made, tmp_path)
    oldest = scene_.verify(keyless=True).snapshots[0]
    keys = {path.name for path in (scene_.repository / "keys").iterdir()}
    (scene_.repository / "snapshots" / oldest / part).write_bytes(b"?")
    (scene_.repository / "chunks" / "orphan").write_bytes(b"?")

    told = await scene_.back_up()

    assert (f"snapshots/{oldest}/files",) == told.unread
    assert (scene_.repository / "chunks" / "orphan").exists()
    left = {path.name for path in (scene_.repository / "keys").iterdir()}
    assert len(keys) == len(left)
    assert len(left - keys) >= 1


def test_what_is_extra_is_named_beside_what_is_damaged(made: Scene, tmp_path: Path) -> None:
    """One finding hides no other."""
    scene_ = copied(made, tmp_path)
    chunk = next(path for path in (scene_.repository / "chunks").rglob("*") if path.is_file())
    chunk.unlink()
    (scene_.repository / "chunks" / "stranger").write_bytes(b"?")

    found = scene_.verify()

    name = chunk.relative_to(scene_.repository).as_posix()
    assert ({name: "missing"}, ["chunks/stranger"]) == (found.damaged, found.extra)


def test_a_key_that_begins_as_ours_is_not_ours() -> None:
    """A + within its base64 ends no comparing."""
    ours = bytes([0x0F, 0x80]) + bytes(30)
    theirs = ours[:2] + bytes([1] * 30)
    identity = Identity("0" * 32, backup_vkey("localhost", "0" * 32, theirs))

    class Place:
        """Holds an identity alone."""

        def read(self, _path: str, _most: int = 0) -> bytes:
            """Return it."""
            return identity.to_bytes()

    assert "+" in identity.vkey.split("+", 2)[2][:4]
    signer = NoteSigner("localhost", ours, SIGNING_KEY.sign)
    with pytest.raises(Refused) as caught:
        Repository(Place(), BackupKeys.derive(PUBLIC_KEY), signer).identity()  # type: ignore[arg-type]
    assert "backup-of-another" == caught.value.code


async def with_settings(place: Path) -> Scene:
    """Make an installation with a recorded backup in the folder that its settings name."""
    made = await scene(place)
    settings = replace(made.installation.settings, backup=Backup(str(place / "backup"), hours=1))
    made = Scene(Installation.open(settings, PASSPHRASE), place)
    async with made.installation.write() as writer:

        async def record(told: Made) -> None:
            """Record it."""
            said = {"what": "make", **record_backup(told, is_settings=True)}
            await writer.record_backup.record(OPERATOR, said)

        await backup_maker(made.installation, made.repository).make(record)
    return made


async def test_copies_of_keys_on_an_absent_mount_are_an_error(tmp_path: Path) -> None:
    """A shredding is not at its end while they lie somewhere, and no folder is made there."""
    made = await with_settings(tmp_path)
    made.repository.rename(tmp_path / "elsewhere")

    with pytest.raises(Unavailable) as caught:
        await RepositoryCopies(made.installation, made.repository).rewrite("hillside")

    assert ("backup-unavailable", False) == (caught.value.code, made.repository.exists())


async def test_copies_of_keys_in_another_backup_are_not_taken_for_them(tmp_path: Path) -> None:
    """What lies beneath a mount is not what was made on it."""
    made = await with_settings(tmp_path)
    made.repository.rename(tmp_path / "elsewhere")
    await made.back_up()

    with pytest.raises(Refused) as caught:
        await RepositoryCopies(made.installation, made.repository).rewrite("hillside")

    assert "backup-replaced" == caught.value.code


async def test_the_server_begins_no_backup_where_one_was(tmp_path: Path) -> None:
    """An absent mount is an error of the round, and nothing is made beneath it."""
    made = await with_settings(tmp_path)
    made.repository.rename(tmp_path / "elsewhere")
    async with made.installation.write() as writer:
        backup = made.installation.settings.backup
        assert backup is not None

        with pytest.raises(Unavailable):
            await ScheduledBackups(made.installation, backup, writer.record_backup).round()

    assert not made.repository.exists()


async def test_where_no_backup_was_made_there_are_no_copies(tmp_path: Path) -> None:
    """Settings that name a folder are no backup yet."""
    made = await scene(tmp_path)
    assert 0 == await RepositoryCopies(made.installation, made.repository).rewrite("hillside")
    assert not made.repository.exists()


async def test_a_shredding_does_not_wait_for_ever_for_a_backup(tmp_path: Path) -> None:
    """It says what is left, and how that is done."""
    made = await with_settings(tmp_path)
    with FolderPlace(made.repository).claim(), pytest.raises(Conflict) as caught:
        await RepositoryCopies(made.installation, made.repository, 0).rewrite("hillside")
    assert ("backup-in-use", True) == (caught.value.code, "--resume" in caught.value.help)


async def test_a_drill_that_is_not_indexed_yet_is_found(tmp_path: Path) -> None:
    """What was recorded last counts at once."""
    made = await scene(tmp_path)
    said = {"snapshot": "20261124T201246Z-5cfc69df29e9", "rows": 3, "size": 4, "milliseconds": 5}
    async with made.installation.write() as writer:
        await writer.record_backup.record(OPERATOR, {"what": "drill", **said})
    found = await last_drill(made.installation.store)
    assert found is not None
    assert said["snapshot"] == found["snapshot"]


async def test_an_ended_first_backup_is_begun_again(tmp_path: Path) -> None:
    """A folder that has only its name yet is gone on with."""
    made = await scene(tmp_path)
    await made.back_up()
    for path in list(made.repository.iterdir()):
        if path.name not in {IDENTITY, "lock"}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    await made.back_up()

    assert 1 == len(made.verify().snapshots)
