"""`seawall demo --once --json`: five exchanges as described, in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from seawall.demo.exchanges import script
from seawall.demo.stage import sample_patients

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM: Final = "from seawall.cli import main; main()"

Demo = dict[str, Any]

EXPECTED: Final = [
    ("visit-summary", "sandbox", "answered", None),
    ("appointment-reminders", "sandbox", "answered", None),
    ("appointment-reminders", "sandbox", "answered", None),
    ("appointment-reminders", "consumer-chat", "refused", "no-agreement"),
    ("appointment-reminders", "sandbox", "refused", "minimum-necessary"),
]


def run_demo(folder: Path, *options: str) -> subprocess.CompletedProcess[bytes]:
    """Run the demo on a folder until it ends."""
    command = ["demo", "--once", "--port", "0", "--data-dir", str(folder), *options]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SEAWALL_")}
    return subprocess.run(  # noqa: S603  the interpreter that runs the tests
        [sys.executable, "-c", PROGRAM, *command], capture_output=True, check=False, env=clean
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the demo, which the first run makes."""
    return tmp_path_factory.mktemp("demo") / "data"


@pytest.fixture(scope="module")
def said(folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Run the demo once, in an empty place."""
    return run_demo(folder, "--json")


@pytest.fixture(scope="module")
def shown(said: subprocess.CompletedProcess[bytes]) -> Demo:
    """Return the JSON object that the demo prints."""
    assert (0, b"") == (said.returncode, said.stderr if said.returncode else b"")
    parsed: Demo = json.loads(said.stdout)
    return parsed


def test_output_is_one_json_object_with_exactly_these_keys(shown: Demo, folder: Path) -> None:
    """The output is one object of exchanges, ledger and data_dir, with no other keys."""
    keys = {"use_case", "endpoint", "outcome", "code", "sent_to_model", "answer", "entry"}

    assert {"exchanges", "ledger", "data_dir"} == set(shown)
    assert [keys] * 5 == [set(exchange) for exchange in shown["exchanges"]]
    assert {"origin", "size", "root", "verified"} == set(shown["ledger"])
    assert str(folder) == shown["data_dir"]


def test_five_exchanges_end_as_described(shown: Demo) -> None:
    """Three exchanges are answered, one has no agreement, one asks for clinical text."""
    ended = [(e["use_case"], e["endpoint"], e["outcome"], e["code"]) for e in shown["exchanges"]]

    assert EXPECTED == ended


def test_visit_summary_sends_no_identifier(shown: Demo) -> None:
    """What the model saw of the note holds no identifier of the patient, in no format."""
    koepp = sample_patients()["koepp"]
    sent = shown["exchanges"][0]["sent_to_model"]
    seen = sent.lower()
    forms = (
        "koepp abdul maribel e925b0f3 999-22-1962 555-978-4581 5559784581 978-4581 lockman "
        "peabody 01940 1956 08/03 3/8/56 abdul.koepp@example.org"
    )

    assert [] == [form for form in forms.split() if form in seen]
    assert [] == [i["value"] for i in koepp.patient()["identifier"] if i["value"] in sent]
    assert "knee" in seen


def test_visit_summary_is_restored(shown: Demo) -> None:
    """The summary that comes back holds name and dates, and no placeholder."""
    answer = shown["exchanges"][0]["answer"]

    assert ("Koepp" in answer, "2026" in answer) == (True, True)
    assert not re.search(r"\[[A-Z]+-\d", answer)


def test_reminder_sees_names_phones_and_dates_alone(shown: Demo) -> None:
    """The reminder's model sees name, phone and date, and neither record number nor address."""
    sent = json.loads(shown["exchanges"][1]["sent_to_model"])["messages"][-1]["content"]

    assert [True] * 3 == [part in sent for part in ("Andy Schaden", "555-759-5889", "2026")]
    assert [False] * 3 == [part in sent for part in ("d630c6ca", "812 Mills Brook", "Reading")]
    assert "Schaden" in shown["exchanges"][1]["answer"]


def test_tool_call_is_restored(shown: Demo) -> None:
    """The tool call that comes back books for the patient by name and record number."""
    (call,) = json.loads(shown["exchanges"][2]["answer"])

    assert "book_slot" == call["name"]
    assert "Abdul" in call["arguments"]["patient_name"]
    assert "e925b0f3-8006-43f6-aa31-94bd215e55e7" == call["arguments"]["mrn"]
    assert "e925b0f3" not in shown["exchanges"][2]["sent_to_model"]


def test_refused_exchanges_sent_nothing_and_are_entries(shown: Demo) -> None:
    """Of a refused exchange the model saw nothing; the ledger has it all the same."""
    refused = shown["exchanges"][3:]

    assert [(None, None)] * 2 == [(e["sent_to_model"], e["answer"]) for e in refused]
    assert 5 == len({e["entry"] for e in shown["exchanges"]})


def test_ledger_is_verified(shown: Demo) -> None:
    """The stand-alone verifier accepted the export, whose root and size are shown."""
    ledger = shown["ledger"]

    assert ledger["verified"] is True
    assert re.fullmatch(r"localhost/log/[0-9a-f]{16}", ledger["origin"])
    assert re.fullmatch(r"[0-9a-f]{64}", ledger["root"])
    assert max(e["entry"] for e in shown["exchanges"]) < ledger["size"]


def test_second_run_goes_on_with_the_folder(shown: Demo, folder: Path) -> None:
    """A second run on the same folder does the same again and its ledger has grown."""
    again = json.loads(run_demo(folder, "--json").stdout)
    ended = [(e["use_case"], e["endpoint"], e["outcome"], e["code"]) for e in again["exchanges"]]

    assert EXPECTED == ended
    assert shown["ledger"]["origin"] == again["ledger"]["origin"]
    assert shown["ledger"]["size"] < again["ledger"]["size"]


def test_people_see_the_exchanges_side_by_side(shown: Demo, folder: Path) -> None:
    """Without --json each exchange is shown as sent, as seen and as it came back."""
    ran = run_demo(folder)
    text = ran.stdout.decode()

    assert (0, 5) == (ran.returncode, text.count("what the model saw"))
    assert 2 == text.count("nothing:")
    assert str(folder) == shown["data_dir"]


def test_script_is_the_five_exchanges() -> None:
    """The script asks about sample patients, one of them streamed and one with a tool."""
    asked = list(script(sample_patients()))

    assert [case[:2] for case in EXPECTED] == [(a.use_case, a.endpoint) for a in asked]
    assert ([1], [2]) == (
        [i for i, a in enumerate(asked) if a.is_stream],
        [i for i, a in enumerate(asked) if a.with_tool],
    )
