"""Packages by whoever wants the program to hang, to crash, to run something, or to say too much."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from seawall.core.audit.lines import json_line
from seawall.core.ledger.encoding import encode
from verifier.logs import ORIGIN, Log
from verifier.packages import (
    EVENTS,
    OTHER,
    PATIENT,
    access_log,
    audit,
    pack,
    put,
    refusal,
    seal,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = Ed25519PrivateKey.from_private_bytes(bytes([8]) * 32)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """Return a log of 9 entries."""
    return access_log(tmp_path / "log", KEY, 9)


@pytest.fixture
def folder(log: Log, tmp_path: Path) -> Path:
    """Return a sound package of three entries."""
    return pack(tmp_path / "package", log, [2, 3, 8])


# --- files --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["verifier/__pycache__/folder.cpython-311.pyc", "x/stamp.pyc"])
def test_compiled_code_is_refused(name: str, folder: Path) -> None:
    """It would run in place of what can be read, also where the manifest names it."""
    put(folder, name, b"anything")

    assert "is compiled code" in refusal(folder)
    assert "is compiled code" in refusal(seal(folder))


def test_the_program_leaves_no_compiled_code(folder: Path) -> None:
    """Verified twice, the package is the same."""
    before = sorted(folder.rglob("*"))

    assert [0, 0] == [audit(folder)[0], audit(folder)[0]]
    assert before == sorted(folder.rglob("*"))


@pytest.mark.parametrize(("name", "step"), [("vkey", 1), ("manifest.json", 2), ("checkpoint", 2)])
@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
def test_what_is_no_regular_file_is_refused(
    kind: str, name: str, step: int, folder: Path, tmp_path: Path
) -> None:
    """A pipe keeps nobody waiting, and a link leads nowhere."""
    content = (folder / name).read_bytes()
    (folder / name).unlink()
    if kind == "pipe":
        os.mkfifo(folder / name)
    elif kind == "link":
        put(tmp_path, "elsewhere", content)
        (folder / name).symlink_to(tmp_path / "elsewhere")
    else:
        (folder / name).mkdir()

    assert f"  {step}  " == refusal(folder)[:5]


def test_a_link_among_folders_is_refused(folder: Path, tmp_path: Path) -> None:
    """What it leads to is no part of the package."""
    (folder / "proofs").rename(tmp_path / "proofs")
    (folder / "proofs").symlink_to(tmp_path / "proofs")

    assert "proofs is not a regular file or folder" in refusal(folder)


def test_a_link_to_a_folder_that_the_manifest_omits_is_refused(
    folder: Path, tmp_path: Path
) -> None:
    """No file lies below it as the walk sees it, so that no name of a file would tell."""
    (folder / "more").symlink_to(tmp_path / "log")

    assert "more is not a regular file or folder" in refusal(folder)


def test_names_of_files_cannot_draw_on_a_terminal(folder: Path) -> None:
    """Escapes are spelled out, long names are cut, and what is no UTF-8 ends nothing."""
    for name in (b"evil\x1b[2JVERIFIED.", b"\xff\xfe", b"n" * 250):
        put(folder, os.fsdecode(name), b"")
        said = refusal(folder)
        (folder / os.fsdecode(name)).unlink()
        assert re.fullmatch("[ -~]{,200}", said)
        assert said.endswith("is not in the manifest")


def test_a_manifest_of_parts_without_end_is_refused_unread(folder: Path) -> None:
    """It would take a hundred times its own size of memory."""
    put(folder, "manifest.json", b"[" + b"[]," * 100_000 + b"[]]")

    assert "has more parts than files that it could name" in refusal(folder)


def test_a_manifest_beyond_its_limit_is_refused_unread(folder: Path) -> None:
    """Whoever makes packages keeps it shorter."""
    with (folder / "manifest.json").open("ab") as out:
        out.truncate((64 << 20) + 1)

    assert "manifest.json is too long" in refusal(folder)


# --- lines --------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry",
    [
        b'{"a":"\\ud800"}',
        b'{"a":' + b"[" * 985 + b"]" * 985 + b"}",
        b'{"a":1e999}',
        b'{"a":NaN}',
        b'{"a":' + b"9" * 5_000 + b"}",
        b"\xff",
        b'{"a":1,"a":1}',
    ],
    ids=["surrogate", "deep", "infinite", "nan", "long", "bytes", "twice"],
)
def test_a_strange_entry_is_refused_in_a_sentence(entry: bytes, folder: Path) -> None:
    """Whatever JSON can say."""
    put(folder, "entries.jsonl", json_line(ORIGIN, 2, entry))

    assert "  3  entries      REFUSED" in refusal(seal(folder))


@pytest.mark.parametrize("name", ["index", "leaf", "log"])
@pytest.mark.parametrize("value", ["1e999", '"\\ud800"', "[]", "null", "2"])
def test_a_strange_place_of_an_event_is_refused(name: str, value: str, folder: Path) -> None:
    """A place is three texts, spelled in one way."""
    path = folder / EVENTS
    pattern = rf'("type":"{name}","valueString":)"[^"]*"'
    changed = re.sub(pattern, lambda found: found[1] + value, path.read_text("utf-8"), count=1)
    path.write_text(changed, "utf-8")

    assert "  6  audit events REFUSED" in refusal(seal(folder))


# --- audit events -------------------------------------------------------------


def _patient_of(event: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = event["entity"][0]["what"]["identifier"]
    return found


@pytest.mark.parametrize(
    ("lie", "what"),
    [
        (lambda event: event.update(recorded="1999-01-01T00:00:00Z"), "another time"),
        (lambda event: _patient_of(event).update(value="c" * 24), "another patient"),
        (lambda event: _patient_of(event).update(value=OTHER), "another patient"),
        (lambda event: event["subtype"][-1].update(code="token.issue"), "another action"),
        (lambda event: event["subtype"].clear(), "another action"),
        (lambda event: event.update(entity=event["entity"][-1:]), "another patient"),
    ],
)
def test_an_event_that_lies_about_its_entry_is_refused(
    lie: Callable[[dict[str, Any]], object], what: str, folder: Path
) -> None:
    """When, what and whom it says follow from the entry that was signed."""
    events = [json.loads(line) for line in (folder / EVENTS).read_bytes().splitlines()]
    lie(events[0])
    put(folder, EVENTS, b"".join(json.dumps(one).encode() + b"\n" for one in events))

    assert f"{EVENTS} " in (said := refusal(seal(folder)))
    assert what in said


@pytest.mark.parametrize("change", ["less", "twice", "turned"])
def test_an_event_for_each_patient_in_order(change: str, folder: Path) -> None:
    """None is left out and none is told twice, though the count be made to fit."""
    rows = (folder / EVENTS).read_bytes().splitlines(keepends=True)
    made = {"less": rows[1:], "twice": [*rows, rows[-1]], "turned": rows[::-1]}[change]
    put(folder, EVENTS, b"".join(made))

    assert "  6  audit events REFUSED" in refusal(seal(folder))


def test_what_was_not_compared_is_said(folder: Path) -> None:
    """Who did it, for example, is in the entry alone."""
    assert "what else they say was NOT compared" in audit(folder)[1]


@pytest.mark.parametrize(
    "entry",
    [
        {"action": "token.issue", "actor": {"kind": "client", "name": "a"}},
        {"action": "Strange Action", "at": "yesterday"},
        {"action": "ledger.read", "query": {"patient": PATIENT}, "at": "2026-01-01T00:00:00.5Z"},
        {"action": "x.y", "patients": [PATIENT, PATIENT, "?", 5], "at": "2026-01-01"},
        {"patients": "nobody"},
    ],
)
def test_events_of_every_kind_of_entry_are_accepted(entry: dict[str, Any], tmp_path: Path) -> None:
    """What the server makes of an entry, the program agrees with."""
    log = Log(tmp_path / "log", [encode(entry)], KEY).write(1)

    status, said = audit(pack(tmp_path / "package", log, [0]))

    assert (0, True) == (status, "1 events have place" in said), said
