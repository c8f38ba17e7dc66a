"""The auditor's program as it is called and as it speaks, on a log of another implementation."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import seawall.verifier
from cosigners import ed25519, ml_dsa_44
from seawall.verifier.__main__ import _progress, main
from seawall.verifier.note import read_checkpoint, read_key
from seawall.verifier.report import printable

VECTORS = Path(__file__).parents[1] / "vectors" / "merkle"
TESSERA = VECTORS / "tessera-log"
VKEY = str(TESSERA / "vkey.txt")
CASES = VECTORS / "checkpoints"
PROGRAM = Path(seawall.verifier.__file__).parent
VERIFIED = "VERIFIED. Each of the 15 entries is the one that the log's key signed."


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return a copy of the log that may be spoilt."""
    return Path(shutil.copytree(TESSERA, tmp_path / "log"))


def files(folder: str) -> list[Path]:
    """Return the checkpoint cases of a folder, of which there are some."""
    found = sorted((CASES / folder).iterdir())
    assert found
    return found


@pytest.mark.parametrize("case", files("accepted"), ids=lambda path: path.stem)
def test_accepted_note(case: Path) -> None:
    """A checkpoint that everybody must accept is accepted."""
    key = read_key((CASES / "vkey").read_text().strip())

    checkpoint = read_checkpoint(case.read_bytes(), key, key.name)
    assert case.read_text().split("\n")[1] == str(checkpoint.size)


@pytest.mark.parametrize("case", files("refused"), ids=lambda path: path.stem)
def test_refused_note(case: Path) -> None:
    """A checkpoint that nobody may accept is refused, with a sentence."""
    key = read_key((CASES / "vkey").read_text().strip())

    with pytest.raises(ValueError, match=r"^(it|its|the|a) "):
        read_checkpoint(case.read_bytes(), key, key.name)


@pytest.mark.parametrize("older", range(16))
def test_log_of_another_implementation_verifies(
    older: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """A log written by Tessera verifies against each of the checkpoints that it signed."""
    old = str(TESSERA / f"checkpoint.{older}")

    assert 0 == main([str(TESSERA), "--vkey", VKEY, "--json", "--checkpoint", old])
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert "ok" == steps[6]["result"]
    assert "15 of another kind, which is not judged" in steps[7]["found"]


def test_steps_are_printed_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    """Every step has its number and its result on a line of its own."""
    assert 0 == main([str(TESSERA), "--vkey", VKEY])

    lines = capsys.readouterr().out.splitlines()
    numbers = [line.split()[0] for line in lines if line[:3].strip().isdigit()]
    assert [str(number) for number in range(1, 11)] == numbers
    assert VERIFIED == lines[-1]


def test_refusal_is_printed(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A refusal names its step, the file, and what to do."""
    (log / "tile/0/000.p/15").unlink()
    assert 1 == main([str(log), "--vkey", VKEY])

    out = capsys.readouterr().out
    assert "  3  files             REFUSED    tile/0/000.p/15: is missing" in out
    assert "  4  entries           not ended" in out
    assert "NOT VERIFIED. Step 3 refused tile/0/000.p/15.\nWhat to do: " in out


def test_hostile_names_are_printed_as_escapes(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a log calls its files cannot steer the auditor's terminal."""
    (log / "tile/0/\x1b[2J\u202eVERIFIED\udcff").touch()
    main([str(log), "--vkey", VKEY])

    out = capsys.readouterr().out
    assert "tile/0/\\x1b[2J\\u202eVERIFIED\\udcff" in out
    assert out.isascii()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--nothing"],
        ["no such folder"],
        ["null\0character"],
        ["x" * 5_000],
        [str(TESSERA)],
        [str(TESSERA / "checkpoint")],
        [str(TESSERA), "--vkey", ""],
        [str(TESSERA), "--vkey", "no such file"],
        [str(TESSERA), "--vkey", "null\0character"],
        [str(TESSERA), "--vkey", "name+00000000+AAAA"],
        [str(TESSERA), "--vkey", "null\0character+00000000+AAAA"],
        [str(TESSERA), "--vkey", "x" * 5_000 + "+00000000+AAAA"],
        [str(TESSERA), "--vkey", str(TESSERA / "checkpoint")],
        [str(TESSERA), "--vkey", str(TESSERA)],
        [str(TESSERA), "--vkey", VKEY, "--checkpoint", "no such file"],
    ],
)
def test_wrong_call(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A call that leaves nothing to verify says why, on standard error, with status 2."""
    assert 2 == main(arguments)

    printed = capsys.readouterr()
    assert "seawall-verify: " in printed.err
    assert "" == printed.out


def test_key_may_be_given_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """The key may stand on the command line or in a file."""
    assert 0 == main([str(TESSERA), "--vkey", Path(VKEY).read_text().strip()])

    assert VERIFIED in capsys.readouterr().out


def test_key_of_the_folder_is_named_as_such(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the auditor's own key the verdict says that the key came with the log."""
    shutil.copy(VKEY, log / "vkey")
    assert 0 == main([str(log)])

    out = capsys.readouterr().out
    assert "VERIFIED by the key that lies in the folder." in out
    assert VERIFIED not in out


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        "name+00000000+é",
        "a name+e3b0c442+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "name+00000000+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "name+00000000+AQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJ",
        str(ed25519("w.example").key),
        str(ml_dsa_44("w.example").key),
        "name+00000000+BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "name+00000000+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    ],
)
def test_malformed_key_is_refused(vkey: str) -> None:
    """A verifier key has one spelling."""
    with pytest.raises(ValueError, match=r"^the key"):
        read_key(vkey)


def test_huge_checkpoint_is_refused(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An older checkpoint of more than a million bytes is refused."""
    older = log / "older"
    older.write_bytes(b"x" * 1_000_001)

    assert 1 == main([str(log), "--vkey", VKEY, "--checkpoint", str(older)])
    assert "Step 7 refused" in capsys.readouterr().out


def test_long_hostile_names_are_cut() -> None:
    """A sentence that a hostile log made long is cut, so that the verdict stays in sight."""
    assert 603 == len(printable("x" * 1_000_000))


def test_progress_is_told_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    """A long log says how far it is every few seconds, on standard error."""
    times = iter([0.0, 1.0, 3.0, 3.0, 4.0])
    tell = _progress(lambda: next(times))
    for done in (256, 512, 768):
        tell(done, 1_024)

    assert "     512 of 1,024 entries\n" == capsys.readouterr().err


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    """The program explains itself."""
    assert 0 == main(["--help"])

    assert "--vkey KEY" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["verifier"], ["-m", "verifier"]])
def test_program_runs_alone(arguments: list[str], tmp_path: Path) -> None:
    """Copied out as a folder the program runs by its path, and as a module."""
    shutil.copytree(PROGRAM, tmp_path / "verifier")
    command = [sys.executable, *arguments, str(TESSERA), "--vkey", VKEY]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603  our own program
    assert (0, "") == (done.returncode, done.stderr)
    assert VERIFIED in done.stdout


def test_program_imports_nothing_of_seawall() -> None:
    """The program stands on the standard library, `cryptography` and itself."""
    imported = set()
    for file in PROGRAM.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {name.name.split(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(str(node.module).split(".")[0])

    assert {"cryptography"} == imported - sys.stdlib_module_names


def test_reader_that_goes_away_ends_the_program_quietly() -> None:
    """If nobody reads the output any more, the program ends without a traceback."""
    command = [sys.executable, str(PROGRAM), str(TESSERA), "--vkey", VKEY]
    reading, writing = os.pipe()
    os.close(reading)

    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)  # noqa: S603  our own program
    os.close(writing)
    assert (2, b"") == (done.returncode, done.stderr)
