"""`seawall keys` at the terminal, on a folder that no server holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from key_operators import TENANT, Place, enrolled, furnished
from terminal import Terminal

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


def test_a_whole_tenant_has_no_damaged_keys_to_drop(place: Place) -> None:
    """The option reaches the order, which refuses it there; elsewhere it does no harm."""
    damaged = ("--drop-damaged", "--json")
    assert {"rewrapped": 0} == place.keys("rewrap", *damaged).json()
    shred = ("shred", "--whole-tenant", "--reason", "error", "--yes", *damaged)
    assert "order-invalid" == place.keys(*shred).code


@pytest.mark.parametrize(
    "command",
    [
        ("rotate", "root"),
        ("rewrap",),
        ("shred", "--patient", "ann", "--reason", "error", "--yes"),
        ("shred", "--resume"),
        ("enrol", "eve"),
    ],
)
def test_nothing_changes_keys_without_a_second_factor(
    place: Place, command: tuple[str, ...]
) -> None:
    """Whatever is ordered."""
    before = place.terminal.run("keys", "list", "--json").json()
    assert "step-up-needed" == place.keys(*command, proven=False).code
    assert before == place.terminal.run("keys", "list", "--json").json()


@pytest.mark.parametrize(
    ("operator", "command"), [("oscar", ("rotate", "root")), ("nobody", ("enrol", "eve"))]
)
def test_nothing_changes_keys_with_a_wrong_one(
    place: Place, operator: str, command: tuple[str, ...]
) -> None:
    """Nor is it told whether there is such an operator."""
    before = place.terminal.run("keys", "list", "--json").json()
    wrong = place.terminal.run("keys", *command, "--operator", operator, "--code", "000000")
    assert "step-up-failed" == wrong.code
    assert before == place.terminal.run("keys", "list", "--json").json()


def test_a_lost_device_is_replaced_at_the_terminal(place: Place) -> None:
    """By another operator; the old one shows nobody any more, and the alarm says that it was.

    The operator is a new one, whose phones need not wait for a code that was not shown yet.
    """
    lost = enrolled("eva", place.keys("enrol", "eva", "--json"))
    said = place.keys("enrol", "eva", "--json")
    assert "operator-enrolled" in said.err
    found = enrolled("eva", said)
    rewrap = ("keys", "rewrap", *lost.options())
    assert "step-up-failed" == place.terminal.run(*rewrap).code
    assert 0 == place.terminal.run("keys", "rewrap", *found.options()).status
    place.phones.append(found)


def test_the_systems_operators_come_before_any_tenants(place: Place) -> None:
    """Else whoever has a terminal could get round those who are enrolled."""
    assert "system-operator-late" == place.keys("enrol", "sam", "--system", proven=False).code


def test_an_operator_of_the_system_acts_for_a_tenant_at_the_terminal(tmp_path: Path) -> None:
    """Also for one that has no operator of its own."""
    terminal = Terminal(tmp_path / "data")
    assert 0 == terminal.run("init", "--tenant", TENANT).status
    sam = enrolled("system.sam", terminal.run("keys", "enrol", "sam", "--system", "--json"))
    assert 2 == terminal.run("keys", "rotate", "root", *sam.options(), "--json").json()["version"]


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
