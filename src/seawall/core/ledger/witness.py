"""What a log asks of a witness, and when a witness may say yes: C2SP tlog-witness.

The request `add-checkpoint` as text, and the rule as numbered steps. Keeping the
latest checkpoint, and doing check and keep as one, is the caller's. `sign-subtree`
is optional there and not here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from seawall.core.errors import Invalid, Missing, Refused, Tampered
from seawall.core.ledger.checkpoint import Checkpoint, read_checkpoint, read_size, require_signed
from seawall.core.ledger.note import Note, decode_base64, encode_base64, read_note
from seawall.core.ledger.proofs import verify_consistency
from seawall.core.ledger.tree import EMPTY_ROOT, HASH_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seawall.core.ledger.note import VerifierKey

PROOF_LINES: Final = 63
"""A client must not send more consistency proof lines."""

SIZE_TYPE: Final = "text/x.tlog.size"
"""The content type of the answer that names the size of the latest cosigned checkpoint."""

_OLD: Final = "old "


@dataclass(frozen=True, slots=True)
class Submission:
    """An `add-checkpoint` request as it reads: old size, proof, checkpoint; nothing verified."""

    old: int
    proof: tuple[bytes, ...]
    note: Note
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class Latest:
    """The latest checkpoint of a log that a witness cosigned, as a note with the cosignatures."""

    origin: str
    size: int
    root: bytes
    note: str


@dataclass(frozen=True, slots=True)
class Stale:
    """The answer to an old size that is not the latest one: the size that is."""

    size: int


def write_submission(old: int, proof: Sequence[bytes], checkpoint: str) -> str:
    """Return the body of an `add-checkpoint` request; `checkpoint` is a signed note."""
    lines = (f"{_OLD}{old}", *map(encode_base64, proof))
    return "".join(f"{line}\n" for line in lines) + f"\n{checkpoint}"


def read_submission(body: bytes) -> Submission:
    """Read the body of an `add-checkpoint` request; `Invalid` unless it has exactly the form."""
    try:
        head, blank, checkpoint = body.decode().partition("\n\n")
    except UnicodeDecodeError:
        _malformed("the request is not UTF-8")
    first, *lines = head.split("\n")
    old = read_size(first.removeprefix(_OLD)) if blank and first.startswith(_OLD) else None
    if old is None:
        _malformed("the request is not old size, proof lines, an empty line and a checkpoint")
    if len(lines) > PROOF_LINES:
        _malformed(f"the request has more than {PROOF_LINES} proof lines")
    hashes = [decode_base64(line) for line in lines]
    proof = tuple(item for item in hashes if item is not None and len(item) == HASH_BYTES)
    if len(proof) != len(lines):
        _malformed("the request has a proof line that is not a hash in canonical base64")
    try:
        note = read_note(checkpoint)
        return Submission(old, proof, note, read_checkpoint(note))
    except Tampered as error:
        _malformed(error.message)


def judge(
    submission: Submission, trusted: Sequence[VerifierKey], latest: Latest | None
) -> Stale | None:
    """Return None if a witness may cosign, or the size that it would have to be asked from.

    `trusted` are the keys whose name is the origin. The steps are those of
    add-checkpoint, in its order; the status that the error stands for follows each.

    1. The origin is known. `Missing`, 404.
    2. A trusted key signed, and no signature that names one is bad. `Refused`, 403.
    3. The old size is not larger than the checkpoint's. `Invalid`, 400.
    4. The old size is the latest one that was cosigned, or zero if none was. `Stale`, 409.
    5. A tree of size zero has the empty root. `Invalid`, 422.
    6. From old size zero there is no proof. `Invalid`, 422.
    7. For the same size the roots are identical. `Tampered`, 422: the log's key signed two
       histories.
    8. Else the proof leads from the latest root to this one; for the same size it is
       empty. `Invalid`, 422: the log's key signed no proof, so whoever has a checkpoint
       can send one that fails.
    """
    checkpoint, old = submission.checkpoint, submission.old
    if not trusted:  # 1
        raise Missing(
            "witness-log-unknown",
            "this witness does not know the log",
            "have its operator add the log's key: `seawall witness trust`",
        )
    try:
        require_signed(submission.note, trusted)  # 2
    except Tampered as error:
        raise Refused(
            "witness-log-untrusted", error.message, "sign with the key that the witness trusts"
        ) from None
    if old > checkpoint.size:  # 3
        _malformed("the old size is larger than the checkpoint's")
    known = latest.size if latest is not None else 0
    if old != known:  # 4
        return Stale(known)
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:  # 5
        _inconsistent("the checkpoint's root is not that of a log without entries")
    if latest is None or old == 0:
        if submission.proof:  # 6
            _inconsistent("there is a consistency proof from a log without entries")
        return None
    if old == checkpoint.size and latest.root != checkpoint.root:  # 7
        raise Tampered(
            "checkpoint-forked",
            "the log's key signed another root for the size that this witness cosigned",
            "this log was rolled back or forked: keep its checkpoints, and treat it as an incident",
        )
    try:
        verify_consistency(old, checkpoint.size, latest.root, checkpoint.root, submission.proof)
    except Tampered as error:  # 8
        _inconsistent(error.message)
    return None


def origin_hash(origin: str) -> str:
    """Return by what a witness's copy of a log's checkpoint is asked for: SHA-256, in hex."""
    return hashlib.sha256(origin.encode()).hexdigest()


def _malformed(message: str) -> NoReturn:
    raise Invalid("witness-request-malformed", message, "send what C2SP tlog-witness describes")


def _inconsistent(message: str) -> NoReturn:
    raise Invalid(
        "checkpoint-inconsistent",
        message,
        "send the consistency proof from the size that this witness cosigned last; if the log's "
        "own proof fails, the log was rolled back or forked",
    )
