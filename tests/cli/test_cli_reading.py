"""`seawall ledger`: filters, following, and every reading recorded before it is shown."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from clinic import PASSPHRASE, PATIENCE
from terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from clinic import Clinic, Server


def readings(terminal: Terminal) -> list[dict[str, Any]]:
    """Return the readings that the system's log holds, the one that this makes left out."""
    found = terminal.run(
        "ledger", "list", "--system", "--action", "ledger.read", "--last", "1000", "--json"
    )
    entries: list[dict[str, Any]] = found.json()
    return entries


@pytest.fixture(scope="module", autouse=True)
def imported(terminal: Terminal, shipped: Path) -> list[dict[str, Any]]:
    """Import two patients, so that the log has something to find."""
    bundles = [str(shipped / "patients" / f"{key}.json") for key in ("koepp", "toy")]
    found: list[dict[str, Any]] = terminal.run("patient", "import", *bundles, "--json").json()
    return found


def listed(terminal: Terminal, *options: str) -> list[int]:
    """Return the indexes of the entries that a list shows."""
    shown = terminal.run("ledger", "list", "--json", *options).json()
    return [entry["entry"] for entry in shown]


def test_a_patient_is_found_by_the_ledger_id(
    terminal: Terminal, imported: list[dict[str, Any]]
) -> None:
    """All entries about one patient, and no other's."""
    first, second = imported

    assert first["entry"] in listed(terminal, "--patient", first["patient"])
    assert second["entry"] not in listed(terminal, "--patient", first["patient"])


def test_filters_hold_together(terminal: Terminal, imported: list[dict[str, Any]]) -> None:
    """Each condition narrows what is found; paging goes on below an index."""
    mine = ("--actor", "operator/operator", "--action", "patient.import", "--since", "2h")
    found = listed(terminal, *mine)

    assert {one["entry"] for one in imported} <= set(found)
    assert found[:-1] == listed(terminal, *mine, "--before", str(found[-1]))
    assert [] == listed(terminal, *mine, "--until", "2h")
    assert [] == listed(terminal, *mine, "--outcome", "failed")


@pytest.mark.parametrize(
    ("option", "value", "code"),
    [
        ("--patient", "MR-448812", "filter-invalid"),
        ("--actor", "Abdul Koepp", "filter-invalid"),
        ("--since", "yesterday", "time-invalid"),
        ("--last", "0", "number-invalid"),
    ],
)
def test_a_filter_of_another_form_is_told_and_not_recorded(
    option: str, value: str, code: str, terminal: Terminal
) -> None:
    """What is no value of the facet is refused without being repeated, and is no reading."""
    before = len(readings(terminal))
    said = terminal.run("ledger", "list", option, value)

    assert (code, False) == (said.code, value in f"{said.out}{said.err}{said.error}")
    assert before + 1 == len(readings(terminal))


def test_each_command_is_recorded(terminal: Terminal, tmp_path: Path) -> None:
    """List, show, prove, verify and export are entries of the system's log, before they end."""
    before = len(readings(terminal))
    for command in (("list",), ("show", "0"), ("prove", "1"), ("verify",)):
        terminal.run("ledger", *command)
    terminal.run("ledger", "export", str(tmp_path / "copy"))

    found = readings(terminal)[before + 1 :]

    assert ["list", "show", "prove", "verify", "export"] == [entry["what"] for entry in found]
    assert {("operator", "operator", "hillside")} == {
        (entry["actor"]["kind"], entry["actor"]["name"], entry["tenant"]) for entry in found
    }
    assert (0, 1) == (found[1]["index"], found[2]["index"])


def test_a_name_in_a_filter_is_not_in_the_ledger(terminal: Terminal) -> None:
    """A value of the right form that no entry has is recorded as unknown."""
    terminal.run("ledger", "list", "--endpoint", "abdul.koepp")

    entries = terminal.run("ledger", "list", "--system", "--json").json()

    assert {"endpoint": "unknown", "last": 20} == entries[-1]["query"]
    assert "koepp" not in json.dumps(entries)


# --- beside a server ----------------------------------------------------------


def seawall(server: Server, *command: str) -> subprocess.Popen[str]:
    """Start `seawall` on the folder of a server that runs, as a process of its own."""
    given = {"SEAWALL_PASSPHRASE": PASSPHRASE}
    program = [sys.executable, "-c", "from seawall.cli import main; main()"]
    return subprocess.Popen(  # noqa: S603  the interpreter that runs the tests
        [*program, *command, "--data-dir", str(server.clinic.folder)],
        env={**os.environ, **given},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def operated(server: Server) -> Server:
    """Return the server with an operator's client that may read, by documents over its API."""
    key = server.clinic.folder / "clients" / "riverside-operator.jwk"
    key.parent.mkdir(exist_ok=True)
    key.write_text(json.dumps(server.clinic.keys["operator"]), encoding="ascii")
    grant(server, may_audit=True, may_audit_system=True)
    return server


def grant(server: Server, **rights: bool) -> None:
    """Apply the operator's Client document with these rights, as the operator."""
    public = {n: v for n, v in server.clinic.keys["operator"].items() if n != "d"}
    spec = {"title": "operator", "public_key": public, "may_apply": True, **rights}
    document = {"kind": "Client", "name": "operator", "spec": spec}
    headers = server.headers("operator")
    reply = server.send("POST", "/api/documents", json.dumps([document]).encode(), headers)
    assert 200 == reply.status


def test_a_server_records_what_the_terminal_reads(operated: Server) -> None:
    """The command asks the server that holds the folder, as the operator's client."""
    process = seawall(operated, "ledger", "list", "--last", "1", "--json")
    out, err = process.communicate(timeout=PATIENCE)

    last = operated.clinic.entries("system")[-1]

    assert (0, 1) == (process.returncode, len(json.loads(out))), err
    assert ("ledger.read", "list", {"last": 1}) == (last["action"], last["what"], last["query"])
    assert {"kind": "client", "name": "operator"} == last["actor"]


@pytest.mark.parametrize("log", [(), ("--system",)])
def test_an_operator_without_the_right_is_refused(operated: Server, log: tuple[str, ...]) -> None:
    """Nothing is shown where the server does not record the reading."""
    grant(operated)
    try:
        process = seawall(operated, "ledger", "show", "0", *log)
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        grant(operated, may_audit=True, may_audit_system=True)

    assert (1, "", True) == (process.returncode, out, "access-refused" in err)


@pytest.mark.parametrize("log", [(), ("--system",)])
def test_a_server_asks_why_a_log_is_exported(
    operated: Server, tmp_path: Path, log: tuple[str, ...]
) -> None:
    """Without a reason the command says what to add, and writes nothing."""
    ended = []
    for place, why in (("none", ()), ("copy", ("--reason", "the hospital's audit"))):
        process = seawall(operated, "ledger", "export", str(tmp_path / place), *log, *why)
        _, err = process.communicate(timeout=PATIENCE)
        ended.append((process.returncode, "reason-needed" in err, (tmp_path / place).exists()))
    assert [(1, True, False), (0, False, True)] == ended, err
    said = next(e for e in reversed(operated.clinic.entries("system")) if "reason" in e)

    assert [(1, True, False), (0, False, True)] == ended
    assert ("ledger.read", "export") == (said["action"], said["what"])


def test_following_prints_what_comes_and_records_each_minute(operated: Server) -> None:
    """New entries that match are printed as lines of JSON until the reader stops."""
    process = seawall(
        operated, "ledger", "list", "--follow", "--json", "--action", "exchange.intent"
    )
    until = time.monotonic() + PATIENCE
    system = operated.clinic
    while not any(e.get("query", {}).get("action") for e in system.entries("system")[-3:]):
        assert time.monotonic() < until
        time.sleep(0.1)
    entries = [operated.ask("hello").entry for _ in "ab"]
    assert process.stdout is not None
    printed: list[int] = []
    while printed[-1:] != entries[-1:]:
        printed.append(json.loads(process.stdout.readline())["entry"])
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)

    assert (0, entries) == (process.returncode, printed[-2:])
    found = [e for e in system.entries("system") if e["action"] == "ledger.read"][-4:]
    assert "follow" in [entry["what"] for entry in found]


def test_a_system_log_that_cannot_be_written_refuses_the_reading(
    clinic: Clinic, tmp_path: Path
) -> None:
    """No entry, no result: a database that is full shows nothing."""
    copied = clinic.copy(tmp_path / "full")
    with copied.installation.engine.connect() as connection:
        pages = connection.exec_driver_sql("pragma page_count").scalar_one()
    copied.installation.engine.dispose()
    (copied.folder / "seawall.toml").write_text(f"database_pages = {pages}\n", "utf-8")
    terminal = Terminal(copied.folder)
    code: str | None = None
    for _ in range(100):
        said = terminal.run("ledger", "list", SEAWALL_PASSPHRASE=PASSPHRASE)
        code = said.code
        if code is not None:
            break

    assert ("database-full", "") == (code, said.out)


def test_a_history_is_recorded_by_the_server_too(operated: Server) -> None:
    """A document's history is read out of the ledger, and that is a reading as well."""
    process = seawall(operated, "history", "Client", "operator", "--json")
    out, err = process.communicate(timeout=PATIENCE)

    last = operated.clinic.entries("system")[-1]

    assert "Client/operator@1" == json.loads(out)[0]["document"], err
    assert {"action": "document.apply", "last": 1000} == last["query"]
