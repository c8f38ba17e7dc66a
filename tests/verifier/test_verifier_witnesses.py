"""Step 9: cosignatures of witnesses, by the auditor's own list of them."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cosigners import NOW, ed25519, ml_dsa_44
from seawall.core.ledger.cosignature import make_cosigner
from seawall.verifier.__main__ import main
from seawall.verifier.folder import Folder
from seawall.verifier.note import read_key, read_note, read_witness_key
from seawall.verifier.published import read_signed
from seawall.verifier.refusal import Refusal, UsageError
from seawall.verifier.witnesses import find_witnessed, make_policy
from verifier.logs import Log, Run, log_in

if TYPE_CHECKING:
    from cosigners import Cosigner

VECTORS = Path(__file__).parents[1] / "vectors" / "cosignatures"
ONE, TWO, THREE = ed25519("w1.example"), ml_dsa_44("w2.example"), ed25519("w3.example")


def asked(*cosigners: Cosigner) -> list[str]:
    """Return the arguments that name witnesses."""
    return [word for each in cosigners for word in ("--witness", str(each.key))]


def test_cosigned_present_checkpoint(middle: Log, run: Run) -> None:
    """Both kinds of cosignature below the present checkpoint count, and say when."""
    note = middle.checkpoint(700).decode()
    middle.put("checkpoint", (note + str(ONE.cosign(note)) + str(TWO.cosign(note))).encode())

    verdict = run(middle, *asked(ONE, TWO))
    found = "2 of 2 witnesses saw all 700 entries in one history, at 2026-02-02T02:40:00Z"
    assert ("ok", found) == verdict.step(9)


def test_newest_cosigned_published_checkpoint_counts(middle: Log, run: Run) -> None:
    """Of the published checkpoints the newest that enough witnesses cosigned is taken."""
    middle.publish(300, ONE, TWO)
    middle.publish(600, ONE, TWO, at=NOW + 60)
    middle.publish(650, ONE)

    assert "saw the first 600 of 700 entries" in run(middle, *asked(ONE, TWO)).step(9)[1]
    some = run(middle, *asked(ONE, TWO), "--witnesses-required", "1")
    assert "1 of 2 witnesses saw the first 650 of 700 entries" in some.step(9)[1]


def test_times_of_several_witnesses(middle: Log, run: Run) -> None:
    """Where witnesses cosigned at different times, the first and the last are named."""
    note = middle.checkpoint(700).decode()
    lines = (str(ONE.cosign(note)), str(THREE.cosign(note, NOW + 3_600)))
    middle.put("published/700/checkpoint", (note + "".join(lines)).encode())

    found = run(middle, *asked(ONE, THREE)).step(9)[1]
    assert "at 2026-02-02T02:40:00Z to 2026-02-02T03:40:00Z" in found


def test_too_few_witnesses_are_refused(middle: Log, run: Run) -> None:
    """By default every given witness must have cosigned, and unknown ones count for nothing."""
    middle.publish(600, ONE, THREE)

    verdict = run(middle, *asked(ONE, TWO))
    assert (9, "checkpoint") == verdict.refused
    assert "the most that one has is 1" in verdict.step(9)[1]
    assert "ok" == verdict.step(8)[0]


def test_one_witness_twice_is_one(middle: Log, run: Run) -> None:
    """Two keys under one name, and one key under two names, are one witness."""
    both = (ed25519("w1.example", "a"), ml_dsa_44("w1.example", "b"))
    renamed = (ed25519("x.example", "c"), ed25519("y.example", "c"))
    middle.publish(600, *both, *renamed)

    assert 0 == run(middle, *asked(*both)).status
    assert "2 of 2 witnesses" in run(middle, *asked(*both, *renamed)).step(9)[1]
    three = [*asked(*both, *renamed), "--witnesses-required", "3"]
    assert 2 == main([str(middle.folder), "--vkey", middle.vkey, *three])


@pytest.mark.parametrize("witness", [ONE, TWO], ids=["ed25519", "ml-dsa-44"])
def test_replayed_cosignature_is_refused(witness: Cosigner, middle: Log, run: Run) -> None:
    """A cosignature of an earlier checkpoint under a later one is refused."""
    old = middle.checkpoint(300).decode()
    middle.put(
        "published/600/checkpoint", middle.checkpoint(600) + str(witness.cosign(old)).encode()
    )

    assert (9, "published/600/checkpoint") == run(middle, *asked(witness)).refused


@pytest.mark.parametrize("witness", [ONE, TWO], ids=["ed25519", "ml-dsa-44"])
@pytest.mark.parametrize("at", [4, 11, 12, 40, -1])
def test_changed_cosignature_is_refused(witness: Cosigner, at: int, middle: Log, run: Run) -> None:
    """A changed time or signature of a given witness is refused, though another would do."""
    note = middle.checkpoint(600).decode()
    name, encoded = str(witness.cosign(note)).split()[1:]
    raw = bytearray(base64.b64decode(encoded))
    raw[at] ^= 1
    bad = f"\N{EM DASH} {name} {base64.b64encode(raw).decode()}\n"
    middle.put("published/600/checkpoint", (note + bad + str(THREE.cosign(note))).encode())

    arguments = [*asked(witness, THREE), "--witnesses-required", "1"]
    assert (9, "published/600/checkpoint") == run(middle, *arguments).refused
    assert 0 == run(middle, *asked(THREE)).status


@pytest.mark.parametrize("at", [0, 2**63 - 1, 2**64 - 1])
def test_impossible_time_is_refused(at: int, middle: Log, run: Run) -> None:
    """A cosignature without a time, or of the future, is refused however well signed."""
    note = read_note(middle.checkpoint(600))
    signature = ONE.sign(f"cosignature/v1\ntime {at}\n{note.text}".encode())
    raw = base64.b64encode(ONE.key.key_id + at.to_bytes(8, "big") + signature).decode()
    line = f"\N{EM DASH} {ONE.key.name} {raw}\n".encode()
    middle.put("published/600/checkpoint", middle.checkpoint(600) + line)

    assert (9, "published/600/checkpoint") == run(middle, *asked(ONE)).refused


def test_cosigned_fork_is_refused(middle: Log, tmp_path: Path, run: Run) -> None:
    """A checkpoint that witnesses saw, and that is not of this history, tells of a fork."""
    fork = Log(tmp_path / "fork", [b"{}", *middle.entries[1:]], middle.key)
    middle.put("published/600/checkpoint", fork.publish(600, ONE).encode())

    verdict = run(middle, *asked(ONE))
    assert (6, "published/600/checkpoint") == verdict.refused
    assert "another history" in verdict.step(6)[1]


def test_copy_that_was_cut_back_is_refused(middle: Log, run: Run) -> None:
    """A published checkpoint that is larger than the log shows that it was rolled back."""
    middle.publish(700, ONE)
    middle.publish(600, ONE)
    middle.write(600)
    for path in middle.folder.glob("tile/*/002.p/188"):
        path.unlink()

    verdict = run(middle, *asked(ONE))
    assert (6, "published/700/checkpoint") == verdict.refused
    assert "it was cut back" in verdict.step(6)[1]


def test_published_checkpoint_of_another_key_is_refused(
    middle: Log, tmp_path: Path, run: Run
) -> None:
    """What witnesses cosigned must also be signed by the log."""
    other = log_in(tmp_path / "other", 700, seed=2)
    middle.put("published/600/checkpoint", other.publish(600, ONE).encode())

    assert (9, "published/600/checkpoint") == run(middle, *asked(ONE)).refused


def test_published_checkpoint_must_be_of_its_folder(middle: Log, run: Run) -> None:
    """A checkpoint under the name of another size is refused."""
    middle.put("published/650/checkpoint", middle.publish(600, ONE).encode())

    assert (9, "published/650/checkpoint") == run(middle, *asked(ONE)).refused


def test_linked_folders_of_published_checkpoints(middle: Log, run: Run) -> None:
    """A symbolic link among what was published is not followed."""
    middle.publish(600, ONE)
    (middle.folder / "published/650").symlink_to(middle.folder / "published/600")

    assert "the first 600 of 700" in run(middle, *asked(ONE)).step(9)[1]
    (middle.folder / "published").rename(middle.folder / "elsewhere")
    (middle.folder / "published").symlink_to(middle.folder / "elsewhere")
    assert (6, "published") == run(middle, *asked(ONE)).refused


def test_ml_dsa_cannot_sign_for_a_long_name(tmp_path: Path, run: Run) -> None:
    """An ML-DSA cosignature of a log whose name does not fit its message is refused."""
    log = log_in(tmp_path, 3)
    log.origin = "x" * 256
    log.write(3)
    line = str(TWO.cosign(log_in(tmp_path / "other", 3).checkpoint(3).decode()))
    log.put("checkpoint", log.checkpoint(3) + line.encode())

    assert (9, "checkpoint") == run(log, *asked(TWO)).refused


@pytest.mark.parametrize(
    "call",
    [
        ["--witness", "nothing"],
        [*asked(ONE), "--witnesses-required", "0"],
        [*asked(ONE), "--witnesses-required", "2"],
        [*asked(ONE), "--witnesses-required", "x"],
        ["--witnesses-required", "1"],
    ],
)
def test_policy_that_cannot_be_met_is_a_wrong_call(call: list[str], middle: Log) -> None:
    """A policy that could never be met, or that asks for nothing, is a wrong call."""
    assert 2 == main([str(middle.folder), "--vkey", middle.vkey, *call])


def test_log_cannot_witness_itself(middle: Log) -> None:
    """The log's own key is no witness, under whatever name and type."""
    log = read_key(middle.vkey)
    own = make_cosigner("w.example", 4, log.public)

    with pytest.raises(UsageError, match="the log's own key is no witness's"):
        make_policy([read_witness_key(str(own))], None, log, NOW)
    assert 2 == main([str(middle.folder), "--vkey", middle.vkey, "--witness", middle.vkey])


def test_witness_may_be_named_by_a_file(middle: Log, tmp_path: Path, run: Run) -> None:
    """A witness's key may lie in a file."""
    middle.publish(600, ONE)
    (tmp_path / "witness").write_text(f"{ONE.key}\n")

    assert "ok" == run(middle, "--witness", str(tmp_path / "witness")).step(9)[0]


def test_ml_dsa_where_cryptography_has_none(middle: Log) -> None:
    """With an older `cryptography` an ML-DSA key is refused by name, and the rest works."""
    note = middle.checkpoint(700).decode()
    middle.put("checkpoint", (note + str(ONE.cosign(note))).encode())
    script = (
        "import sys, cryptography.x509\n"
        "from cryptography.hazmat.primitives import asymmetric\n"
        "sys.modules[asymmetric.mldsa.__name__] = None; del asymmetric.mldsa\n"
        "from seawall.verifier.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", script, str(middle.folder), "--vkey", middle.vkey]

    statuses = []
    for witness in (ONE, TWO):
        done = subprocess.run(  # noqa: S603  our own program
            [*command, *asked(witness)], capture_output=True, text=True, check=False
        )
        statuses.append((done.returncode, "ML-DSA-44 is not available here" in done.stderr))
    assert [(0, False), (2, True)] == statuses


def cases() -> list[Path]:
    """Return the vectors of cosignatures, of which there are some."""
    found = sorted(VECTORS.glob("*/*.txt"))
    assert found
    return found


@pytest.mark.parametrize("case", cases(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_vector(case: Path, tmp_path: Path) -> None:
    """The vectors that the server's own code is held to are judged alike."""
    keys = json.loads((VECTORS / "keys.json").read_text())
    log = read_key(keys["log"])
    policy = make_policy(
        [read_witness_key(vkey) for vkey in keys["witnesses"]],
        keys["required"],
        log,
        keys["now"],
    )
    (tmp_path / "checkpoint").write_bytes(case.read_bytes())

    try:
        present = read_signed(Folder(tmp_path), 2, "checkpoint", log, log.name)
        find_witnessed(Folder(tmp_path), present, log, policy, 0)
        judged = "witnessed"
    except Refusal as refusal:
        judged = "not-witnessed" if "the most that one has" in refusal.problem else "refused"
    assert case.parent.name == judged
