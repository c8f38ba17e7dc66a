"""`seawall witness`: an organisation that has nothing else of Seawall's runs one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from cosigners import SeededLog
from seawall.core.ledger.cosignature import parse_cosigner
from seawall.core.ledger.witness import write_submission
from terminal import Terminal
from witnesses import Running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from terminal import Said

PROGRAM = "from seawall.cli import main; main()"
LOG = SeededLog("ledger.example/log/42")
NAME = "localhost/w1"
PASSPHRASE = "a passphrase"


def environment() -> dict[str, str]:
    """Return an environment with a passphrase and nothing else of Seawall's."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SEAWALL_")}
    return {**clean, "SEAWALL_PASSPHRASE": PASSPHRASE}


def witness_process(folder: Path, command: str, *rest: str) -> subprocess.CompletedProcess[str]:
    """Run `seawall witness` as a process: what starts by itself, and makes the folder."""
    return subprocess.run(  # noqa: S603  the interpreter that runs the tests
        [sys.executable, "-c", PROGRAM, "witness", command, "--dir", str(folder), *rest],
        capture_output=True,
        check=False,
        text=True,
        env=environment(),
    )


def witness(folder: Path, command: str, *rest: str) -> Said:
    """Run `seawall witness` in this process, which takes a tenth of the time."""
    terminal = Terminal(folder.parent / "none")
    return terminal.run(
        "witness", command, "--dir", str(folder), *rest, SEAWALL_PASSPHRASE=PASSPHRASE
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a witness that `seawall witness init` made."""
    folder = tmp_path_factory.mktemp("cli-witness") / "w1"
    made = witness_process(folder, "init", "--name", NAME)
    assert (0, 2) == (made.returncode, len(made.stdout.splitlines())), made.stderr
    return folder


@pytest.fixture
def serving(folder: Path) -> Iterator[Running]:
    """Serve the folder's witness as its operator does."""
    command = [sys.executable, "-c", PROGRAM, "witness", "serve", "--dir", str(folder)]
    process = subprocess.Popen(  # noqa: S603  as above
        [*command, "--port", "0"], env=environment(), stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        said = ""
        while "witnessing on" not in said:
            said = process.stderr.readline()
            assert said, "the witness ended before it began"
        rest = threading.Thread(target=process.stderr.read)
        rest.start()
        yield Running(folder, int(said.rpartition(":")[2]), ())
    finally:
        process.send_signal(signal.SIGTERM)
        status = process.wait(60)
        rest.join(60)
        process.stderr.close()
    assert 0 == status


def test_a_witness_has_two_keys_of_its_name(folder: Path) -> None:
    """The verifier keys are an Ed25519 and an ML-DSA-44 one, of the name that was given."""
    keys = [parse_cosigner(line) for line in witness(folder, "key").out.splitlines()]

    assert [(NAME, 4), (NAME, 6)] == [(key.name, key.algorithm) for key in keys]


def test_what_is_secret_is_its_owners_alone(folder: Path) -> None:
    """The folder and its files are readable by their owner alone, the keys only when unlocked."""
    modes = {path.stat().st_mode & 0o077 for path in [folder, *folder.rglob("*")]}

    assert {0} == modes
    assert b"PRIVATE" not in (folder / "keys.json").read_bytes()


def test_a_witness_is_not_made_twice(folder: Path) -> None:
    """`init` leaves a folder that has a witness as it is."""
    before = (folder / "keys.json").read_bytes()

    again = witness_process(folder, "init", "--name", NAME)

    assert 1 == again.returncode
    assert "[ring-exists]" in again.stderr
    assert before == (folder / "keys.json").read_bytes()


def test_init_goes_on_where_it_was_ended(tmp_path: Path) -> None:
    """A folder with keys and no memory is completed with the same keys."""
    first = witness(tmp_path / "w", "init", "--name", NAME)
    (tmp_path / "w" / "witness.db").unlink()

    again = witness(tmp_path / "w", "init", "--name", NAME)
    assert ((0, first.out), 2) == ((again.status, again.out), len(first.out.splitlines()))


@pytest.mark.parametrize("name", ["", "a name", "a+name", "ü.example/w", "x" * 256])
def test_a_name_that_no_key_can_have_is_refused(tmp_path: Path, name: str) -> None:
    """A name is a URL without a scheme, in ASCII, and nothing is made for another."""
    said = witness(tmp_path / "w", "init", "--name", name)

    assert (1, "witness-name") == (said.status, said.code)
    assert not (tmp_path / "w").exists()


def test_logs_are_trusted_listed_and_removed(folder: Path) -> None:
    """A key that is added is listed, for people and for programs, until it is removed."""
    assert 0 == witness(folder, "trust", LOG.vkey).status
    listed = witness(folder, "trust").out
    rows = witness(folder, "trust", "--json").json()
    assert 0 == witness(folder, "trust", LOG.vkey, "--remove").status

    assert f"{LOG.vkey}  never cosigned\n" == listed
    assert [{"vkey": LOG.vkey, "origin": LOG.origin, "size": None}] == rows
    assert [] == witness(folder, "trust", "--json").json()


@pytest.mark.parametrize(
    ("rest", "code"),
    [
        (("not-a-key",), "vkey-malformed"),
        (("not-a-key", "--remove"), "witness-key-unknown"),
        ((SeededLog("x" * 256).vkey,), "witness-log-name"),
    ],
)
def test_what_cannot_be_trusted_is_told(folder: Path, rest: tuple[str, ...], code: str) -> None:
    """A key that is none, is not there, or could not be cosigned for, is refused by its code."""
    said = witness(folder, "trust", *rest)

    assert (1, code) == (said.status, said.code)


def test_a_folder_without_a_witness_is_told(tmp_path: Path) -> None:
    """Commands on a folder that has no witness say so, and make none."""
    for command in ("key", "trust", "serve"):
        assert "witness-missing" == witness(tmp_path, command).code
    assert [] == list(tmp_path.iterdir())


def test_a_served_witness_cosigns_and_remembers(folder: Path, serving: Running) -> None:
    """What its operator trusts while it serves is cosigned, and listed with its size."""
    witness(folder, "trust", LOG.vkey)
    body = write_submission(0, [], LOG.checkpoint(5)).encode()

    answer = serving.send("POST", "/add-checkpoint", body)

    assert (200, 2) == (answer.status, len(answer.body.splitlines())), answer.body
    assert f"{LOG.vkey}  cosigned at 5\n" == witness(folder, "trust").out


def test_keys_and_memory_of_two_witnesses_do_not_mix(folder: Path, tmp_path: Path) -> None:
    """A memory beside another witness's keys is refused: it must not cosign in a wrong name."""
    witness(tmp_path / "w", "init", "--name", NAME)
    (tmp_path / "w" / "keys.json").write_bytes((folder / "keys.json").read_bytes())

    served = witness_process(tmp_path / "w", "serve", "--port", "0")
    assert "[witness-store-tampered]" in served.stderr
