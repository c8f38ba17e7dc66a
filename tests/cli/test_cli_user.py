"""`seawall user` at the terminal: persons join and get links."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pyotp
import pytest

from seawall.app.enrol import Chosen
from seawall.app.try_limits import Where
from seawall.compose import Installation
from seawall.config import Passphrase, Settings
from terminal import Said, Terminal

if TYPE_CHECKING:
    from pathlib import Path

HERE = Where("0" * 32)


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """Return a terminal on a new data folder with one tenant."""
    made = Terminal(tmp_path_factory.mktemp("users") / "data")
    assert 0 == made.run("init", "--tenant", "riverside").status
    return made


def installation(folder: Path) -> Installation:
    """Unlock the folder, as another process would."""
    return Installation.open(Settings(folder, port=8443), Passphrase(b"open sesame"))


def added(terminal: Terminal, name: str, *more: str) -> Said:
    """Add a person."""
    return terminal.run("user", "add", name, "--title", name.title(), *more, "--json")


def test_a_person_is_added_and_listed(terminal: Terminal) -> None:
    """With roles, and nothing that opens anything yet."""
    made = added(terminal, "ada", "--role", "auditor", "--role", "clinician").json()
    listed = terminal.run("user", "list", "--json").json()

    assert ("User/ada@1", "created") == (made["document"], made["change"])
    ada = next(one for one in listed if one["name"] == "ada")
    assert (["auditor", "clinician"], "active", 0) == (
        ada["roles"],
        ada["standing"],
        ada["sessions"],
    )


def test_adding_again_changes_only_what_is_given(terminal: Terminal) -> None:
    """The same again is nothing; other roles are a new version."""
    added(terminal, "ben", "--role", "auditor")
    again = added(terminal, "ben", "--role", "auditor").json()
    other = added(terminal, "ben", "--role", "clinician").json()

    assert ["unchanged", "changed"] == [again["change"], other["change"]]


def test_a_role_that_there_is_not_is_refused(terminal: Terminal) -> None:
    """No person is a service."""
    assert "document-invalid" == added(terminal, "eve", "--role", "service").code


def test_a_link_enrols(terminal: Terminal) -> None:
    """What the terminal printed is taken by what a server would run."""
    added(terminal, "cyd", "--role", "clinician")
    url = terminal.run("user", "invite", "cyd", "--json").json()["url"]

    async def enrol() -> int:
        """Enrol a password and codes by the link."""
        async with installation(terminal.folder).write() as writer:
            enrolling, link = writer.people_room.enrol, url.partition("#")[2]
            begun = await enrolling.begin(HERE, link)
            code = pyotp.TOTP(begun.secret).now()
            chosen = Chosen("four horses under one bridge", code=code)
            return len(await enrolling.finish(HERE, link, begun.ticket, chosen))

    assert url.startswith("https://localhost:8443/enrol#riverside/cyd/")
    assert 10 == asyncio.run(enrol())
    listed = terminal.run("user", "list", "--factors", "--json").json()
    cyd = next(one for one in listed if one["name"] == "cyd")
    assert ["password", "code", "recovery"] == cyd["factors"]


def test_a_link_for_nobody_is_refused(terminal: Terminal) -> None:
    """There has to be a person first."""
    assert "person-unknown" == terminal.run("user", "invite", "nobody").code


def test_while_a_server_holds_the_folder_it_is_said_what_to_do(terminal: Terminal) -> None:
    """Listing reads; adding and inviting need the folder."""

    async def held() -> list[Said]:
        """Hold the folder, and run commands beside."""
        async with installation(terminal.folder).write():
            commands = (("user", "list"), ("user", "invite", "ada"))
            return [await asyncio.to_thread(terminal.run, *one) for one in commands]

    listed, invited = asyncio.run(held())
    assert (0, "folder-in-use") == (listed.status, invited.code)
    assert "/api/enrol/links" in str(getattr(invited.error, "help", ""))
