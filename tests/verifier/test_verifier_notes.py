"""Notes that were made to cost much or to hide something."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING

import pytest

from cosigners import NOW, ed25519
from seawall.verifier.__main__ import main
from seawall.verifier.note import read_checkpoint, read_key, read_note
from verifier.logs import Log, Run, log_in

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "VERIFIED." * 300


def test_signature_that_stands_there_twice_is_one(small: Log) -> None:
    """A repeated line is read once, so that it costs no more than one."""
    raw = small.checkpoint(5)
    line = raw[raw.index(b"\n\n") + 2 :]
    key = read_key(small.vkey)

    assert 1 == len(read_note(raw + line * 99).lines)
    assert 5 == read_checkpoint(raw + line * 99, key, key.name).size


def test_many_signatures_under_one_key_are_refused(small: Log) -> None:
    """More than eight different signatures under one key are refused before any is verified."""
    witness = ed25519("w.example")
    note = small.checkpoint(5).decode()
    lines = [str(witness.cosign(note, NOW + at)) for at in range(9)]

    assert 9 == len(read_note((note + "".join(lines[:8])).encode()).lines)
    with pytest.raises(ValueError, match="more than 8 signatures under one key"):
        read_note((note + "".join(lines)).encode())


@pytest.mark.parametrize("character", [*map(chr, range(10)), "\r", "\x1b", "\x1f"])
def test_control_character_is_refused(character: str, small: Log) -> None:
    """No note holds a control character but newlines."""
    with pytest.raises(ValueError, match="control character"):
        read_note(character.encode() + small.checkpoint(5))


def test_long_note_is_read_soon() -> None:
    """A note of the greatest length is looked through in a moment."""
    signature = base64.b64encode(bytes(68)).decode()
    raw = f"{'x' * 990_000}\n\n\N{EM DASH} name {signature}\n".encode()
    started = time.process_time()
    for _ in range(20):
        read_note(raw)

    assert time.process_time() - started < 1


def test_hostile_origin_does_not_hide_what_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A long name of a log is cut, and the warning behind it stays."""
    log = log_in(tmp_path / "log", 300, 700)
    log.origin = HOSTILE
    log.write(700)
    log.archive(300, 700)
    for path in log.folder.glob("tile/*/002.p/188"):
        path.unlink()

    call = [str(log.folder), "--vkey", log.vkey, "--archive", "--allow-older"]
    assert 0 == main(call)
    out = " ".join(capsys.readouterr().out.split())
    assert "1 newer checkpoints lie there WITHOUT the tiles" in out
    assert HOSTILE[:120] not in out


def test_hostile_file_name_does_not_hide_what_is_said(small: Log, run: Run) -> None:
    """A long name of a file is cut in the sentence, and whole where a program reads it."""
    name = "VERIFIED." * 20
    small.put(f"tile/0/{name}", b"")

    verdict = run(small)
    assert (3, f"tile/0/{name}") == verdict.refused
    assert name not in verdict.step(3)[1]
