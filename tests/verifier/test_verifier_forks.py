"""Evidence that lies in a copy itself: of two histories under one key, and of a log cut back."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from cosigners import ed25519
from seawall.verifier.__main__ import main
from verifier.logs import Log, Run, log_in

if TYPE_CHECKING:
    from pathlib import Path

OLDER = "--allow-older"


def fork(log: Log) -> Log:
    """Return another history of the log, signed with the same key."""
    return Log(log.folder, [b"{}", *log.entries[1:]], log.key)


def rolled_back(log: Log) -> Log:
    """Remove the tiles that only the last 100 of 700 entries have; leave the checkpoint of 700."""
    for path in log.folder.glob("tile/*/002.p/188"):
        path.unlink()
    return log


@pytest.mark.parametrize("size", [1, 256, 500, 600, 700])
@pytest.mark.parametrize("place", ["published/{}/checkpoint", "checkpoints/{}"])
def test_another_history_beside_the_log_is_refused(
    size: int, place: str, middle: Log, run: Run
) -> None:
    """A checkpoint of the log's key over another root is found, though nobody asked for it."""
    file = place.format(size)
    middle.put(file, fork(middle).checkpoint(size))

    assert (6, file) == run(middle).refused


def test_split_view_beside_a_cosigned_checkpoint_is_refused(middle: Log, run: Run) -> None:
    """Witnesses of the present checkpoint do not excuse the other history that lies there."""
    witness = ed25519("w.example")
    note = middle.checkpoint(700).decode()
    middle.put("checkpoint", (note + str(witness.cosign(note))).encode())
    middle.put("published/700/checkpoint", fork(middle).checkpoint(700))

    assert (6, "published/700/checkpoint") == run(middle, "--witness", str(witness.key)).refused


def test_another_history_in_an_archive_is_refused(middle: Log, run: Run) -> None:
    """Every checkpoint of an archive is compared, and not only its newest."""
    middle.archive(100, 600, 700)
    middle.put("checkpoints/300", fork(middle).checkpoint(300))

    assert (6, "checkpoints/300") == run(middle, "--archive").refused


def test_another_history_beside_the_rest_of_a_log_is_refused(
    middle: Log, tmp_path: Path, run: Run
) -> None:
    """The checkpoints of a folder that is given with --also are compared too."""
    rest = log_in(tmp_path / "rest", 600)
    rest.put("checkpoints/300", fork(rest).checkpoint(300))

    assert (6, "checkpoints/300") == run(middle, "--also", str(rest.folder)).refused


def test_checkpoint_under_another_size_is_compared_as_it_is_signed(middle: Log, run: Run) -> None:
    """What a checkpoint signs counts, not what its file is named."""
    middle.put("published/5/checkpoint", fork(middle).checkpoint(300))

    assert (6, "published/5/checkpoint") == run(middle).refused


def test_compared_checkpoints_are_counted(middle: Log, run: Run) -> None:
    """Step 6 says how many were compared, and how many are not of the log's key."""
    middle.publish(300)
    middle.put("checkpoints/600", middle.checkpoint(600))
    middle.put("published/400/checkpoint", log_in(middle.folder / "x", 400, seed=9).checkpoint(400))

    found = run(middle).step(6)[1]
    assert "those of 2 other checkpoints in this copy" in found
    assert "1 that the key did not sign were NOT compared" in found


def test_checkpoints_within_what_was_pruned_are_left_out(middle: Log, run: Run) -> None:
    """What cannot be recomputed is not compared, and the rest is."""
    middle.publish(300)
    middle.publish(600)
    middle.prune(512)

    assert "those of 1 other checkpoints" in run(middle, "--allow-pruned").step(6)[1]


def test_cut_back_copy_is_refused_without_any_witness(middle: Log, run: Run) -> None:
    """A signed checkpoint of more entries than the log has shows that it was cut back."""
    middle.publish(700)
    middle.write(600)
    rolled_back(middle)

    assert (6, "published/700/checkpoint") == run(middle).refused
    verdict = run(middle, OLDER)
    assert (0, 600, 1) == (
        verdict.status,
        verdict.report["size"],
        verdict.report["newer_checkpoints_without_tiles"],
    )


def test_rolled_back_archive_is_refused(middle: Log, run: Run) -> None:
    """An archive without the tiles of its newest checkpoint is not taken at an older size."""
    middle.archive(300, 600, 700)
    rolled_back(middle)

    assert (2, "checkpoints") == run(middle, "--archive").refused


def test_emptied_archive_is_refused(middle: Log, run: Run) -> None:
    """An archive whose tiles are all gone is not an empty log, and says so if that is allowed."""
    middle.archive(300, 700)
    middle.put("checkpoints/0", Log(middle.folder, [], middle.key).checkpoint(0))
    shutil.rmtree(middle.folder / "tile")

    assert (2, "checkpoints") == run(middle, "--archive").refused
    report = run(middle, "--archive", OLDER).report
    assert (0, 2) == (report["size"], report["newer_checkpoints_without_tiles"])


def test_verdict_names_an_older_state(middle: Log, capsys: pytest.CaptureFixture[str]) -> None:
    """The last lines of an older state cannot be taken for a plain yes."""
    middle.archive(300, 600, 700)
    rolled_back(middle)
    assert 0 == main([str(middle.folder), "--vkey", middle.vkey, "--archive", OLDER])

    verdict = " ".join(capsys.readouterr().out.split("\n\n")[-1].split())
    assert verdict.startswith("VERIFIED AN OLDER STATE. Each of the 600 entries")
    assert "1 checkpoints of more entries lie there" in verdict


def test_checkpoints_that_are_too_many_are_said_to_be(small: Log, run: Run) -> None:
    """Where only the newest of a great many were looked at, step 6 says so."""
    for number in range(10_000):
        small.put(f"checkpoints/{number}", b"")

    verdict = run(small)
    assert 0 == verdict.status
    assert "of so many only the newest were looked at" in verdict.step(6)[1]
