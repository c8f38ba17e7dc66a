"""`seawall access explain` and `seawall access matrix`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from seawall.cli.access import commands
from seawall.core.access.vocabulary import Action
from seawall.core.errors import Error

if TYPE_CHECKING:
    from terminal import Terminal

GOLDEN = Path(__file__).parent.parent / "vectors" / "access-matrix.txt"
USER = """\
kind: User
name: ann
spec: {title: Ann, roles: [auditor]}
---
kind: Policy
name: no-exports
spec:
  title: nothing leaves
  reason: until the new year
  forbid: |
    @id("never")
    forbid (principal, action == Action::"export-ledger", resource);
"""


@pytest.fixture(scope="module")
def folder(terminal: Terminal, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with a person and a prohibition."""
    file = tmp_path_factory.mktemp("access") / "documents.yaml"
    file.write_text(USER, encoding="utf-8")
    assert (0, None) == ((said := terminal.run("apply", "-f", str(file))).status, said.code)
    return terminal.folder


def run(*typed: str, folder: Path | None = None) -> tuple[str, Error | None]:
    """Run a command of the group; return what it printed, and the error that it ended in."""
    where = () if folder is None else ("--data-dir", str(folder))
    said = CliRunner().invoke(commands, [*typed, *where], env={"SEAWALL_PASSPHRASE": "open sesame"})
    error = said.exception
    return said.stdout, error if isinstance(error, Error) else None


def test_the_matrix_is_printed_as_it_was_agreed() -> None:
    """The terminal shows the very table that is kept for review."""
    assert (GOLDEN.read_text("utf-8"), None) == run("matrix")


def test_the_matrix_as_json_has_every_action() -> None:
    """Programs get one object for each action."""
    printed, _ = run("matrix", "--json")
    assert [action.value for action in Action] == [row["action"] for row in json.loads(printed)]


def test_an_allowed_act_is_told_with_its_policy(folder: Path) -> None:
    """Who may read the ledger is told so, by which policy and paragraph."""
    printed, _ = run("explain", "user/ann", "read-ledger", "Log/*", folder=folder)

    assert [
        "allowed: user/ann read-ledger Log/*",
        "",
        (
            "by auditor.reads: an auditor reads and exports the ledgers, and reads the registers "
            "(45 CFR 164.312(b))"
        ),
    ] == printed.splitlines()


def test_a_refused_act_is_told_with_what_would_change_it(folder: Path) -> None:
    """Who may not is told what would have it allowed: here a role."""
    typed = ("explain", "user/ann", "view-patient", "Patient/*", "--purpose", "treatment")
    printed, _ = run(*typed, folder=folder)

    assert [
        "refused [access-refused]: user/ann view-patient Patient/* for treatment",
        "",
        "by no policy: nothing permits it",
        "",
        "it would be allowed with",
        "  the role clinician",
    ] == printed.splitlines()


def test_a_tenants_prohibition_is_told_with_its_reason(folder: Path) -> None:
    """What the tenant forbids is told by its document, and nothing gets around it."""
    printed, _ = run("explain", "user/ann", "export-ledger", "Log/*", folder=folder)

    assert "by tenant.no-exports.never: nothing leaves: until the new year" in printed
    assert printed.endswith("nothing that was tried would change it\n")


def test_flags_are_what_is_supplied(folder: Path) -> None:
    """As if a factor had been shown and a reason given, an officer may begin emergency mode."""
    typed = ("explain", "role/security-officer", "emergency-mode", "Installation/*", "--json")
    bare, _ = run(*typed, folder=folder)
    supplied, _ = run(*typed, "--fresh-factor", "--reason", folder=folder)

    assert ("reason-needed", [["a reason", "a fresh factor"]]) == (
        json.loads(bare)["code"],
        json.loads(bare)["would_allow"],
    )
    assert (True, []) == (json.loads(supplied)["allowed"], json.loads(supplied)["would_allow"])


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        (("somebody", "read-ledger", "Log/*"), "principal-unreadable"),
        (("user/nobody", "read-ledger", "Log/*"), "principal-unknown"),
        (("user/ann", "fly", "Log/*"), "action-unknown"),
        (("user/ann", "read-ledger", "Sky/*"), "resource-unreadable"),
        (("user/ann", "read-ledger", "Log/*", "--purpose", "fun"), "purpose-unknown"),
        (("user/ann", "read-ledger", "Log/*", "--tenant", "elsewhere"), "tenant-unclear"),
    ],
)
def test_what_is_typed_wrongly_is_an_error(folder: Path, typed: tuple[str, ...], code: str) -> None:
    """Each wrong part ends in an error with a code and a help."""
    printed, error = run("explain", *typed, folder=folder)

    assert error is not None
    assert ("", code, True) == (printed, error.code, bool(error.help))
