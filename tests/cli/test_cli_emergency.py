"""`seawall emergency` on a folder: what there was, what was done, what is left to review."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from typer.testing import CliRunner

from seawall.app.documents import Change
from seawall.app.entries import entry
from seawall.cli import emergency
from seawall.compose import Installation
from seawall.config import Passphrase, Settings
from seawall.core.access.emergency import ACCESS_MS, WARNING
from seawall.core.policy.principal import Principal
from seawall.core.registers.emergency import EmergencySpec
from terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

TENANT: Final = "hillside"
PATIENT: Final = "a" * 24
DIGEST: Final = "sha256:" + "0" * 64
HOUR_MS: Final = 3_600_000
CARLA: Final = Principal("user", "carla", TENANT)


def access(began_ms: int) -> EmergencySpec:
    """Return an emergency access of Carla's that began then."""
    return EmergencySpec.model_validate(
        {
            "what": "access",
            "person": "carla",
            "patient": PATIENT,
            "reason": "disaster",
            "told": DIGEST,
            "warning": WARNING,
            "began_ms": began_ms,
            "until_ms": began_ms + ACCESS_MS,
        }
    )


async def furnish(folder: Path) -> None:
    """Keep accesses under way, long over and reviewed, an offline sign-in, and three acts."""
    installation = Installation.open(Settings(folder), Passphrase(b"open sesame"))
    async with installation.write() as writer:
        now = installation.clock.now_ms()
        old = now - 100 * HOUR_MS
        reviewed = {"by": "pia", "at_ms": old + 2 * HOUR_MS, "told": DIGEST, "finding": "unclear"}
        for name, spec in (("access-1", access(now)), ("access-2", access(old))):
            await writer.documents.keep(CARLA, [Change("Emergency", name, spec)])
        before = access(old)
        after = before.model_validate({**before.model_dump(), "review": reviewed})
        for spec in (before, after):
            await writer.documents.keep(CARLA, [Change("Emergency", "access-3", spec)])
        offline = {"what": "offline", "patient": None, "told": None, "warning": None}
        used = {**access(old).model_dump(), **offline, "until_ms": old, "review": reviewed}
        spec = EmergencySpec.model_validate(used)
        await writer.documents.keep(CARLA, [Change("Emergency", "offline-1", spec)])
        for action in ("phi.open", "phi.open", "exchange.intent"):
            said = entry(action, CARLA, installation.clock, patients=[PATIENT])
            await writer.ledger.append(TENANT, said)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with emergencies."""
    place = tmp_path_factory.mktemp("emergency") / "data"
    assert 0 == Terminal(place).run("init", "--tenant", TENANT).status
    asyncio.run(furnish(place))
    return place


def run(folder: Path, *command: str) -> str:
    """Run a command; return what it printed."""
    given = {"SEAWALL_DATA_DIR": str(folder), "SEAWALL_PASSPHRASE": "open sesame"}
    result = CliRunner().invoke(emergency.commands, list(command), env=given)
    assert 0 == result.exit_code, result.output
    return result.stdout


def test_a_list_tells_what_was_done(folder: Path) -> None:
    """By action, the newest first, with where each stands."""
    told: list[dict[str, Any]] = json.loads(run(folder, "list", "--json"))
    states = {one["id"]: one["state"] for one in told}
    assert {
        "access-1": "begun",
        "access-2": "review-overdue",
        "access-3": "reviewed",
        "offline-1": "reviewed",
    } == states
    assert ("access-1", {"exchange.intent": 1, "phi.open": 2}) == (told[0]["id"], told[0]["did"])


def test_a_list_is_laid_out_to_be_read(folder: Path) -> None:
    """A block for each: who, whom, when, what was done, and what is to be done."""
    lines = run(folder, "list").splitlines()
    first = lines.index("access-1  one patient's record  under way")
    assert f"  patient {PATIENT}" == lines[first + 2]
    assert "  done    exchange.intent 1, phi.open 2" == lines[first + 4]
    assert "access-3  one patient's record  reviewed: unclear" in lines
    offline = lines.index("offline-1  sign-in with an offline factor  reviewed: unclear")
    assert lines[offline + 2].startswith("  when    20")


def test_a_list_can_leave_out_what_was_reviewed(folder: Path) -> None:
    """What is left needs somebody."""
    told = json.loads(run(folder, "list", "--open", "--json"))
    assert {"access-1", "access-2"} == {one["id"] for one in told}


def test_a_list_is_a_reading_of_the_ledger(folder: Path) -> None:
    """Recorded before it is shown."""

    def readings() -> int:
        """Return how many readings the system's log has."""
        asked = ("ledger", "list", "--system", "--action", "ledger.read", "--json")
        said: list[Any] = Terminal(folder).run(*asked).json()
        return len(said)

    before = readings()
    run(folder, "list")
    assert before + 2 == readings()


def test_reviews_that_are_due_are_told(folder: Path) -> None:
    """With the paragraph that asks for them, and whether they are late."""
    [due] = json.loads(run(folder, "review-due", "--json"))
    assert ("access-2", True, "privacy-officer") == (due["about"], due["overdue"], due["whose"])
    assert "45 CFR 164.308(a)(1)(ii)(D)" == due["citation"]
    assert "OVERDUE" in run(folder, "review-due")


def test_a_folder_without_emergencies_says_so(terminal: Terminal) -> None:
    """Nothing to list, nothing to do."""
    shown = [run(terminal.folder, command) for command in ("list", "review-due")]
    assert all("(none)" in one for one in shown)
