"""Cosignatures: a witness's statement that a checkpoint continues all it saw of the log before.

C2SP tlog-cosignature, both types: Ed25519 (0x04, `cosignature/v1`) and ML-DSA-44
(0x06, `subtree/v1`; FIPS 204, pure, with the empty context). Times are seconds
since 1970 and handed in. A cosignature of a checkpoint always has a time here: a
zero would say that the tree need not be the largest one seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

from seawall.core.errors import Invalid, Tampered
from seawall.core.ledger.checkpoint import open_checkpoint, parse_vkey, read_checkpoint
from seawall.core.ledger.note import (
    COSIGNATURE_ED25519,
    COSIGNATURE_ML_DSA_44,
    Note,
    SignatureLine,
    VerifierKey,
    make_key,
    read_key,
    read_note,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from seawall.core.ledger.checkpoint import Checkpoint

MAX_TIME: Final = 2**63 - 1
"""A timestamp must not exceed this: tlog-cosignature, "Format"."""

TOLERANCE_SECONDS: Final = 300
"""So far ahead of ours a witness's clock may be; verifiers may reject times in the future."""

_LABEL: Final = b"subtree/v1\n\0"
_TIME_BYTES: Final = 8
_SIGNATURE_BYTES: Final = {COSIGNATURE_ED25519: 64, COSIGNATURE_ML_DSA_44: 2_420}
NAME_BYTES: Final = 255
"""The longest name of a log or of a cosigner that the ML-DSA-44 message can hold."""


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A cosignature that verified: whose, and at which second since 1970 it was made."""

    key: VerifierKey
    at: int
    line: SignatureLine


def make_cosigner(name: str, algorithm: int, public_key: bytes) -> VerifierKey:
    """Return a cosigner's key; its id is SHA-256(name || LF || 0x04 or 0x06 || key)[:4]."""
    if algorithm not in _SIGNATURE_BYTES or not 0 < len(name.encode()) <= NAME_BYTES:
        raise RuntimeError("a cosigner has a type of tlog-cosignature and a name of 1 to 255 bytes")
    return make_key(name, algorithm, public_key)


def parse_cosigner(vkey: str) -> VerifierKey:
    """Read a witness's verifier key; `Invalid` unless it is one of a cosigner, well spelt.

    A log's key (0x01) is none: the same signature must not count as both.
    """
    key = read_key(vkey)
    if key is None or key.algorithm not in _SIGNATURE_BYTES or len(key.name.encode()) > NAME_BYTES:
        raise Invalid(
            "witness-key-malformed",
            "the witness's verifier key is not of the form name+id+key with a cosigner's key",
            "copy the whole line that `seawall witness key` or the witness's operator gives",
        )
    return key


def signed_message(key: VerifierKey, note: Note, at: int) -> bytes:
    """Return the bytes that a cosigner signs for a checkpoint at a moment."""
    if key.algorithm == COSIGNATURE_ED25519:
        # Header line, time line, then the whole body, extension lines included.
        return f"cosignature/v1\ntime {at}\n{note.text}".encode()
    return cosigned_message(key.name, read_checkpoint(note), at)


def cosigned_message(name: str, checkpoint: Checkpoint, at: int) -> bytes:
    """Return the `cosigned_message` of tlog-cosignature for a whole tree.

    RFC 8446, section 3: variable vectors have their length in front, numbers are
    big-endian. `start` is zero and `end` the tree's size. Extension lines are left out.
    """
    return b"".join(
        (
            _LABEL,
            _vector(name),
            at.to_bytes(8, "big"),
            _vector(checkpoint.origin),
            bytes(8),
            checkpoint.size.to_bytes(8, "big"),
            checkpoint.root,
        )
    )


def _vector(text: str) -> bytes:
    """Return `opaque <1..2^8-1>`."""
    raw = text.encode()
    if not 0 < len(raw) <= NAME_BYTES:
        _refuse("the name of a log or of a witness is not 1 to 255 bytes long")
    return bytes([len(raw)]) + raw


def cosign(note: Note, key: VerifierKey, sign: Callable[[bytes], bytes], at: int) -> SignatureLine:
    """Return the line by which `key` cosigns a checkpoint at the second `at`.

    `sign` makes the key's signature. Does not ask whether the checkpoint may be cosigned.
    """
    if not 0 < at <= MAX_TIME:
        raise RuntimeError("a cosignature of a checkpoint has a time, at most 2^63-1")
    signature = at.to_bytes(_TIME_BYTES, "big") + sign(signed_message(key, note, at))
    return SignatureLine(key.name, key.key_id, signature)


def verify_cosignature(
    note: Note, line: SignatureLine, key: VerifierKey, *, now: int, tolerance: int
) -> Cosignature:
    """Check one line by the key that it names; `Tampered` unless all of it is right.

    1. It is a `timestamped_signature` of the key's type: 8 bytes of time, then the signature.
    2. The time is not zero, not over 2^63-1, and not later than `now` and the tolerance.
    3. The signature is the key's, over the checkpoint and that time.
    """
    if len(line.signature) != _TIME_BYTES + _SIGNATURE_BYTES[key.algorithm]:  # 1
        _refuse("a cosignature does not have the length of its type")
    at = int.from_bytes(line.signature[:_TIME_BYTES], "big")
    if at == 0:  # 2
        _refuse("a witness's cosignature of a checkpoint has no time")
    if at > min(MAX_TIME, now + tolerance):
        _refuse("a cosignature's time is in the future")
    _verify(key, line.signature[_TIME_BYTES:], signed_message(key, note, at))  # 3
    return Cosignature(key, at, line)


def cosignatures(
    note: Note, cosigners: Iterable[VerifierKey], *, now: int, tolerance: int = TOLERANCE_SECONDS
) -> list[Cosignature]:
    """Return the cosignatures of these keys below a note; `Tampered` if one of them is bad.

    Lines of unknown keys are ignored: signed-note, "Signatures".
    """
    known = list(cosigners)
    return [
        verify_cosignature(note, line, key, now=now, tolerance=tolerance)
        for line in note.lines
        for key in known
        if line.is_of(key)
    ]


def is_witnessed(
    note: str,
    vkey: str,
    witnesses: Sequence[VerifierKey],
    required: int,
    *,
    now: int,
    tolerance: int = TOLERANCE_SECONDS,
) -> bool:
    """Whether a log's checkpoint has cosignatures of at least `required` different witnesses.

    `Tampered` if the log's own signature or a known witness's is bad. False without
    witnesses, and where none is required: an empty policy witnesses nothing.
    """
    open_checkpoint(note, vkey)
    found = cosignatures(read_note(note), witnesses, now=now, tolerance=tolerance)
    return 0 < required <= count_witnesses(found, parse_vkey(vkey))


def count_witnesses(found: Iterable[Cosignature], log: VerifierKey) -> int:
    """Return how many different witnesses cosigned.

    Who shares a name or a public key with another is the same witness: one key under
    two names, or both keys of one witness, count once (C2SP tlog-policy: the same
    public key is a duplicate). The log itself is no witness of its own.
    """
    apart: list[set[str | bytes]] = []
    for each in found:
        one: set[str | bytes] = {each.key.name, each.key.public_key}
        if log.public_key in one:
            continue
        one.update(*(group for group in apart if group & one))
        apart = [group for group in apart if not group & one] + [one]
    return len(apart)


def merge(note: Note, lines: Iterable[SignatureLine]) -> Note:
    """Return the note with these lines; a line of the same name and id is replaced."""
    kept = {(line.name, line.key_id): line for line in (*note.lines, *lines)}
    return Note(note.text, tuple(kept.values()))


def _verify(key: VerifierKey, signature: bytes, message: bytes) -> None:
    try:
        if key.algorithm == COSIGNATURE_ED25519:
            Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, message)
        else:
            MLDSA44PublicKey.from_public_bytes(key.public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        _refuse("a cosignature does not verify under the witness's key")


def _refuse(message: str) -> NoReturn:
    raise Tampered(
        "cosignature-untrusted",
        message,
        "compare the witness's key with the one that its operator published; if it is right, "
        "treat it as an incident",
    )
