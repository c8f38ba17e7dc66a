"""`seawall ledger events`, `produce` and `send`: what audit tools and auditors get."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from fhir.resources.R4B.auditevent import AuditEvent

from clinic import PATIENCE
from seawall.adapters.certificates import ServerCertificate, ensure_certificate
from seawall.adapters.clock import SystemClock
from seawall.cli.ledger.sending import read_address
from seawall.core.audit.balp import violations
from seawall.core.errors import Invalid
from syslog_server import SyslogServer, syslog_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from terminal import Terminal


@pytest.fixture(scope="module", autouse=True)
def imported(terminal: Terminal, shipped: Path) -> list[dict[str, Any]]:
    """Import two patients, so that the log has something to hand out."""
    bundles = [str(shipped / "patients" / f"{key}.json") for key in ("koepp", "toy")]
    found: list[dict[str, Any]] = terminal.run("patient", "import", *bundles, "--json").json()
    return found


def readings(terminal: Terminal, what: str) -> list[dict[str, Any]]:
    """Return the entries of the system's log about readings of a kind."""
    found = terminal.run(
        "ledger", "list", "--system", "--action", "ledger.read", "--last", "1000", "--json"
    )
    return [entry for entry in found.json() if entry["what"] == what]


def objects(text: str) -> list[dict[str, Any]]:
    """Read lines of JSON."""
    return [json.loads(line) for line in text.splitlines()]


def test_events_are_fhir_audit_events(terminal: Terminal, imported: list[dict[str, Any]]) -> None:
    """Each import of a patient is a valid AuditEvent of IHE's pattern for updates."""
    said = terminal.run("ledger", "events", "--action", "patient.import")
    events = objects(said.out)
    for event in events:
        AuditEvent.model_validate(event)

    assert (0, None) == (said.status, said.code)
    assert [[]] * len(events) == [violations(event) for event in events]
    assert {event["meta"]["profile"][0].rpartition("/")[2] for event in events} == {
        "IHE.BasicAudit.PatientUpdate"
    }
    assert {one["patient"] for one in imported} <= {
        event["entity"][0]["what"]["identifier"]["value"] for event in events
    }


def test_events_of_the_system_log_are_valid_too(terminal: Terminal) -> None:
    """Tokens and readings of the ledger are events."""
    events = objects(terminal.run("ledger", "events", "--system").out)

    assert events
    assert [[]] * len(events) == [violations(event) for event in events]


def test_lines_of_json_hold_the_entries(
    terminal: Terminal, imported: list[dict[str, Any]], tmp_path: Path
) -> None:
    """All entries that meet the filters, into a new file, for its user alone."""
    out = tmp_path / "entries.jsonl"
    patient = imported[0]["patient"]
    said = terminal.run(
        "ledger", "events", "--format", "jsonl", "--patient", patient, "--out", str(out)
    )
    lines = objects(out.read_text("utf-8"))

    assert ("", True) == (said.out, f"wrote {len(lines)} entries" in said.err)
    assert imported[0]["entry"] in [line["index"] for line in lines]
    assert [[patient]] * len(lines) == [line["entry"]["patients"] for line in lines]
    assert ([out], 0o600) == (list(tmp_path.iterdir()), out.stat().st_mode & 0o777)


def test_a_file_that_is_there_is_kept(terminal: Terminal, tmp_path: Path) -> None:
    """Nothing is overwritten."""
    (tmp_path / "a").write_text("mine", "utf-8")
    codes = [
        terminal.run("ledger", "events", "--out", str(tmp_path / "a")).code,
        terminal.run(
            "ledger", "produce", "--from", "1d", "--to", "2999-01-01", "--out", str(tmp_path / "a")
        ).code,
    ]

    assert (["file-exists"] * 2, "mine") == (codes, (tmp_path / "a").read_text("utf-8"))


def test_a_file_that_cannot_be_written_leaves_nothing(terminal: Terminal, tmp_path: Path) -> None:
    """A folder that is not there is an error with a code; a failed reading leaves no file."""
    nowhere = tmp_path / "none" / "a.zip"
    period = ("--from", "1d", "--to", "2999-01-01")
    first = terminal.run("ledger", "produce", *period, "--out", str(nowhere))
    second = terminal.run(
        "ledger", "produce", *period, "--out", str(tmp_path / "a.zip"), "--tenant", "nobody"
    )

    assert ("export-unwritable", "tenant-unclear") == (first.code, second.code)
    assert [] == list(tmp_path.iterdir())


def test_a_package_is_verified_by_what_is_in_it(terminal: Terminal, tmp_path: Path) -> None:
    """A stranger unpacks it, and its own programs accept the entries and the whole log."""
    terminal.run("ledger", "verify")
    package = tmp_path / "audit.zip"
    said = terminal.run(
        *("ledger", "produce", "--from", "1d", "--to", "2999-01-01", "--whole-log"),
        *("--out", str(package), "--json"),
    ).json()
    with zipfile.ZipFile(package) as opened:
        names = opened.namelist()
        assert opened.testzip() is None
        opened.extractall(tmp_path / "package")
    runs = [
        subprocess.run(  # noqa: S603  the interpreter that runs the tests
            [sys.executable, "-I", "-B", *command], cwd=tmp_path / "package", env={}, check=False
        ).returncode
        for command in (("verifier/package.py", "."), ("verifier", "log"))
    ]

    assert [0, 0] == runs
    assert ["README.txt", "vkey", "entries.jsonl"] == names[:3]
    assert ("manifest.json", len(names)) == (names[-1], len(set(names)))
    assert (True, said["entries"]) == (said["whole_log"], said["proofs"])


def test_a_package_is_itself_a_recorded_reading(
    terminal: Terminal, imported: list[dict[str, Any]], tmp_path: Path
) -> None:
    """The system's log says who produced what, and the manifest names that entry."""
    package, patient = tmp_path / "audit.zip", imported[1]["patient"]
    said = terminal.run(
        *("ledger", "produce", "--from", "1d", "--to", "2999-01-01", "--patient", patient),
        *("--out", str(package)),
    )
    with zipfile.ZipFile(package) as opened:
        manifest = json.loads(opened.read("manifest.json"))
    last = readings(terminal, "produce")[-1]

    assert (last["entry"], patient) == (manifest["recorded_as"], last["query"]["patient"])
    assert "hillside/operator" == manifest["made_by"]
    assert "of the 48 hours that buyers ask for (practice, not law)" in said.out


# --- sending ------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ServerCertificate:
    """Return a certificate for a receiver on this machine."""
    folder = tmp_path_factory.mktemp("receiver")
    return ensure_certificate(folder, "localhost", "password", SystemClock())


@pytest.fixture
def receiver(certificate: ServerCertificate) -> Iterator[SyslogServer]:
    """Return a syslog receiver that listens."""
    made = certificate
    with syslog_server(made.certificate, made.key, made.password) as serving:
        yield serving


def send(
    terminal: Terminal, receiver: SyslogServer, certificate: ServerCertificate, *more: str
) -> Any:
    """Send the tenant's log."""
    return terminal.run(
        *("ledger", "send", "--to", f"127.0.0.1:{receiver.port}"),
        *("--authority", str(certificate.authority), *more),
    )


def test_a_log_is_sent_once_and_then_what_is_new(
    terminal: Terminal, receiver: SyslogServer, certificate: ServerCertificate, shipped: Path
) -> None:
    """The data folder remembers how far a receiver has it."""
    size = terminal.run("ledger", "verify", "--json").json()["size"]
    first = send(terminal, receiver, certificate)
    count = len(receiver.messages())
    terminal.run("patient", "import", str(shipped / "patients" / "toy.json"))
    second = send(terminal, receiver, certificate)
    messages = receiver.messages()
    indexes = [json.loads(one.text)["meta"]["source"].rpartition("#")[2] for one in messages]

    assert (f"sent all {size:,} entries" in first.err, size) == (True, count)
    assert (0, list(map(str, range(size + 1)))) == (second.status, indexes)
    assert ("patient.import", 13, "seawall") == (
        messages[-1].kind,
        messages[-1].facility,
        messages[-1].app,
    )


def test_what_was_not_confirmed_is_sent_again(
    terminal: Terminal, receiver: SyslogServer, certificate: ServerCertificate, tmp_path: Path
) -> None:
    """A connection that broke ends the command, keeps the position, and loses nothing."""
    state = ("--state", str(tmp_path / "sent.json"))
    receiver.endings = ["reset"]
    broken = send(terminal, receiver, certificate, *state)
    again = send(terminal, receiver, certificate, *state)
    size = terminal.run("ledger", "verify", "--json").json()["size"]

    assert ("syslog-unreachable", None) == (broken.code, again.code)
    assert {"next": size} == {
        name: value
        for name, value in json.loads((tmp_path / "sent.json").read_bytes()).items()
        if name != "log"
    }
    assert size == len(receiver.messages())


def test_a_state_file_of_another_log_sends_nothing(
    terminal: Terminal, receiver: SyslogServer, certificate: ServerCertificate, tmp_path: Path
) -> None:
    """Two logs must not share a position."""
    state = ("--state", str(tmp_path / "sent.json"))
    send(terminal, receiver, certificate, *state)
    count = len(receiver.messages())
    said = send(terminal, receiver, certificate, *state, "--system")

    assert ("position-of-another-log", count) == (said.code, len(receiver.messages()))


def test_following_sends_what_comes_and_outlasts_an_outage(
    terminal: Terminal, receiver: SyslogServer, certificate: ServerCertificate, shipped: Path
) -> None:
    """New entries are sent as they come, again after a break, until Ctrl-C; and it is recorded."""
    send(terminal, receiver, certificate)
    command = ["ledger", "send", "--follow", "--to", f"127.0.0.1:{receiver.port}"]
    command += ["--authority", str(certificate.authority), "--data-dir", str(terminal.folder)]
    before = len(readings(terminal, "export"))
    process = subprocess.Popen(  # noqa: S603  the interpreter that runs the tests
        [sys.executable, "-c", "from seawall.cli import main; main()", *command],
        env={**os.environ, "SEAWALL_PASSPHRASE": "open sesame"},
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + PATIENCE
    while before == len(readings(terminal, "export")):
        assert (True, None) == (time.monotonic() < until, process.poll())
    receiver.endings = ["reset"]
    found = terminal.run("patient", "import", str(shipped / "patients" / "toy.json"), "--json")
    while f"#{found.json()[0]['entry']}" not in "".join(one.text for one in receiver.messages()):
        assert (True, None) == (time.monotonic() < until, process.poll())
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)

    assert (0, True) == (process.returncode, "sent all" in err), err
    assert ("trying again" in err, []) == (True, receiver.endings)
    assert readings(terminal, "follow")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("logs.example", ("logs.example", 6514)),
        ("logs.example:10514", ("logs.example", 10514)),
        ("[::1]:6514", ("::1", 6514)),
        ("[::1]", ("::1", 6514)),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, expected: tuple[str, int]) -> None:
    """Without a port it is that of syslog over TLS."""
    assert expected == read_address(text)


@pytest.mark.parametrize(
    "text",
    ["", ":6514", "a:", "a:0", "a:65536", "a:x", "https://a", "a b:1", "u@a:1", "a:1:b", "::1"],
)
def test_what_is_no_address_is_told(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(Invalid) as caught:
        read_address(text)

    assert "address-invalid" == caught.value.code
