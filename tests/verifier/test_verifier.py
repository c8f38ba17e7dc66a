"""The auditor's steps against sound logs, and against every way to spoil one."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seawall.core.ledger.tiles import bundle_path, tile_path, tiles_of
from verifier.logs import Log, Run, log_in

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 513])
def test_sound_log_verifies(size: int, tmp_path: Path, run: Run) -> None:
    """A log of any size verifies, with and without the auditor's own key."""
    log = log_in(tmp_path, size)

    assert 0 == run(log).status
    assert 0 == run(log, vkey=False).status


def test_log_that_grew_verifies(middle: Log, run: Run) -> None:
    """Partial tiles and bundles of earlier sizes may stay in the folder."""
    verdict = run(middle)

    results = [verdict.step(number)[0] for number in range(1, 11)]
    assert ["ok"] * 6 + ["not asked", "ok", "not asked", "not asked"] == results


def test_log_with_three_levels_verifies(large: Log, run: Run) -> None:
    """A log with tiles of level 2 verifies, and one entry of each bundle is read in step 8."""
    verdict = run(large)

    assert 0 == verdict.status
    assert "258 of 66,000 read" in verdict.step(8)[1]
    assert "every entry read" in run(large, "--entries").step(8)[1]


def test_empty_log_verifies(tmp_path: Path, run: Run) -> None:
    """A log without entries has no tiles, and verifies."""
    log = log_in(tmp_path, 0)

    assert 0 == run(log).status
    log.put("tile/0/000.p/1", bytes(32))
    assert (3, "tile/0") == run(log).refused


def test_any_changed_bit_is_refused(small: Log, run: Run) -> None:
    """Each bit of each file of a small log is guarded, in the step and file that it concerns."""
    expected_steps = {"checkpoint": {2}, "tile/entries": {4}, "tile/0": {4}}
    for file in ["checkpoint", *small.files()]:
        kept = (small.folder / file).read_bytes()
        for at in range(len(kept)):
            changed = bytearray(kept)
            changed[at] ^= 1 << at % 8
            small.put(file, bytes(changed))
            step, named = run(small).refused
            assert step in expected_steps["/".join(file.split("/")[:2])]
            assert named == file.replace("tile/0/000.p/5", "tile/entries/000.p/5")
        small.put(file, kept)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_changed_bit_of_a_larger_log_is_refused(middle: Log, run: Run, data: st.DataObject) -> None:
    """A changed bit is refused wherever it is in a log with several levels and stale files."""
    file = data.draw(st.sampled_from(["checkpoint", *middle.files()]))
    kept = (middle.folder / file).read_bytes()
    changed = bytearray(kept)
    changed[data.draw(st.integers(0, len(kept) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    middle.put(file, bytes(changed))

    try:
        assert run(middle).refused[0] in {2, 4, 5}
    finally:
        middle.put(file, kept)


@pytest.mark.parametrize(
    "file",
    ["tile/1/000", "tile/1/001.p/1", "tile/2/000.p/1"],
)
def test_changed_higher_tile_is_refused(file: str, large: Log, run: Run) -> None:
    """A higher tile is recomputed from the level below, so that a change in it is named."""
    kept = (large.folder / file).read_bytes()
    large.put(file, bytes([kept[0] ^ 1]) + kept[1:])

    try:
        assert (5, file) == run(large).refused
    finally:
        large.put(file, kept)


def test_changed_stale_higher_tile_is_refused(middle: Log, run: Run) -> None:
    """A partial tile that an earlier size left behind must be how its tile began."""
    middle.put("tile/1/000.p/1", bytes(32))

    assert (5, "tile/1/000.p/1") == run(middle).refused


@pytest.mark.parametrize("file", ["tile/entries/000.p/100", "tile/0/000.p/100"])
def test_changed_stale_file_is_refused(file: str, middle: Log, run: Run) -> None:
    """A partial bundle or tile that an earlier size left behind is checked to its last byte."""
    kept = (middle.folder / file).read_bytes()
    middle.put(file, kept[:-1] + bytes([kept[-1] ^ 1]))

    assert (4, file) == run(middle).refused


def test_rewritten_log_is_refused(middle: Log, tmp_path: Path, run: Run) -> None:
    """Whoever holds the log's key can sign a rewritten log, but not against an older checkpoint."""
    older = tmp_path / "older"
    older.write_bytes(middle.checkpoint(300))
    middle.entries = [b'{"n":-1}', *middle.entries[1:]]
    shutil.rmtree(middle.folder)
    middle.write(700)

    assert 0 == run(middle).status
    assert (7, str(older)) == run(middle, "--checkpoint", str(older)).refused


def test_log_that_was_cut_back_is_refused(middle: Log, tmp_path: Path, run: Run) -> None:
    """A log that is smaller than it was when an older checkpoint was signed is refused."""
    older = tmp_path / "older"
    older.write_bytes(middle.checkpoint(700))
    shutil.rmtree(middle.folder)
    middle.write(600)

    assert 0 == run(middle).status
    assert (7, str(older)) == run(middle, "--checkpoint", str(older)).refused


@pytest.mark.parametrize("size", [1, 255, 256, 257, 512, 600, 699, 700])
def test_sound_history_is_shown(size: int, middle: Log, tmp_path: Path, run: Run) -> None:
    """An older checkpoint of any size shows that nothing was rewritten since."""
    (tmp_path / "older").write_bytes(middle.checkpoint(size))

    verdict = run(middle, "--checkpoint", str(tmp_path / "older"))
    assert ("ok", f"the first {size:,} entries are what was signed then") == verdict.step(7)


def test_older_checkpoint_must_be_of_this_log(middle: Log, tmp_path: Path, run: Run) -> None:
    """An older checkpoint that another key signed, or that is no checkpoint, is refused."""
    older = tmp_path / "older"
    other = Ed25519PrivateKey.from_private_bytes(bytes([2]) * 32)
    for content in (Log(tmp_path, middle.entries, other).checkpoint(300), b"\xff", b""):
        older.write_bytes(content)
        assert (7, str(older)) == run(middle, "--checkpoint", str(older)).refused


def test_log_signed_with_another_key_is_refused(middle: Log, run: Run) -> None:
    """A log re-signed with another key passes by the key in its folder, but not by the real one."""
    real = middle.vkey
    middle.key = Ed25519PrivateKey.from_private_bytes(bytes([2]) * 32)
    middle.write(700)

    verdict = run(middle, vkey=False)
    assert 0 == verdict.status
    assert "from the folder itself" in verdict.step(1)[1]
    assert (2, "checkpoint") == run(middle, "--vkey", real, vkey=False).refused


def test_checkpoint_of_another_log_is_refused(middle: Log, run: Run) -> None:
    """A checkpoint of another origin is refused, unless the auditor asked for that origin."""
    middle.put("checkpoint", middle.checkpoint(700, origin="other.example"))

    assert (2, "checkpoint") == run(middle).refused
    assert 0 == run(middle, "--origin", "other.example").status


def test_checkpoint_of_another_root_is_refused(middle: Log, run: Run) -> None:
    """A log whose files agree with each other, and not with what was signed, is refused."""
    middle.put("checkpoint", middle.checkpoint(699, claimed=700))

    assert (6, "checkpoint") == run(middle).refused


@pytest.mark.parametrize("claimed", [2**40, 2**62, 2**63 - 1])
def test_giant_size_is_refused(claimed: int, middle: Log, run: Run) -> None:
    """A signed size that the folder cannot hold is refused without enumerating it."""
    middle.put("checkpoint", middle.checkpoint(700, claimed=claimed))

    step, file = run(middle).refused
    assert (3, "tile/") == (step, file[:5])


@pytest.mark.parametrize(
    "file",
    [
        "tile/notes.txt",
        "tile/3/000",
        "tile/00/000",
        "tile/-1/000",
        "tile/0/notes.txt",
        "tile/0/.DS_Store",
        "tile/0/000~",
        "tile/0/0000",
        "tile/0/002",
        "tile/0/003",
        "tile/0/999",
        "tile/0/x000/000",
        "tile/0/x001/000",
        "tile/0/x001.p/1",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/-1",
        "tile/0/000.p/1/1",
        "tile/0/002.p/189",
        "tile/0/003.p/1",
        "tile/1/000.p/3",
        "tile/entries/003",
        "tile/entries/002.p/189",
        "tile/entries/\u0660\u0660\u0660",
    ],
)
def test_stray_file_is_refused(file: str, middle: Log, run: Run) -> None:
    """Nothing lies under tile/ that a log of this size does not have."""
    middle.put(file, bytes(32))

    step, named = run(middle).refused
    assert step == 3
    assert file.startswith(named)


def test_each_missing_file_is_refused(middle: Log, run: Run) -> None:
    """Each file that the size demands is missed, by name, if it is not there."""
    current = {tile_path(*tile) for tile in tiles_of(700)}
    current |= {bundle_path(0), bundle_path(1), bundle_path(2, 188)}
    for file in sorted(current):
        kept = (middle.folder / file).read_bytes()
        (middle.folder / file).unlink()
        assert (3, file) == run(middle).refused
        middle.put(file, kept)


@pytest.mark.parametrize("folder", ["tile", "tile/0", "tile/1", "tile/entries"])
def test_missing_folder_is_refused(folder: str, middle: Log, run: Run) -> None:
    """A level, or all of them, cannot be left out."""
    shutil.rmtree(middle.folder / folder)

    assert (3, folder) == run(middle).refused


@pytest.mark.parametrize("change", [-1, 1, 32, -32])
def test_tile_of_wrong_length_is_refused(change: int, middle: Log, run: Run) -> None:
    """A tile has exactly the bytes that its width says."""
    for file in (name for name in middle.files() if "entries" not in name):
        kept = (middle.folder / file).read_bytes()
        middle.put(file, kept[:change] if change < 0 else kept + bytes(change))
        assert (3, file) == run(middle).refused
        middle.put(file, kept)


@pytest.mark.parametrize("change", [-1, 1, 2, 70])
def test_bundle_of_wrong_length_is_refused(change: int, middle: Log, run: Run) -> None:
    """A bundle ends with its last entry."""
    for file in (name for name in middle.files() if "entries" in name):
        kept = (middle.folder / file).read_bytes()
        middle.put(file, kept[:change] if change < 0 else kept + bytes(change))
        assert (4, file) == run(middle).refused
        middle.put(file, kept)


def test_huge_file_is_refused_unread(middle: Log, run: Run) -> None:
    """A file that is longer than its place allows is refused by its length."""
    for file, step in (("tile/entries/000", 3), ("tile/0/000", 3), ("checkpoint", 2)):
        kept = (middle.folder / file).read_bytes()
        with (middle.folder / file).open("r+b") as opened:
            opened.truncate(2**40)
        assert (step, file) == run(middle).refused
        (middle.folder / file).unlink()
        middle.put(file, kept)


@pytest.mark.parametrize(
    ("file", "step"),
    [("checkpoint", 2), ("tile/0/000", 3), ("tile/entries/002.p/188", 3), ("tile/0/000.p/100", 3)],
)
@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_regular_file_is_refused(
    file: str, step: int, kind: str, middle: Log, run: Run
) -> None:
    """A symbolic link, a pipe or a folder in the place of a file is refused, and not opened."""
    path = middle.folder / file
    path.rename(middle.folder / "elsewhere")
    if kind == "link":
        path.symlink_to(middle.folder / "elsewhere")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()

    assert (step, file) == run(middle).refused


@pytest.mark.parametrize("folder", ["tile", "tile/0", "tile/entries", "tile/0/000.p"])
def test_linked_folder_is_refused(folder: str, middle: Log, run: Run) -> None:
    """No folder below the log's own may be a symbolic link."""
    (middle.folder / folder).rename(middle.folder / "elsewhere")
    (middle.folder / folder).symlink_to(middle.folder / "elsewhere")

    assert (3, folder) == run(middle).refused


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\0", b"name+00000000+AAAA", b"two\nlines\n"])
def test_bad_key_in_the_folder_is_refused(content: bytes, middle: Log, run: Run) -> None:
    """A key file in the folder that holds no key is the log's fault."""
    middle.put("vkey", content)

    assert (1, "vkey") == run(middle, vkey=False).refused


def test_linked_key_in_the_folder_is_refused(middle: Log, run: Run) -> None:
    """The folder's key file is not followed out of the folder."""
    (middle.folder / "vkey").rename(middle.folder / "elsewhere")
    (middle.folder / "vkey").symlink_to(middle.folder / "elsewhere")

    assert (1, "vkey") == run(middle, vkey=False).refused


def test_missing_checkpoint_is_refused(middle: Log, run: Run) -> None:
    """A folder without a checkpoint is no log."""
    (middle.folder / "checkpoint").unlink()

    assert (2, "checkpoint") == run(middle).refused


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (b'{"a":1}', "1 Seawall entries (canonical JSON objects)"),
        (b'{"a": 1}', "1 JSON objects in another form"),
        (b'{"a":null}', "1 JSON objects in another form"),
        (b'{"a":[{"b":null}]}', "1 JSON objects in another form"),
        (b'{"a":[{"b":"null"}]}', "1 Seawall entries (canonical JSON objects)"),
        (b'{"a":-9007199254740991}', "1 Seawall entries (canonical JSON objects)"),
        (b'{"a":9007199254740992,}', "1 of another kind"),
        (b'{"a":[9007199254740992]}', "1 JSON objects in another form"),
        (b'{"a":1.5}', "1 of another kind"),
        (b"[]", "1 of another kind"),
        (b"\xff", "1 of another kind"),
        (b"", "1 of another kind"),
        (b"[" * 60_000, "1 of another kind"),
        (b"9" * 60_000, "1 of another kind"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_content_is_told_and_not_judged(
    entry: bytes, expected: str, tmp_path: Path, run: Run
) -> None:
    """Step 8 says what the entries are, and refuses none."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))

    verdict = run(Log(tmp_path, [entry], key).write(1))
    assert ("ok", True) == (verdict.step(8)[0], expected in verdict.step(8)[1])
