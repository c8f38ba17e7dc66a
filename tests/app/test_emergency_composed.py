"""Breaking the glass on a real data folder: SQLCipher, the policies that ship, and a restart."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import pyotp
import pytest

from seawall.app.caller import Caller
from seawall.app.emergency_access import Asked
from seawall.app.ports import SYSTEM_LOG
from seawall.app.try_limits import Where
from seawall.compose import Installation
from seawall.compose.people import PeopleRoom
from seawall.config import Passphrase, Settings
from seawall.core.errors import Conflict
from seawall.core.identity.session import Session
from seawall.core.policy.principal import Principal
from terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from seawall.compose.writer import Writer

TENANT: Final = "hillside"
WHY: Final = "she was brought in unconscious, and nobody of her team is here"
PEOPLE: Final = {"carla": "clinician", "pia": "privacy-officer", "sam": "security-officer"}


class Folder:
    """A data folder with people and a patient."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.patient = ""

    def open(self) -> Installation:
        """Open it as a process does that just started."""
        return Installation.open(Settings(self.place), Passphrase(b"open sesame"))

    async def furnish(self) -> Folder:
        """Let people join, and import a patient."""
        operator = Principal("operator", "tests", TENANT)
        people = [
            {"kind": "User", "name": name, "spec": {"title": name.title(), "roles": [role]}}
            for name, role in PEOPLE.items()
        ]
        async with self.open().write() as writer:
            await writer.documents.apply(operator, people)
            resource = {"resourceType": "Patient", "id": "pt-1", "name": [{"family": "Ames"}]}
            done = await writer.import_patient.import_patient(operator, resource)
            self.patient = done.patient
        return self


async def at_terminal(place: Path, *command: str) -> None:
    """Run a command on a folder, in a thread, since a command has a loop of its own."""
    said = await asyncio.to_thread(Terminal(place).run, *command)
    assert (0, None) == (said.status, said.code)


def room(installation: Installation, writer: Writer) -> PeopleRoom:
    """Return the people's part of a process."""
    return PeopleRoom(installation, writer, "https://seawall.test")


def caller(installation: Installation, name: str) -> Caller:
    """Return a person who just signed in."""
    now = installation.clock.now_ms()
    session = Session("0" * 64, TENANT, name, ("hwk", "mfa", "user"), now, now, now, "net")
    return Caller(Principal("user", name, TENANT), session)


@pytest.fixture
async def folder(tmp_path: Path) -> Folder:
    """Return a furnished data folder."""
    await at_terminal(tmp_path / "data", "init", "--tenant", TENANT)
    return await Folder(tmp_path / "data").furnish()


async def test_an_emergency_outlasts_a_restart_and_is_reviewed(folder: Folder) -> None:
    """What one process began another knows, ends and reviews; the ledger verifies."""
    asked = Asked("pt-1", "patient-unconscious", WHY, "1")
    installation = folder.open()
    async with installation.write() as writer:
        begun = await room(installation, writer).emergency_access.begin(
            caller(installation, "carla"), asked
        )
    again = folder.open()
    async with again.write() as writer:
        people, carla, pia = room(again, writer), caller(again, "carla"), caller(again, "pia")
        opened = writer.access_room.emergencies.patient_of(carla)
        with pytest.raises(Conflict, match="emergency-under-way"):
            await people.emergency_access.begin(carla, asked)
        await people.emergency_access.end(carla, begun.id)
        [told] = await people.emergency_reviews.listed(pia)
        texts = await people.emergency_reviews.texts(pia, begun.id)
        await people.emergency_reviews.review(pia, begun.id, "appropriate", WHY)
        left = people.emergency_history.due(TENANT)
        actions = [
            entry["action"]
            for _, entry in await again.read_ledger.entries(TENANT, 0, 1 << 20)
            if entry["action"].startswith("emergency.")
        ]
    assert (folder.patient, "ended", {"begin": WHY}, []) == (opened, told.state, texts, left)
    assert ["emergency.begin", "emergency.end", "emergency.review"] == actions
    await at_terminal(folder.place, "ledger", "verify")


async def test_emergency_mode_lets_somebody_in_by_paper_and_device(folder: Folder) -> None:
    """Once each, with the session in the database and the use in the tenant's log."""
    installation = folder.open()
    async with installation.write() as writer:
        people = room(installation, writer)
        kit = await people.offline.make(caller(installation, "carla"))
        await people.emergency_mode.begin(caller(installation, "sam"), "disaster", WHY)
        device = pyotp.parse_uri(kit.uri)
        assert isinstance(device, pyotp.TOTP)
        shown = device.at(installation.clock.now_ms() // 1000)
        done = await people.offline.sign_in(Where("net"), "carla", kit.codes[0], shown)
        known = await writer.access_room.sessions.identify(done.session, "net")
        uses: list[Any] = await people.emergency_history.listed(TENANT, person="carla")
        ended = [
            entry["outcome"]
            for _, entry in await installation.read_ledger.entries(SYSTEM_LOG, 0, 1 << 20)
            if entry["action"] == "sign-in.outcome"
        ]
    assert ("carla", ["half", "accepted"]) == (known.principal.name, ended)
    assert [("offline", "disaster")] == [(one.spec.what, one.spec.reason) for one in uses]
