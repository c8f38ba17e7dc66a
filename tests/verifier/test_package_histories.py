"""Packages by a forger who holds the log's key: one history, and the entries are of it."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from seawall.core.audit.lines import fhir_lines, json_line
from seawall.core.ledger.tiles import encode_bundle
from verifier.logs import ORIGIN, Log
from verifier.packages import EVENTS, access_log, audit, pack, proof, put, refusal, seal

if TYPE_CHECKING:
    from pathlib import Path

KEY = Ed25519PrivateKey.from_private_bytes(bytes([7]) * 32)


@pytest.fixture
def honest(tmp_path: Path) -> Log:
    """Return a log of 300 entries."""
    return access_log(tmp_path / "honest", KEY, 300)


@pytest.fixture
def forged(tmp_path: Path) -> Log:
    """Return what the same key signs as another history of the same size."""
    return access_log(tmp_path / "forged", KEY, 300, "somebody else")


def test_sound_packages_are_verified(honest: Log, tmp_path: Path) -> None:
    """With proofs, with a copy, and with the key that was brought along."""
    proved = pack(tmp_path / "proved", honest, [5, 257])
    copied = pack(tmp_path / "copied", honest, range(300), copy=True)

    for folder in (proved, copied):
        status, said = audit(folder, "--vkey", honest.vkey)
        assert (0, "VERIFIED.") == (status, said.splitlines()[-1]), said


def test_forged_entries_in_the_copy_do_not_make_the_signed_root(
    honest: Log, forged: Log, tmp_path: Path
) -> None:
    """An entry that agrees with a bundle of the copy is not thereby one that was signed."""
    folder = pack(tmp_path / "package", honest, [257], copy=True)
    entry = forged.entries[257]
    put(folder, "entries.jsonl", json_line(ORIGIN, 257, entry))
    put(folder, EVENTS, fhir_lines(ORIGIN, 257, entry))
    put(folder, "log/tile/entries/001.p/44", encode_bundle(forged.entries[256:]))

    assert "  5  proofs       REFUSED  checkpoint signs another root" in refusal(seal(folder))


def test_an_entry_that_is_not_the_one_of_the_copy_is_refused(
    honest: Log, forged: Log, tmp_path: Path
) -> None:
    """The copy makes the signed root, and the line beside it says something else."""
    folder = pack(tmp_path / "package", honest, [257], copy=True)
    put(folder, "entries.jsonl", json_line(ORIGIN, 257, forged.entries[257]))

    assert "log does not hold entry 257 of entries.jsonl" in refusal(seal(folder))


def test_a_bundle_that_is_missing_or_too_long_is_refused(honest: Log, tmp_path: Path) -> None:
    """Every entry up to the signed size is read, not those alone that were asked for."""
    folder = pack(tmp_path / "package", honest, [257], copy=True)
    bundle = folder / "log/tile/entries/000"
    bundle.write_bytes(bundle.read_bytes() + b"\x00\x00")
    longer = refusal(seal(folder))
    bundle.unlink()

    assert "entries/000 holds more than its entries" in longer
    assert "entries/000 is missing" in refusal(seal(folder))


def test_a_copy_that_the_manifest_does_not_name_is_refused(honest: Log, tmp_path: Path) -> None:
    """Else nobody would have compared it."""
    folder = pack(tmp_path / "package", honest, [5])
    put(folder, "log/checkpoint", honest.checkpoint(300))

    assert "names no copy of the log" in refusal(seal(folder))


def test_two_histories_in_one_package_are_refused(honest: Log, forged: Log, tmp_path: Path) -> None:
    """Each proof leads to the one checkpoint of the package."""
    folder = pack(tmp_path / "package", honest, [5, 6])
    entries = [(5, honest.entries[5]), (6, forged.entries[6])]
    put(folder, "entries.jsonl", b"".join(json_line(ORIGIN, *one) for one in entries))
    put(folder, EVENTS, b"".join(fhir_lines(ORIGIN, *one) for one in entries))
    put(folder, "proofs/6.tlog-proof", proof(forged, 6))

    said = refusal(seal(folder), "--vkey", honest.vkey)

    assert "  5  proofs       REFUSED  proofs/6.tlog-proof rests on another checkpoint" in said


def test_a_published_fork_of_one_size_is_refused(honest: Log, forged: Log, tmp_path: Path) -> None:
    """The key signed two roots over 300 entries: that is what published checkpoints are for."""
    folder = pack(tmp_path / "package", honest, [5])
    put(folder, "published/300/checkpoint", forged.checkpoint(300))

    said = refusal(seal(folder))

    assert "  4  checkpoints  REFUSED  published/300/checkpoint signs another history" in said


def test_a_published_fork_of_a_smaller_size_is_refused_by_the_copy(
    honest: Log, forged: Log, tmp_path: Path
) -> None:
    """Without the copy it says that it was not compared."""
    proved = pack(tmp_path / "proved", honest, [5])
    copied = pack(tmp_path / "copied", honest, [5], copy=True)
    for folder in (proved, copied):
        put(folder, "published/280/checkpoint", forged.checkpoint(280))
        seal(folder)

    assert "published/280/checkpoint signs another root" in refusal(copied)
    assert "of different sizes were NOT compared" in audit(proved)[1]


def test_checkpoints_of_all_sizes_are_compared_with_the_copy(honest: Log, tmp_path: Path) -> None:
    """The empty log, full and partial bundles, and none beyond the copy."""
    folder = pack(tmp_path / "package", honest, [5], copy=True)
    for size in (1, 255, 256, 257):
        put(folder, f"published/{size}/checkpoint", honest.checkpoint(size))
    sound = audit(seal(folder))
    more = Log(tmp_path, [*honest.entries, b"{}"], KEY)
    put(folder, "published/301/checkpoint", more.checkpoint(301))

    assert (0, False) == (sound[0], "NOT compared" in sound[1].splitlines()[4])
    assert "published/301/checkpoint signs more entries" in refusal(seal(folder))


def test_a_pruned_copy_makes_the_root_from_the_tiles_that_are_left(tmp_path: Path) -> None:
    """What went cannot be shown, and older checkpoints of it are said not to be compared."""
    log = access_log(tmp_path / "log", KEY, 600)
    log.publish(100)
    log.prune(512)
    folder = pack(tmp_path / "package", log, [512, 599], copy=True)
    status, said = audit(folder)
    tile = folder / "log/tile/1/000.p/2"
    tile.write_bytes(bytes(32) + tile.read_bytes()[32:])

    assert (0, True) == (status, "1 checkpoints of entries that log/ lacks" in said), said
    assert "signs another root" in refusal(seal(folder))
    assert "does not hold every entry" in refusal(pack(tmp_path / "gone", log, [3, 599], copy=True))


SMALL = ("00" * 32, "01" + "00" * 31, "ec" + "ff" * 31, "ee" + "ff" * 30 + "7f")


@pytest.mark.parametrize("point", SMALL)
def test_a_key_for_which_anybody_can_sign_is_refused(
    point: str, honest: Log, tmp_path: Path
) -> None:
    """Points of small order accept a signature over anything."""
    raw = b"\x01" + bytes.fromhex(point)
    key_id = hashlib.sha256(ORIGIN.encode() + b"\n" + raw).hexdigest()[:8]
    vkey = f"{ORIGIN}+{key_id}+{base64.b64encode(raw).decode()}"
    folder = pack(tmp_path / "package", honest, [5])

    assert "vkey is a key for which anybody can sign" in refusal(folder, "--vkey", vkey)


@pytest.mark.parametrize("name", ["", "two words", "\x1b[2Jlog", "a\u2028b"])
def test_a_key_has_a_name_that_can_be_shown(name: str, honest: Log, tmp_path: Path) -> None:
    """What a package calls its log cannot draw over what the program says."""
    raw = b"\x01" + KEY.public_key().public_bytes_raw()
    key_id = hashlib.sha256(name.encode() + b"\n" + raw).hexdigest()[:8]
    vkey = f"{name}+{key_id}+{base64.b64encode(raw).decode()}"
    folder = pack(tmp_path / "package", honest, [5])
    put(folder, "vkey", vkey.encode())

    assert "  1  key          REFUSED  vkey has a name" in refusal(seal(folder))
