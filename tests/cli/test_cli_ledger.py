"""`seawall ledger`: verify, list, show, prove, export; and `seawall patient import`."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from seawall.compose import Installation
from seawall.config import Passphrase, Settings
from seawall.core.ledger.encoding import encode
from seawall.core.ledger.proofs import verify_proof

if TYPE_CHECKING:
    from pathlib import Path

    from terminal import Terminal

LOGS = [(), ("--system",)]


@pytest.fixture(scope="module", autouse=True)
def imported(terminal: Terminal, shipped: Path) -> list[dict[str, object]]:
    """Import two patients, so that the log has something to show."""
    bundles = [str(shipped / "patients" / f"{key}.json") for key in ("koepp", "toy")]
    found: list[dict[str, object]] = terminal.run("patient", "import", *bundles, "--json").json()
    return found


def test_import_tells_ledger_ids_and_entries(imported: list[dict[str, object]]) -> None:
    """Each imported file is told with the patient's random ledger id and the entry."""
    assert ["koepp.json", "toy.json"] == [one["file"] for one in imported]
    assert [24, 24] == [len(str(one["patient"])) for one in imported]


def test_import_prints_no_identifier(terminal: Terminal, shipped: Path) -> None:
    """The table names files and ledger ids, and nobody."""
    said = terminal.run("patient", "import", str(shipped / "patients" / "koepp.json"))

    assert "koepp.json" in said.out
    assert ("Koepp" in said.out + said.err, "018f428e" in said.out) == (False, False)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"Koepp"', b"\xff"])
def test_file_that_is_no_resource_is_told(
    content: bytes, terminal: Terminal, tmp_path: Path
) -> None:
    """A file that is not a JSON object is told by its name, and nothing is imported."""
    file = tmp_path / "bad.json"
    file.write_bytes(content)
    before = terminal.run("ledger", "verify", "--json").json()["size"]

    said = terminal.run("patient", "import", str(file))

    assert "resource-unreadable" == said.code
    assert before == terminal.run("ledger", "verify", "--json").json()["size"]


def test_verify_tells_origin_size_and_root(terminal: Terminal) -> None:
    """Verifying recomputes the log; people and programs are told the same."""
    found = terminal.run("ledger", "verify", "--json").json()
    text = terminal.run("ledger", "verify").out

    assert {"origin", "size", "minimum", "root", "verified"} == set(found)
    assert (True, True) == (found["root"] in text, f"{found['size']} entries" in text)


def test_verifying_the_systems_log_adds_the_entry_of_the_reading(terminal: Terminal) -> None:
    """Reading the system's log is an entry of that log, so it grows by one each time."""
    sizes = [terminal.run("ledger", "verify", "--system", "--json").json()["size"] for _ in "ab"]

    assert sizes[0] + 1 == sizes[1]


def test_list_shows_the_last_entries(terminal: Terminal) -> None:
    """`list --last N` shows the last N entries, newest at the end."""
    size = terminal.run("ledger", "verify", "--json").json()["size"]
    listed = terminal.run("ledger", "list", "--last", "2", "--json").json()

    assert [size - 2, size - 1] == [entry["entry"] for entry in listed]
    assert "patient.import" in terminal.run("ledger", "list").out


def test_show_prints_one_entry(terminal: Terminal) -> None:
    """`show` prints the entry as it was recorded."""
    shown = terminal.run("ledger", "show", "0").json()

    assert ("document.apply", "Client/operator@1") == (shown["action"], shown["document"])


@pytest.mark.parametrize("command", ["show", "prove"])
def test_entry_that_is_not_there_is_told(command: str, terminal: Terminal) -> None:
    """An index beyond the log is told."""
    assert "entry-unknown" == terminal.run("ledger", command, "99999").code


def test_proof_verifies_under_the_logs_key(terminal: Terminal) -> None:
    """What `prove` prints is a C2SP tlog-proof that verifies for the shown entry."""
    entry = encode(terminal.run("ledger", "show", "1").json())
    unlocked = Installation.open(Settings(terminal.folder), Passphrase(b"open sesame"))
    head = asyncio.run(unlocked.store.head("hillside"))

    checkpoint = verify_proof(terminal.run("ledger", "prove", "1").out, entry, head.vkey)

    assert (head.origin, head.size, head.root) == (
        checkpoint.origin,
        checkpoint.size,
        checkpoint.root,
    )


@pytest.mark.parametrize("log", LOGS)
def test_export_is_accepted_by_the_stand_alone_verifier(
    log: tuple[str, ...], terminal: Terminal, tmp_path: Path
) -> None:
    """The exported folder is accepted by the verifier, in a process that has no key."""
    folder = tmp_path / "export"

    said = terminal.run("ledger", "export", str(folder), *log)
    command = [sys.executable, "-m", "seawall.verifier", str(folder)]
    verified = subprocess.run(command, capture_output=True, check=False)  # noqa: S603  as made here

    assert (0, 0) == (said.status, verified.returncode)
    assert "seawall-verify" in said.err
    assert {"checkpoint", "vkey"} <= {path.name for path in folder.iterdir()}


def test_export_needs_an_empty_folder(terminal: Terminal, tmp_path: Path) -> None:
    """Nothing is exported over what is there."""
    (tmp_path / "mine").write_text("mine", encoding="ascii")

    assert "folder-not-empty" == terminal.run("ledger", "export", str(tmp_path)).code
    assert ["mine"] == [path.name for path in tmp_path.iterdir()]


def test_export_that_cannot_be_written_is_told(terminal: Terminal, tmp_path: Path) -> None:
    """A place that cannot be written to is told."""
    (tmp_path / "file").write_text("a file", encoding="ascii")

    assert "export-unwritable" == terminal.run("ledger", "export", str(tmp_path / "file/x")).code


def test_every_listed_entry_is_json_without_an_identifier(terminal: Terminal) -> None:
    """Entries hold random ids and digests, and nobody's name or number."""
    text = json.dumps(terminal.run("ledger", "list", "--last", "1000", "--json").json())

    words = ("Koepp", "Abdul", "e925b0f3", "Lockman", "Toy", "555-978-4581", "018f428e")
    assert [] == [word for word in words if word in text]
