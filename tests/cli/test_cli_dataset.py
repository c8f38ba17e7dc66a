"""`seawall dataset seal`, `open` and `show`."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pyotp
import pytest

from datasets_scene import ROWS, csv_file, ndjson_file, read_ndjson
from terminal import Terminal

if TYPE_CHECKING:
    from terminal import Said


@pytest.fixture(scope="module")
def practice(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """Return a terminal on a folder of its own, with the operator `ada`."""
    return enrolled(tmp_path_factory.mktemp("datasets") / "data")


def enrolled(folder: Path) -> Terminal:
    """Return a terminal on a new data folder, with the operator `ada`."""
    made = Terminal(folder)
    assert 0 == made.run("init", "--tenant", "hillside").status
    said = made.run("keys", "enrol", "ada")
    found = re.search(r"secret=([A-Z2-7]+)", re.sub(r"\s", "", said.out + said.err))
    assert found is not None
    (made.folder / "factor").write_text(found[1], encoding="ascii")
    return made


class Codes:
    """Codes that work: each is used once, and that of the next half minute is accepted too."""

    used: ClassVar[dict[Path, int]] = {}
    """The half minute whose code was used last, by data folder."""

    @classmethod
    def next(cls, terminal: Terminal) -> str:
        """Return a code that was not used yet."""
        used = max(cls.used.get(terminal.folder, 0) + 1, int(time.time()) // 30)
        cls.used[terminal.folder] = used
        factor = pyotp.TOTP((terminal.folder / "factor").read_text("ascii"))
        return factor.at(used * 30)


def seal(terminal: Terminal, source: Path, to: Path, *more: str) -> Any:
    """Seal a file; return what the command says."""
    return terminal.run(
        "dataset", "seal", str(source), "--name", "visits", "--to", str(to), "--json", *more
    ).json()


def test_what_is_sealed_is_shown_and_recorded(practice: Terminal, tmp_path: Path) -> None:
    """The file, its entry and what anybody can read of it agree."""
    sealed = seal(practice, csv_file(tmp_path), tmp_path / "s.parquet")
    shown = practice.run("dataset", "show", str(tmp_path / "s.parquet"), "--json").json()
    entry = practice.run("ledger", "show", str(sealed["entry"])).json()

    same = ("dataset", "item", "columns", "size", "digest")
    assert {name: sealed[name] for name in same} == {name: shown[name] for name in same}
    assert ("dataset.seal", sealed["digest"], 2) == (
        entry["action"],
        entry["file"],
        entry["rows"],
    )


def open_(terminal: Terminal, file: Path, *more: str) -> Said:
    """Open a file as the operator."""
    code = Codes.next(terminal)
    named = ("--operator", "ada", "--code", code, "--purpose", "research")
    return terminal.run("dataset", "open", str(file), *named, *more)


def test_what_is_sealed_opens_into_a_file_of_the_owners_alone(
    practice: Terminal, tmp_path: Path
) -> None:
    """Rows come out, with a warning, in a file of mode 0600."""
    seal(practice, ndjson_file(tmp_path), tmp_path / "s.parquet")
    out = tmp_path / "out.ndjson"

    said = open_(practice, tmp_path / "s.parquet", "--out", str(out), "--name", "visits")

    assert (0, True) == (said.status, "warning: what is opened is PHI in plain" in said.err)
    assert (list(ROWS), 0o600) == (read_ndjson(out), out.stat().st_mode & 0o777)


def test_some_columns_go_to_standard_output(practice: Terminal, tmp_path: Path) -> None:
    """Only the columns that were asked for are there, and nothing else is."""
    seal(practice, ndjson_file(tmp_path), tmp_path / "s.parquet")

    said = open_(practice, tmp_path / "s.parquet", "--columns", "age,mrn", "--format", "csv")

    assert '"age","mrn"\n71,"00417"\n8,"00418"\n' == said.out


def test_an_alarm_is_no_row(tmp_path: Path) -> None:
    """A file that was changed raises an alarm, beside standard output and not in it."""
    # A folder of its own: two codes are all that one has in half a minute.
    practice = enrolled(tmp_path / "data")
    file = tmp_path / "s.parquet"
    seal(practice, ndjson_file(tmp_path), file)
    changed = bytearray(file.read_bytes())
    changed[20] ^= 1
    file.write_bytes(changed)

    said = open_(practice, file)

    assert ("dataset-tampered", "", True) == (said.code, said.out, "alarm" in said.err)


def test_a_shell_alone_opens_nothing(practice: Terminal, tmp_path: Path) -> None:
    """Without an operator's code there is no opening, and a wrong one is no code."""
    seal(practice, ndjson_file(tmp_path), tmp_path / "s.parquet")
    command = ("dataset", "open", str(tmp_path / "s.parquet"), "--purpose", "research")

    assert ["step-up-needed", "step-up-failed"] == [
        practice.run(*command, *more).code for more in ((), ("--operator", "eve", "--code", "1"))
    ]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (("--purpose", "curiosity"), "purpose-unknown"),
        (("--purpose", "research", "--format", "xlsx"), "rows-form"),
        (("--purpose", "research", "--out", "out.xlsx"), "rows-form"),
        (("--purpose", "research", "--format", "parquet"), "rows-form"),
    ],
)
def test_what_cannot_be_meant_is_refused_first(
    practice: Terminal, tmp_path: Path, more: tuple[str, ...], code: str
) -> None:
    """A purpose or a form that is none opens nothing and asks for no code."""
    assert code == practice.run("dataset", "open", str(tmp_path / "none"), *more).code


def test_semicolons_make_no_columns(practice: Terminal, tmp_path: Path) -> None:
    """A CSV with other separators is refused, unless somebody says that it is one column."""
    (tmp_path / "rows.csv").write_text("mrn;age\n00417;71\n", encoding="ascii")
    command = ("dataset", "seal", str(tmp_path / "rows.csv"), "--name", "semicolons")
    to = ("--to", str(tmp_path / "s.parquet"))

    refused = practice.run(*command, *to)
    meant = practice.run(*command, *to, "--one-column", "--json").json()

    assert ("rows-unreadable", True, 1) == (
        refused.code,
        "--one-column" in str(getattr(refused.error, "help", "")),
        meant["columns"],
    )


def test_an_older_file_opens_by_its_id_alone(practice: Terminal, tmp_path: Path) -> None:
    """--file takes the id that `dataset show` tells, and no other."""
    source = csv_file(tmp_path)
    older = seal(practice, source, tmp_path / "older.parquet")
    seal(practice, source, tmp_path / "newer.parquet")
    command = ("dataset", "open", str(tmp_path / "older.parquet"), "--purpose", "research")

    by_another = practice.run(*command, "--file", "ab" * 12, "--operator", "ada", "--code", "1")
    by_its_own = practice.run(*command, "--file", older["item"], "--operator", "a", "--code", "1")

    # The second one gets as far as the code: what a file is, is looked at before.
    assert ("dataset-another", "step-up-failed") == (by_another.code, by_its_own.code)


def test_a_file_that_is_no_data_set_is_told(practice: Terminal, tmp_path: Path) -> None:
    """Neither another file nor none is shown."""
    found = [
        practice.run("dataset", "show", str(file)).code
        for file in (csv_file(tmp_path), tmp_path / "none")
    ]

    assert ["dataset-unsealed", "rows-unreadable"] == found


def test_show_says_that_nothing_is_verified(practice: Terminal, tmp_path: Path) -> None:
    """People read tenant and name in a table, and that it is the file's own word."""
    seal(practice, csv_file(tmp_path), tmp_path / "s.parquet")

    said = practice.run("dataset", "show", str(tmp_path / "s.parquet"))

    assert all(word in said.out for word in ("hillside", "visits", "AES_GCM_V1, 256 bit"))
    assert "nothing of this is verified" in said.err


def test_rows_come_through_a_pipe(practice: Terminal, tmp_path: Path) -> None:
    """NDJSON on standard input is sealed without a file of its own."""
    lines = ndjson_file(tmp_path).read_bytes()
    (tmp_path / "rows.ndjson").unlink()
    command = ["-c", "from seawall.cli import main; main()", "dataset", "seal", "-"]
    named = ["--name", "piped", "--to", str(tmp_path / "s.parquet")]
    given = {"SEAWALL_DATA_DIR": str(practice.folder), "SEAWALL_PASSPHRASE": "open sesame"}

    done = subprocess.run(  # noqa: S603  our own program
        [sys.executable, *command, *named], input=lines, env=given, capture_output=True, check=False
    )

    assert (0, True) == (done.returncode, b"sealed 2 rows of 4 columns" in done.stderr)
    assert ["s.parquet"] == sorted(path.name for path in tmp_path.iterdir())


def test_sealing_needs_the_ledger(practice: Terminal, tmp_path: Path) -> None:
    """While another process holds the data folder, it says what to do instead."""
    holding = (
        "import fcntl, sys; held = open(sys.argv[1], 'a'); fcntl.flock(held, fcntl.LOCK_EX); "
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(  # noqa: S603  our own program
        [sys.executable, "-c", holding, str(practice.folder / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert b"held" in other.stdout.readline()
        command = ("dataset", "seal", str(csv_file(tmp_path)), "--name", "x")
        said = practice.run(*command, "--to", str(tmp_path / "s.parquet"))
        other.communicate(b"")

    assert ("folder-in-use", False) == (said.code, (tmp_path / "s.parquet").exists())


def is_writing(process: int, folder: Path) -> bool:
    """Whether a process has a file of a folder open, with a name or without, that has bytes."""
    try:
        held = list(Path(f"/proc/{process}/fd").iterdir())
        return any(
            each.stat().st_size for each in held if str(each.readlink()).startswith(f"{folder}/")
        )
    except OSError:
        return False


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a data folder in it, and a sealed file that takes a while to open."""
    folder = tmp_path_factory.mktemp("many")
    terminal = enrolled(folder / "data")
    with (folder / "rows.csv").open("w") as out:
        out.write("mrn,note\n")
        out.writelines(f"{number:09d},{number * 7919} Quillfeather\n" for number in range(500_000))
    seal(terminal, folder / "rows.csv", folder / "s.parquet")
    return folder


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_nothing_in_plain_is_left_by_a_process_that_is_ended(
    many: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """Ended while it writes, opening leaves no file; asked to end, it exits in good order."""
    if number == signal.SIGKILL and not hasattr(os, "O_TMPFILE"):
        pytest.skip("files have names from the beginning here")
    # A copy, in which no code was used yet.
    data = Path(shutil.copytree(many / "data", tmp_path / "data"))
    code = pyotp.TOTP((data / "factor").read_text("ascii")).now()
    words = ["-c", "from seawall.cli import main; main()", "dataset", "open"]
    words += [str(many / "s.parquet"), "--operator", "ada", "--code", code]
    given = {"SEAWALL_DATA_DIR": str(data), "SEAWALL_PASSPHRASE": "open sesame"}
    out = tmp_path / "out"
    out.mkdir()

    with subprocess.Popen(  # noqa: S603  our own program
        [sys.executable, *words, "--purpose", "research", "--out", str(out / "rows.ndjson")],
        env=given,
        stderr=subprocess.PIPE,
    ) as process:
        while process.poll() is None and not is_writing(process.pid, out):
            time.sleep(0.005)
        process.send_signal(number)
        process.communicate()

    in_order = -number if number == signal.SIGKILL else 128 + number
    assert (in_order, []) == (process.returncode, [*out.iterdir()])
