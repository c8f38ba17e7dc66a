"""Copies that hold a part of a log: pruned ones, archives, and both together."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from cosigners import ed25519
from seawall.verifier.__main__ import main
from verifier.logs import Log, Run, log_in
from verifier.stampers import Authority, stamp, stamper

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALLOWED = "--allow-pruned"


@pytest.fixture
def pruned(middle: Log) -> Log:
    """Return the log of 700 entries without its first 512."""
    middle.prune(512)
    return middle


@pytest.fixture
def archived(tmp_path: Path) -> Log:
    """Return an archive of a log that had 100, 300 and 600 entries when it was written."""
    log = log_in(tmp_path / "archive", 100, 300, 600)
    log.archive(100, 300, 600)
    return log


def newer(log: Log, folder: Path) -> Log:
    """Return the same log with 700 entries, somewhere else."""
    return Log(folder, log_in(folder.parent / "spare", 700).entries, log.key).write(700)


def test_pruned_copy_needs_consent(pruned: Log, run: Run) -> None:
    """Whoever removes early entries cannot get a plain yes: the auditor is asked."""
    verdict = run(pruned)

    assert (3, "minimum") == verdict.refused
    assert "begins at entry 512" in verdict.step(3)[1]
    assert "--allow-pruned" in verdict.report["refusal"]["advice"]


def test_pruned_copy_is_verified_from_its_minimum(pruned: Log, run: Run) -> None:
    """With consent the rest is verified, and each step says what was not."""
    verdict = run(pruned, ALLOWED)

    assert (0, 512) == (verdict.status, verdict.report["verified_from"])
    assert "those of the first 512 entries are NOT in this copy" in verdict.step(3)[1]
    assert "the 512 before them were NOT hashed" in verdict.step(4)[1]
    assert "188 of 700 read" in verdict.step(8)[1]


def test_verdict_names_the_first_verified_entry(
    pruned: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last line cannot be taken for a plain yes, with or without the auditor's own key."""
    for key in ([], ["--vkey", pruned.vkey]):
        assert 0 == main([str(pruned.folder), ALLOWED, *key])
        out = " ".join(capsys.readouterr().out.split())
        assert "FROM ENTRY 512 ON, of 700. The entries before it were not in this copy" in out
        assert "VERIFIED. " not in out


@pytest.mark.parametrize(
    ("size", "minimum"),
    [(256, 256), (512, 256), (700, 256), (66_000, 65_536), (66_000, 65_792), (66_000, 65_280)],
)
def test_pruned_logs_of_all_shapes(size: int, minimum: int, tmp_path: Path, run: Run) -> None:
    """The tiles of level 1 stand for what was pruned, up to the whole of it."""
    log = log_in(tmp_path, size)
    log.prune(minimum)

    assert 0 == run(log, ALLOWED).status


def test_sound_log_may_name_a_minimum_of_zero(middle: Log, run: Run) -> None:
    """A log that was not pruned may say so."""
    middle.put("minimum", b"0\n")

    assert (0, 0) == (run(middle).status, run(middle).report["verified_from"])


@pytest.mark.parametrize(
    ("minimum", "file"),
    [
        (b"256\n", "tile/entries/001"),
        (b"0\n", "tile/entries/000"),
        (b"768\n", "minimum"),
        (b"500\n", "minimum"),
        (b"0512\n", "minimum"),
        (b"512", "minimum"),
        (b"512\r\n", "minimum"),
        (b"", "minimum"),
        (b"9" * 33, "minimum"),
        (b"\xff\n", "minimum"),
    ],
)
def test_changed_minimum_is_refused(minimum: bytes, file: str, pruned: Log, run: Run) -> None:
    """A minimum that is lower than what is there, or malformed, is refused."""
    pruned.put("minimum", minimum)

    assert (3, file) == run(pruned, ALLOWED).refused


def test_files_below_the_minimum_are_refused(middle: Log, run: Run) -> None:
    """Raising the minimum does not hide files that nobody would hash."""
    middle.put("minimum", b"256\n")
    for file, kind in (("000", "entries"), ("000.p", "entries"), ("000", "0"), ("000.p", "0")):
        for path in middle.folder.glob("tile/*/000*"):
            is_left = path.name == file and path.parent.name == kind
            if path.parent.name in {"0", "entries"} and not is_left:
                shutil.move(path, middle.folder / f"{path.parent.name}-{path.name}")
        assert (3, f"tile/{kind}/{file}") == run(middle, ALLOWED).refused
        for moved in middle.folder.glob("*-000*"):
            shutil.move(moved, middle.folder / "tile" / moved.name.replace("-", "/"))


def test_changed_tile_over_pruned_entries_is_refused(tmp_path: Path, run: Run) -> None:
    """What stands for the pruned entries is bound by the signed root."""
    pruned = log_in(tmp_path, 700)
    pruned.prune(512)
    kept = (pruned.folder / "tile/1/000.p/2").read_bytes()
    pruned.put("tile/1/000.p/2", bytes([kept[0] ^ 1]) + kept[1:])

    assert (6, "checkpoint") == run(pruned, ALLOWED).refused


def test_missing_tile_over_pruned_entries_is_refused(pruned: Log, run: Run) -> None:
    """Without what stands for the pruned entries nothing can be verified."""
    (pruned.folder / "tile/1/000.p/2").unlink()

    assert (3, "tile/1/000.p/2") == run(pruned, ALLOWED).refused


def test_entry_after_the_minimum_is_missed(pruned: Log, run: Run) -> None:
    """Nothing that is not pruned may be missing."""
    (pruned.folder / "tile/entries/002.p/188").unlink()

    assert (3, "tile/entries/002.p/188") == run(pruned, ALLOWED).refused


@pytest.mark.parametrize(("size", "expected"), [(256, "ok"), (512, "ok"), (600, "ok")])
def test_older_checkpoint_of_a_pruned_log(
    size: int, expected: str, pruned: Log, tmp_path: Path, run: Run
) -> None:
    """Older checkpoints are compared where their root still follows from what is there."""
    (tmp_path / "older").write_bytes(pruned.checkpoint(size))

    assert expected == run(pruned, ALLOWED, "--checkpoint", str(tmp_path / "older")).step(7)[0]


def test_older_checkpoint_that_needs_what_was_pruned(pruned: Log, tmp_path: Path, run: Run) -> None:
    """An older checkpoint that cannot be compared is refused, and not passed over."""
    (tmp_path / "older").write_bytes(pruned.checkpoint(300))

    verdict = run(pruned, ALLOWED, "--checkpoint", str(tmp_path / "older"))
    assert (7, str(tmp_path / "older")) == verdict.refused
    assert "--also" in verdict.report["refusal"]["advice"]


def test_published_checkpoints_that_need_what_was_pruned(pruned: Log, run: Run) -> None:
    """A cosigned checkpoint that cannot be compared counts for nothing."""
    witness = ed25519("w.example")
    pruned.publish(300, witness)
    assert (9, "checkpoint") == run(pruned, ALLOWED, "--witness", str(witness.key)).refused

    pruned.publish(512, witness)
    found = run(pruned, ALLOWED, "--witness", str(witness.key)).step(9)[1]
    assert "saw the first 512 of 700 entries" in found


def test_pruned_copy_and_archive_hold_the_whole_log(
    archived: Log, tmp_path: Path, run: Run
) -> None:
    """An archive of the old part and a pruned copy of the new one are verified together."""
    log = newer(archived, tmp_path / "copy")
    log.prune(512)

    verdict = run(log, "--also", str(archived.folder))
    assert (0, 0) == (verdict.status, verdict.report["verified_from"])
    assert "700 entries hash to the tiles of level 0" in verdict.step(4)[1]
    assert "every entry read" in verdict.step(8)[1]


def test_older_checkpoint_is_compared_with_both_parts(
    archived: Log, tmp_path: Path, run: Run
) -> None:
    """What needs the old part is read from the archive."""
    log = newer(archived, tmp_path / "copy")
    log.prune(512)
    (tmp_path / "older").write_bytes(log.checkpoint(300))
    arguments = ["--also", str(archived.folder), "--checkpoint", str(tmp_path / "older")]

    assert "ok" == run(log, *arguments).step(7)[0]


@pytest.mark.parametrize("file", ["tile/entries/000", "tile/0/001", "tile/0/000.p/100"])
def test_changed_archive_beside_a_copy_is_refused(
    file: str, archived: Log, tmp_path: Path, run: Run
) -> None:
    """Every file of the old part that counts is checked, with its partial ones."""
    log = newer(archived, tmp_path / "copy")
    log.prune(512)
    kept = (archived.folder / file).read_bytes()
    archived.put(file, kept[:-1] + bytes([kept[-1] ^ 1]))

    assert 4 == run(log, "--also", str(archived.folder)).refused[0]


def test_archive_of_another_log_beside_a_copy_is_refused(tmp_path: Path, run: Run) -> None:
    """The old part must be of the same log, whatever it says of itself."""
    log = log_in(tmp_path / "copy", 700)
    log.prune(512)
    other = Log(tmp_path / "other", [b"{}" for _ in log.entries], log.key).write(512)

    assert (5, "tile/1/000.p/2") == run(log, "--also", str(other.folder)).refused


def test_hole_between_both_parts_is_missed(archived: Log, tmp_path: Path, run: Run) -> None:
    """What neither part holds is missing."""
    log = newer(archived, tmp_path / "copy")
    log.prune(512)
    (archived.folder / "tile/entries/001").unlink()

    assert (3, "tile/entries/001") == run(log, "--also", str(archived.folder)).refused


def test_second_part_must_be_a_folder(middle: Log) -> None:
    """A second part that is not there is a wrong call."""
    assert 2 == main([str(middle.folder), "--vkey", middle.vkey, "--also", "no such folder"])


def test_archive_is_verified(archived: Log, run: Run) -> None:
    """An archive is verified by its newest checkpoint."""
    assert (2, "checkpoint") == run(archived).refused

    verdict = run(archived, "--archive")
    assert 0 == verdict.status
    assert "600 entries" in verdict.step(2)[1]


def test_archive_that_is_ahead_of_its_checkpoint(archived: Log, run: Run) -> None:
    """Tiles that were archived before their checkpoint are counted, and not read."""
    archived.put("tile/entries/002", b"")
    archived.put("tile/0/002", b"")
    archived.put("tile/entries/002.p/200", b"")
    archived.put("tile/0/x001/000", b"")
    archived.put("tile/2/000.p/1", b"")

    assert "; 5 of a larger log were not read" in run(archived, "--archive").step(3)[1]


@pytest.mark.parametrize("file", ["tile/notes.txt", "tile/0/note", "tile/0/000.p/x", "tile/99/000"])
def test_stranger_in_an_archive_is_refused(file: str, archived: Log, run: Run) -> None:
    """An archive may hold more than its newest checkpoint signs, and nothing else."""
    archived.put(file, b"")

    step, named = run(archived, "--archive").refused
    assert (3, True) == (step, file.startswith(named))


def test_archive_that_lost_its_end_says_so(archived: Log, run: Run) -> None:
    """Without the tiles of the newest checkpoint the one before is taken, and that is said."""
    for path in archived.folder.glob("tile/*/002.p/88"):
        path.unlink()

    assert (2, "checkpoints") == run(archived, "--archive").refused
    verdict = run(archived, "--archive", "--allow-older")
    assert "300 entries" in verdict.step(2)[1]
    assert "1 newer checkpoints lie there WITHOUT the tiles" in verdict.step(2)[1]


def test_archive_with_a_hole_is_refused(archived: Log, run: Run) -> None:
    """A tile that is missing in the middle is missed, and no smaller size taken instead."""
    (archived.folder / "tile/entries/001").unlink()

    assert (3, "tile/entries/001") == run(archived, "--archive").refused


def test_archived_checkpoint_must_be_of_its_name(archived: Log, run: Run) -> None:
    """A checkpoint under the name of another size is refused."""
    archived.put("checkpoints/600", archived.checkpoint(300))

    assert (2, "checkpoints/600") == run(archived, "--archive").refused


@pytest.mark.parametrize("spoil", ["none", "empty", "file", "linked"])
def test_folder_that_is_no_archive_is_refused(spoil: str, archived: Log, run: Run) -> None:
    """A folder without archived checkpoints is no archive."""
    place = archived.folder / "checkpoints"
    place.rename(archived.folder / "elsewhere")
    if spoil == "empty":
        place.mkdir()
    elif spoil == "file":
        place.touch()
    elif spoil == "linked":
        place.symlink_to(archived.folder / "elsewhere")

    assert (2, "checkpoints") == run(archived, "--archive").refused


def test_archive_with_published_checkpoints(archived: Log, tmp_path: Path, run: Run) -> None:
    """What was published lies beside an archive; what is ahead of its checkpoint is left out."""
    witness, root = ed25519("w.example"), Authority("root")
    archived.entries = log_in(tmp_path / "longer", 700).entries
    for size in (600, 700):
        note = archived.publish(size, witness)
        text = note.rpartition("\n\n")[0].encode() + b"\n"
        archived.put(f"published/{size}/stamp.tsr", stamp(tmp_path / "tsa", text, stamper(root)))
    (tmp_path / "root.pem").write_bytes(root.pem)
    asked = ["--witness", str(witness.key), "--timestamp-authority", str(tmp_path / "root.pem")]

    verdict = run(archived, "--archive", *asked)
    assert "saw all 600 entries" in verdict.step(9)[1]
    assert "all 600 entries were there" in verdict.step(10)[1]


def files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder."""
    return (path for path in folder.rglob("*") if path.is_file())


def test_any_file_of_an_archive_is_guarded(archived: Log, run: Run) -> None:
    """A changed byte in whichever file of an archive's tiles or checkpoint is refused."""
    for path in files(archived.folder / "tile"):
        kept = path.read_bytes()
        path.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
        assert run(archived, "--archive").refused[0] in {4, 5}
        path.write_bytes(kept)
    assert 0 == run(archived, "--archive").status
