"""`seawall review`: what an access review asked, and what came of it; and a person's history."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from seawall.app.access_reviews import AccessReviews
from seawall.app.review_evidence import ReviewEvidence
from seawall.cli import review
from seawall.compose import Installation
from seawall.config import Passphrase, Settings
from seawall.core.errors import Missing
from terminal import Terminal
from workforce_scene import BEN, CLEO, CLINIC, TERMINAL, answering, running, user

if TYPE_CHECKING:
    from typer.testing import Result


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """Return a terminal on a folder with one review, of which one of two grants is revoked."""
    made = Terminal(tmp_path_factory.mktemp("reviewed") / "data")
    assert 0 == made.run("init", "--tenant", CLINIC).status
    asyncio.run(_review(made))
    return made


async def _review(terminal: Terminal) -> None:
    """Let three people join, begin a review of a role, and revoke one grant."""
    passphrase = Passphrase(b"open sesame")
    installation = Installation.open(Settings(terminal.folder), passphrase)
    async with installation.write() as writer:
        people = [user(BEN, "privacy-officer"), user(CLEO, "clinician"), user("dan", "clinician")]
        await writer.documents.apply(TERMINAL, people)
        parts: dict[str, Any] = {"store": installation.store, "clock": installation.clock}
        reviews = AccessReviews(
            **parts,
            documents=writer.documents,
            evidence=ReviewEvidence(**parts, indexing=writer.indexing),
            ledger=writer.ledger,
            keys=writer.keys,
            notifier=writer.notifier,
        )
        due = (installation.clock.today() + timedelta(days=7)).isoformat()
        await reviews.begin(running(), "q1", {"scope": "role", "role": "clinician", "due": due})
        await reviews.answer(answering(BEN), "q1.0001", "revoked", "moved away")
    installation.engine.dispose()


def run(terminal: Terminal, *command: str) -> Result:
    """Run a command of `seawall review`."""
    environment = {"SEAWALL_DATA_DIR": str(terminal.folder), "SEAWALL_PASSPHRASE": "open sesame"}
    return CliRunner().invoke(review.commands, list(command), env=environment)


def test_reviews_are_listed(reviewed: Terminal) -> None:
    """A list says until when, and how many grants wait and were taken away."""
    said = run(reviewed, "list").stdout.splitlines()[-1].split()

    assert ["q1", "open", "2", "1", "1", "0"] == [said[0], said[1], *said[-4:]]


def test_a_review_is_shown_to_be_read(reviewed: Terminal) -> None:
    """A review is shown by reviewer, each grant with the ledger's word and the answer."""
    said = run(reviewed, "show", "q1").stdout

    assert said.startswith("Access review q1: open\n  of       who holds clinician\n")
    assert "  q1.0001\n    person cleo has role/clinician\n    never acted in 90 days\n" in said
    assert "    taken away by the reviewer on " in said


def test_a_review_is_json_too(reviewed: Terminal) -> None:
    """A program reads the same."""
    said = json.loads(run(reviewed, "show", "q1", "--json").stdout)
    listed = json.loads(run(reviewed, "list", "--json").stdout)

    assert (["revoked", "open"], [said]) == ([one["answer"] for one in said["grants"]], listed)


def test_a_review_that_is_not_there_is_missing(reviewed: Terminal) -> None:
    """A name that no review has is told so."""
    error = run(reviewed, "show", "q2").exception

    assert isinstance(error, Missing)
    assert "review-unknown" == error.code


def test_a_persons_history_has_every_version(reviewed: Terminal) -> None:
    """The history of a person shows what a review took away, beside how they joined."""
    said = reviewed.run("history", "User", CLEO, "--json").json()

    assert [(f"User/{CLEO}@1", "operator terminal"), (f"User/{CLEO}@2", f"user {BEN}")] == [
        (one["document"], one["by"]) for one in said
    ]
