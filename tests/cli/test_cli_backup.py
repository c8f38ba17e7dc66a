"""`seawall backup` and `restore` at the terminal, with and without a server on the folder."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from clinic import PASSPHRASE, Clinic, served_apart
from seawall.compose import Installation
from seawall.config import Passphrase, Settings
from terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def backed_up(tmp_path_factory: pytest.TempPathFactory) -> tuple[Terminal, Path]:
    """Return a terminal on a folder of its own, and its backup."""
    place = tmp_path_factory.mktemp("backup")
    made = Terminal(place / "data")
    assert 0 == made.run("init", "--tenant", "hillside").status
    assert 0 == made.run("backup", "--to", str(place / "backup")).status
    return made, place / "backup"


def test_a_backup_says_what_it_holds(backed_up: tuple[Terminal, Path]) -> None:
    """Another one says what is new since, and is an entry of the system's log."""
    terminal, folder = backed_up
    told = terminal.run("backup", "--to", str(folder), "--json").json()
    found = terminal.run("ledger", "list", "--system", "--action", "backup.make", "--json").json()

    assert (True, 2) == (told["rows"] > 0, told["logs"])
    assert told["snapshot"] in {entry["snapshot"] for entry in found}


@pytest.mark.parametrize("keyless", [(), ("--keyless",)])
def test_verify_names_what_is_damaged(
    backed_up: tuple[Terminal, Path], tmp_path: Path, keyless: tuple[str, ...]
) -> None:
    """A sound backup is said to be sound; a changed one ends in an error with the file's name."""
    terminal, folder = backed_up
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert terminal.run("backup", "verify", str(copy), *keyless, "--json").json()["sound"]
    chunk = next(path for path in sorted((copy / "chunks").rglob("*")) if path.is_file())
    kept = chunk.read_bytes()
    chunk.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))

    said = terminal.run("backup", "verify", str(copy), *keyless, "--json")

    assert "backup-damaged" == said.code
    assert {chunk.relative_to(copy).as_posix(): "changed"} == json.loads(said.out)["damaged"]


def test_what_is_restored_verifies(backed_up: tuple[Terminal, Path], tmp_path: Path) -> None:
    """The new folder is an installation: its ledger verifies under the old key."""
    terminal, folder = backed_up
    new = Terminal(tmp_path / "new")

    told = terminal.run("restore", "--from", str(folder), "--to", str(new.folder), "--json").json()

    assert 2 == told["logs"]
    assert 0 == new.run("ledger", "verify", "--tenant", "hillside").status
    assert (
        "target-not-empty"
        == terminal.run("restore", "--from", str(folder), "--to", str(new.folder)).code
    )


def test_a_drill_is_recorded_and_no_longer_overdue(backed_up: tuple[Terminal, Path]) -> None:
    """The status says that a drill is overdue, until there was one."""
    terminal, folder = backed_up
    before = terminal.run("backup", "status", "--to", str(folder), "--json").json()

    drilled = terminal.run("restore", "--drill", "--from", str(folder), "--json").json()

    after = terminal.run("backup", "status", "--to", str(folder), "--json").json()
    assert (True, False) == (before["drill_overdue"], after["drill_overdue"])
    assert drilled["milliseconds"] == after["drill"]["milliseconds"]
    assert not [path for path in terminal.folder.iterdir() if path.name.startswith("drill-")]


def test_a_backup_beside_a_server_is_recorded_by_it(tmp_path: Path) -> None:
    """The terminal reads beside the server, and the server makes the entry."""
    terminal, said = Terminal(tmp_path / "data"), {"SEAWALL_PASSPHRASE": PASSPHRASE}
    terminal.run("init", "--tenant", "hillside", **said)
    settings = Settings(terminal.folder, port=0)
    installation = Installation.open(settings, Passphrase(PASSPHRASE.encode()))

    with served_apart(Clinic(installation, {}, {}), tmp_path):
        made = terminal.run("backup", "--to", str(tmp_path / "backup"), "--json", **said).json()
        drilled = terminal.run("restore", "--drill", "--from", str(tmp_path / "backup"), **said)
        entries = [
            terminal.run("ledger", "list", "--system", "--action", action, "--json", **said).json()
            for action in ("backup.make", "backup.drill")
        ]

    assert (0, None) == (drilled.status, drilled.code)
    assert [made["snapshot"]] * 2 == [found[-1]["snapshot"] for found in entries]
    assert [True, True] == [found[-1]["reported"] for found in entries]


def test_without_a_folder_a_backup_is_not_made(backed_up: tuple[Terminal, Path]) -> None:
    """Where neither the option nor the settings name one, that is said."""
    assert "backup-unclear" == backed_up[0].run("backup").code


def test_fewer_than_no_snapshots_cannot_be_kept(backed_up: tuple[Terminal, Path]) -> None:
    """A negative number is a mistake, and lets nothing go."""
    said = backed_up[0].run("backup", "--to", str(backed_up[1]), "--keep", "-1")
    assert 2 == said.status


def test_the_settings_name_where_backups_go(tmp_path: Path) -> None:
    """A [backup] table stands in for the option."""
    terminal = Terminal(tmp_path / "data")
    terminal.run("init", "--tenant", "hillside")
    settings = f'[backup]\nfolder = "{tmp_path / "backup"}"\nkeep = 1\n'
    (terminal.folder / "seawall.toml").write_text(settings, encoding="utf-8")
    names = [terminal.run("backup", "--json").json()["snapshot"] for _ in range(2)]

    told = terminal.run("backup", "status", "--json").json()

    assert [names[1]] == [one["snapshot"] for one in told["snapshots"]]


def test_a_wrong_passphrase_restores_nothing(
    backed_up: tuple[Terminal, Path], tmp_path: Path
) -> None:
    """It is told, and nothing is written that could be served."""
    said = backed_up[0].run(
        *("restore", "--from", str(backed_up[1]), "--to", str(tmp_path / "new")),
        SEAWALL_PASSPHRASE="wrong",
    )

    assert "wrong-passphrase" == said.code
    assert not (tmp_path / "new" / "keys").exists()


def test_a_folder_without_a_backup_is_told(
    backed_up: tuple[Terminal, Path], tmp_path: Path
) -> None:
    """Verifying and restoring nothing is an error, and no success."""
    empty = tmp_path / "empty"
    empty.mkdir()

    codes = [
        backed_up[0].run(*command).code
        for command in (
            ("backup", "verify", str(empty)),
            ("backup", "verify", str(empty), "--keyless"),
            ("restore", "--from", str(empty), "--to", str(tmp_path / "new")),
            ("restore", "--drill", "--from", str(empty)),
        )
    ]

    assert ["backup-missing"] * 4 == codes
