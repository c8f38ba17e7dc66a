"""`seawall keys` at the terminal, on a folder that no server holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from key_operators import TENANT, Place, furnished

if TYPE_CHECKING:
    from terminal import Said


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Return a folder with two patients and three operators."""
    return furnished(tmp_path_factory.mktemp("keys") / "data", "ann", "ben")


def test_keys_are_listed_and_none_is_shown(place: Place) -> None:
    """Versions, what wraps what, how many."""
    said = place.terminal.run("keys", "list", "--json").json()
    assert ("file", [1]) == (said["provider"], [one["version"] for one in said["root"]])
    assert {"data": 2, "index": 0} == {one["use"]: one["data_keys"] for one in said["keys"]}
    assert "under" in place.terminal.run("keys", "list").out


@pytest.mark.parametrize(
    ("operator", "command"),
    [
        ("olga", ("rotate", "root")),
        ("oscar", ("rewrap",)),
        ("otto", ("shred", "--patient", "ann", "--reason", "error", "--yes")),
        ("ona", ("shred", "--resume")),
        ("omar", ("enrol", "eve")),
    ],
)
def test_nothing_changes_keys_without_a_second_factor(
    place: Place, operator: str, command: tuple[str, ...]
) -> None:
    """Nor with a wrong one; the two are told apart, and nothing else is told."""
    before = place.terminal.run("keys", "list", "--json").json()
    without = place.keys(*command, proven=False)
    wrong = place.terminal.run("keys", *command, "--operator", operator, "--code", "000000")
    assert ("step-up-needed", "step-up-failed") == (without.code, wrong.code)
    assert before == place.terminal.run("keys", "list", "--json").json()


def test_a_code_is_asked_for_where_none_is_given(place: Place) -> None:
    """Hidden, and not part of the command."""
    said = place.terminal.run("keys", "rewrap", "--operator", "olga")
    assert said.status != 0
    assert "Code of olga" in said.err


def test_keys_are_rotated(place: Place) -> None:
    """Root, tenant and one patient's data key."""
    root = place.keys("rotate", "root", "--json").json()
    tenant = place.keys("rotate", "tenant", "--json").json()
    options = ("--patient", "ben", "--kind", "patient.identifiers", "--json")
    data = place.keys("rotate", "data", *options).json()
    assert [2, 2, 2] == [root["version"], tenant["version"], data["version"]]
    assert 2 == tenant["rewrapped"]


def test_a_shredding_must_be_confirmed(place: Place) -> None:
    """By the tenant's name; another word changes nothing."""
    said = place.keys("shred", "--patient", "ann", "--reason", "error", proven=False)
    assert said.status != 0
    assert f"Type {TENANT}" in said.err


@pytest.mark.parametrize(
    "options",
    [(), ("--whole-tenant", "--patient", "ann"), ("--resume", "--ledger-id", "a" * 24)],
)
def test_what_is_shredded_is_said_once(place: Place, options: tuple[str, ...]) -> None:
    """Not nothing, and not two things."""
    assert "shredding-unclear" == place.keys("shred", *options, proven=False).code


def shredded(place: Place, patient: str) -> Said:
    """Shred a patient by the client's own reference."""
    return place.keys("shred", "--patient", patient, "--reason", "error", "--yes", "--json")


def test_a_patient_is_shredded_and_the_certificate_written(place: Place) -> None:
    """As JSON that is checked, and as a page; afterwards nobody is called so."""
    (done,) = shredded(place, "ann").json()
    body = place.terminal.run("keys", "check", done["json"], "--json").json()
    assert ("patients", 1) == (body["what"], len(body["patients"]))
    assert "Certificate of destruction" in Path(done["page"]).read_text("utf-8")
    assert "ann" not in json.dumps(body["patients"])
    assert "patient-unknown" == shredded(place, "ann").code
    status = place.terminal.run("keys", "status", "--json").json()
    assert [True] == [one["done"] for one in status["shreddings"]]
    assert "done" in place.terminal.run("keys", "status").out
    again = place.terminal.run("keys", "certificate", str(done["destroyed"]), "--json").json()
    assert body == place.terminal.run("keys", "check", again["json"], "--json").json()


def test_a_changed_certificate_is_noticed(place: Place, tmp_path: Path) -> None:
    """By the folder's own key, and by any other."""
    (done,) = shredded(place, "ben").json()
    changed = tmp_path / "changed.json"
    changed.write_text(Path(done["json"]).read_text("utf-8").replace('"error"', '"other"'), "utf-8")
    assert "certificate-untrusted" == place.terminal.run("keys", "check", str(changed)).code
    assert 0 == place.terminal.run("keys", "check", done["json"]).status
    assert "file-missing" == place.terminal.run("keys", "check", str(tmp_path / "none")).code


def test_nothing_is_left_to_finish(place: Place) -> None:
    """And that is said."""
    assert [] == place.keys("shred", "--resume", "--json").json()
