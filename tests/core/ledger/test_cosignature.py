"""Cosignatures of both types, and when a checkpoint counts as witnessed: C2SP tlog-cosignature."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosigners import NOW, Cosigner, SeededLog, ed25519, ml_dsa_44
from seawall.core.errors import Invalid, Tampered
from seawall.core.ledger.checkpoint import Checkpoint, read_checkpoint
from seawall.core.ledger.cosignature import (
    MAX_TIME,
    cosign,
    cosignatures,
    cosigned_message,
    is_witnessed,
    make_cosigner,
    merge,
    parse_cosigner,
    signed_message,
)
from seawall.core.ledger.note import (
    COSIGNATURE_ED25519,
    COSIGNATURE_ML_DSA_44,
    ED25519,
    Note,
    SignatureLine,
    make_key,
    read_note,
)
from seawall.core.ledger.proofs import inclusion_proof, proof_text, verify_witnessed_proof

if TYPE_CHECKING:
    from collections.abc import Iterable

VECTORS = Path(__file__).parents[2] / "vectors" / "cosignatures"
KEYS = json.loads((VECTORS / "keys.json").read_text())

LOG = SeededLog("ledger.example/log/42")
NOTE = LOG.checkpoint(7)
W1, W2, W3 = (ed25519(f"witness.example/w{number}") for number in (1, 2, 3))
PQ = ml_dsa_44("witness.example/pq")
BOTH = [pytest.param(W1, id="ed25519"), pytest.param(PQ, id="ml-dsa-44")]

EXAMPLE = """\
example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

\N{EM DASH} example.com/behind-the-sofa \
Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
\N{EM DASH} witness.example.com/w1 \
jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
"""
"""The example of tlog-cosignature, whose keys are not published."""


def witnessed(
    note: str, witnesses: Iterable[Cosigner], required: int, now: int = NOW, vkey: str = LOG.vkey
) -> bool:
    """Ask whether the log's note is witnessed by as many of these."""
    return is_witnessed(note, vkey, [one.key for one in witnesses], required, now=now)


def found(note: Note, cosigner: Cosigner, now: int = NOW) -> list[int]:
    """Return the times of a cosigner's cosignatures below a note."""
    return [each.at for each in cosignatures(note, [cosigner.key], now=now)]


def test_the_published_example_is_framed_as_we_frame() -> None:
    """The published line is key id, big-endian time and 64 bytes, and its message is as printed."""
    note = read_note(EXAMPLE)
    line = note.lines[1]

    assert ("witness.example.com/w1", "8d66cf3f") == (line.name, line.key_id.hex())
    assert (1679315147, 64) == (int.from_bytes(line.signature[:8], "big"), len(line.signature) - 8)
    assert (
        b"cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\n"
        b"CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    ) == signed_message(W1.key, note, 1679315147)


def test_the_message_of_a_subtree_cosignature_is_laid_out_as_specified() -> None:
    """Label, name, time, origin, start, end and hash follow each other as RFC 8446 encodes them."""
    expected = (
        b"subtree/v1\n\0"
        b"\x05w.org"
        b"\x00\x00\x00\x00\x69\x80\x11\x80"
        b"\x09l.org/log"
        b"\x00\x00\x00\x00\x00\x00\x00\x00"
        b"\x00\x00\x00\x00\x00\x00\x01\x02"
    ) + bytes(range(32))

    assert expected == cosigned_message(
        "w.org", Checkpoint("l.org/log", 258, bytes(range(32))), 0x69801180
    )


@pytest.mark.parametrize("name", ["", "x" * 256])
def test_a_name_that_does_not_fit_a_vector_is_refused(name: str) -> None:
    """A name is 1 to 255 bytes long."""
    with pytest.raises(Tampered):
        cosigned_message(name, Checkpoint("l", 1, bytes(32)), NOW)


@pytest.mark.parametrize(
    ("cosigner", "length"), [pytest.param(W1, 64, id="ed25519"), pytest.param(PQ, 2420, id="pq")]
)
def test_a_cosignature_is_a_time_and_a_signature(cosigner: Cosigner, length: int) -> None:
    """The signature is a timestamped_signature: 8 bytes of time, then those of its type."""
    line = cosigner.cosign(NOTE)

    assert NOW.to_bytes(8, "big") == line.signature[:8]
    assert length == len(line.signature) - 8


@settings(deadline=None)
@given(st.integers(1, MAX_TIME), st.integers(1, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_what_is_cosigned_verifies(at: int, size: int, root: bytes) -> None:
    """A cosignature of either type verifies over the checkpoint and the time that it is of."""
    note = LOG.checkpoint(size, root)

    for cosigner in (W1, PQ):
        assert [at] == found(read_note(cosigner.cosigned(note, at)), cosigner, now=at)


@pytest.mark.parametrize("cosigner", BOTH)
def test_every_changed_bit_of_a_cosignature_is_refused(cosigner: Cosigner) -> None:
    """Whichever bit of time or signature changes, the note is refused."""
    line, note = cosigner.cosign(NOTE), read_note(NOTE)

    for at in range(len(line.signature) * 8):
        changed = bytearray(line.signature)
        changed[at // 8] ^= 1 << at % 8
        bad = SignatureLine(line.name, line.key_id, bytes(changed))
        with pytest.raises(Tampered):
            cosignatures(Note(note.text, (bad,)), [cosigner.key], now=MAX_TIME)


@pytest.mark.parametrize("cosigner", BOTH)
def test_every_changed_bit_of_a_body_is_refused(cosigner: Cosigner) -> None:
    """Whichever bit of the checkpoint changes, its cosignature is refused."""
    raw, line = LOG.checkpoint(7).partition("\n\n")[0].encode() + b"\n", cosigner.cosign(NOTE)

    for at in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[at // 8] ^= 1 << at % 8
        try:
            text = changed.decode()
            note = read_note(f"{text}\n{line}")
            read_checkpoint(note)
        except (UnicodeDecodeError, Tampered):
            continue  # not even a checkpoint any more
        with pytest.raises(Tampered):
            cosignatures(note, [cosigner.key], now=NOW)


def test_an_ml_dsa_cosignature_commits_to_its_name() -> None:
    """The same key under another name makes another statement; with Ed25519 it does not."""
    for one, other, commits in (
        (PQ, ml_dsa_44("witness.example/other", "witness.example/pq"), True),
        (W1, ed25519("witness.example/other", "witness.example/w1"), False),
    ):
        line = one.cosign(NOTE)
        renamed = SignatureLine(other.key.name, other.key.key_id, line.signature)
        note = Note(read_note(NOTE).text, (renamed,))
        if commits:
            with pytest.raises(Tampered):
                found(note, other)
        else:
            assert [NOW] == found(note, other)


def test_extension_lines_are_in_the_ed25519_message_alone() -> None:
    """An Ed25519 cosignature covers extension lines; an ML-DSA-44 one says nothing of them."""
    note = read_note(NOTE)
    extended = Note(f"{note.text}more\n", note.lines)

    assert signed_message(PQ.key, note, NOW) == signed_message(PQ.key, extended, NOW)
    assert signed_message(W1.key, note, NOW) != signed_message(W1.key, extended, NOW)


@pytest.mark.parametrize("cosigner", BOTH)
def test_a_time_of_zero_is_refused(cosigner: Cosigner) -> None:
    """A witness's cosignature of a checkpoint must have a time, however well it is signed."""
    note = read_note(NOTE)
    signature = bytes(8) + cosigner.sign(signed_message(cosigner.key, note, 0))
    line = SignatureLine(cosigner.key.name, cosigner.key.key_id, signature)

    with pytest.raises(Tampered, match="no time"):
        cosignatures(merge(note, [line]), [cosigner.key], now=NOW)


@pytest.mark.parametrize("at", [0, 2**63])
def test_a_time_out_of_bounds_is_never_signed(at: int) -> None:
    """A time is positive and at most 2^63-1."""
    with pytest.raises(RuntimeError):
        cosign(read_note(NOTE), W1.key, W1.sign, at)


def test_a_time_over_the_largest_is_refused() -> None:
    """A time over 2^63-1 is refused, whatever the clock says."""
    note, at = read_note(NOTE), 2**63
    signature = at.to_bytes(8, "big") + W1.sign(signed_message(W1.key, note, at))

    with pytest.raises(Tampered, match="future"):
        cosignatures(
            merge(note, [SignatureLine(W1.key.name, W1.key.key_id, signature)]),
            [W1.key],
            now=2**64,
        )


def test_a_time_far_in_the_future_is_refused() -> None:
    """A witness's clock may run five minutes ahead of ours, and no more."""
    assert witnessed(W1.cosigned(NOTE, NOW + 300), [W1], 1)
    with pytest.raises(Tampered, match="future"):
        witnessed(W1.cosigned(NOTE, NOW + 301), [W1], 1)


def test_unknown_keys_are_ignored() -> None:
    """Lines of keys that are not known count for nothing, bad ones too."""
    stranger = SignatureLine("stranger.example", b"\0\1\2\3", b"whatever")
    note = merge(read_note(W2.cosigned(NOTE)), [stranger])

    assert witnessed(str(note), [W2], 1)
    assert not witnessed(str(note), [W1], 1)


def test_a_line_that_shares_the_name_alone_is_of_an_unknown_key() -> None:
    """A known name with another id, or a known id with another name, is ignored."""
    line = W1.cosign(NOTE)
    lines = [
        SignatureLine(line.name, b"\0\0\0\0", line.signature),
        SignatureLine("other", line.key_id, line.signature),
    ]

    assert [] == found(merge(read_note(NOTE), lines), W1)


def test_a_known_witness_with_a_bad_signature_spoils_the_note() -> None:
    """A bad cosignature of a known key refuses the note, though enough others are good."""
    bad = SignatureLine(W3.key.name, W3.key.key_id, W1.cosign(NOTE).signature)
    note = merge(read_note(W2.cosigned(W1.cosigned(NOTE))), [bad])

    with pytest.raises(Tampered):
        witnessed(str(note), [W1, W2, W3], 2)


def test_a_line_of_the_wrong_length_is_refused() -> None:
    """A known key's line must have the length of its type."""
    short = SignatureLine(W1.key.name, W1.key.key_id, W1.cosign(NOTE).signature[:-1])

    with pytest.raises(Tampered, match="length"):
        found(merge(read_note(NOTE), [short]), W1)


@pytest.mark.parametrize(("required", "expected"), [(0, False), (1, True), (2, True), (3, False)])
def test_as_many_witnesses_as_the_policy_says(required: int, expected: bool) -> None:  # noqa: FBT001  a table
    """Two of three witnesses meet a policy of one or two, not of three, and never one of none."""
    note = PQ.cosigned(W1.cosigned(NOTE))

    assert expected is witnessed(note, [W1, W2, PQ], required)


def test_without_witnesses_nothing_is_witnessed() -> None:
    """An empty policy witnesses nothing."""
    assert not witnessed(W1.cosigned(NOTE), [], 0)
    assert not witnessed(W1.cosigned(NOTE), [], 1)


def test_one_key_under_two_names_counts_once() -> None:
    """Two names for one public key are one witness."""
    alias = ed25519("alias.example", "witness.example/w1")
    note = alias.cosigned(W1.cosigned(NOTE))

    assert not witnessed(note, [W1, alias], 2)
    assert witnessed(note, [W1, alias], 1)


def test_both_keys_of_one_witness_count_once() -> None:
    """A witness that cosigns with both of its keys is one witness, in whichever order."""
    second = ml_dsa_44("witness.example/w1")
    note = second.cosigned(W1.cosigned(NOTE))

    assert not witnessed(note, [W1, second], 2)
    assert not witnessed(note, [second, W1], 2)
    assert witnessed(W2.cosigned(note), [W1, second, W2], 2)


def test_witnesses_that_are_linked_by_a_third_are_one() -> None:
    """Sharing is followed through: name with name, key with key."""
    alias = ed25519("alias.example", "witness.example/w1")
    linked = ml_dsa_44("alias.example")
    note = linked.cosigned(alias.cosigned(W1.cosigned(NOTE)))

    assert not witnessed(note, [W1, linked, alias], 2)


def test_the_same_cosignature_twice_counts_once() -> None:
    """A repeated line adds nothing."""
    line = W1.cosign(NOTE)
    note = read_note(NOTE)

    assert not witnessed(str(Note(note.text, (*note.lines, line, line))), [W1, W2], 2)


def test_a_log_is_no_witness_of_its_own() -> None:
    """A cosignature by the log's own key does not count."""
    own = ed25519("witness.example/own", LOG.origin)

    assert not witnessed(own.cosigned(NOTE), [own], 1)


def test_the_logs_own_signature_comes_first() -> None:
    """Cosignatures do not help a checkpoint that the log did not sign."""
    other = SeededLog(LOG.origin, "another key")

    with pytest.raises(Tampered):
        witnessed(W1.cosigned(other.checkpoint(7)), [W1], 1)


def test_merging_replaces_a_witnesss_older_line() -> None:
    """One name and id has one line, the newest."""
    note = merge(read_note(W1.cosigned(NOTE, 5)), [W1.cosign(NOTE, 9), W2.cosign(NOTE, 7)])

    assert [5 + 4] == found(note, W1)
    assert 3 == len(note.lines)


@pytest.mark.parametrize("cosigner", BOTH)
def test_a_cosigners_key_reads_as_it_is_written(cosigner: Cosigner) -> None:
    """A verifier key of either type round trips."""
    assert cosigner.key == parse_cosigner(str(cosigner.key))


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        LOG.vkey,
        str(W1.key) + "\n",
        str(W1.key).replace("w1", "w2"),
        str(W1.key)[:-1],
        str(make_key("w" * 256, COSIGNATURE_ED25519, bytes(32))),
        "name+00000000+" + "BQ" + "A" * 42 + "==",
    ],
)
def test_what_is_no_cosigners_key_is_refused(vkey: str) -> None:
    """A witness's key has one spelling, and is not a log's."""
    with pytest.raises(Invalid):
        parse_cosigner(vkey)


@pytest.mark.parametrize(
    ("name", "algorithm", "key"),
    [
        ("w", ED25519, bytes(32)),
        ("w" * 256, COSIGNATURE_ED25519, bytes(32)),
        ("w", COSIGNATURE_ML_DSA_44, bytes(32)),
        ("a w", COSIGNATURE_ED25519, bytes(32)),
    ],
)
def test_impossible_cosigner_is_a_mistake(name: str, algorithm: int, key: bytes) -> None:
    """No cosigner can be made with a log's type, a long or spaced name, or a key's wrong length."""
    with pytest.raises(RuntimeError):
        make_cosigner(name, algorithm, key)


ENTRIES = [f"entry {at}".encode() for at in range(300)]


def proof_of(index: int, note: str) -> str:
    """Return the tlog-proof of an entry of the log of 300, resting on a checkpoint."""
    tiles = LOG.grown(300)[1]
    return proof_text(index, inclusion_proof(index, 300, lambda level, at: tiles[level, at]), note)


def test_a_proof_carries_its_cosignatures() -> None:
    """A tlog-proof whose checkpoint has enough cosignatures verifies against a policy."""
    text = proof_of(5, PQ.cosigned(W1.cosigned(LOG.checkpoint(300))))
    keys = [W1.key, PQ.key, W2.key]

    assert 300 == verify_witnessed_proof(text, ENTRIES[5], LOG.vkey, keys, 2, now=NOW).size


@pytest.mark.parametrize("required", [0, 2])
def test_a_proof_with_too_few_witnesses_is_refused(required: int) -> None:
    """Too few cosignatures prove nothing, nor does a policy that asks for none."""
    text = proof_of(5, W1.cosigned(LOG.checkpoint(300)))

    with pytest.raises(Tampered, match="witnesses"):
        verify_witnessed_proof(text, ENTRIES[5], LOG.vkey, [W1.key, PQ.key], required, now=NOW)


def test_witnesses_do_not_mend_a_wrong_proof() -> None:
    """A proof of another entry is refused, however well its checkpoint is witnessed."""
    text = proof_of(5, W1.cosigned(LOG.checkpoint(300)))

    with pytest.raises(Tampered):
        verify_witnessed_proof(text, ENTRIES[6], LOG.vkey, [W1.key], 1, now=NOW)


def cases(folder: str) -> list[Path]:
    """Return the vectors of a folder, of which there are some."""
    files = sorted((VECTORS / folder).iterdir())
    assert files
    return files


def judged(case: Path) -> bool:
    """Ask whether a vector's checkpoint is witnessed by two of the three known witnesses."""
    note = case.read_bytes().decode("utf-8", "surrogateescape")
    witnesses = [parse_cosigner(vkey) for vkey in KEYS["witnesses"]]
    return is_witnessed(note, KEYS["log"], witnesses, KEYS["required"], now=KEYS["now"])


@pytest.mark.parametrize("case", cases("witnessed"), ids=lambda path: path.stem)
def test_witnessed_vector(case: Path) -> None:
    """A vector that everybody must count as witnessed is."""
    assert judged(case)


@pytest.mark.parametrize("case", cases("not-witnessed"), ids=lambda path: path.stem)
def test_not_witnessed_vector(case: Path) -> None:
    """A vector that is well signed, by too few, is not witnessed."""
    assert not judged(case)


@pytest.mark.parametrize("case", cases("refused"), ids=lambda path: path.stem)
def test_refused_vector(case: Path) -> None:
    """A vector that nobody may accept is refused."""
    with pytest.raises(Tampered):
        judged(case)
