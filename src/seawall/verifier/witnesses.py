"""Counting the witnesses of a checkpoint: C2SP tlog-cosignature, both types.

A witness is a name or a public key: one key under two names, or both keys of one
name, count once (C2SP tlog-policy). The log itself is no witness of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NoReturn

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .note import COSIGNATURE_ED25519, COSIGNATURE_ML_DSA_44, Key
from .published import CHECKPOINT_FILE, Claim, Signed, published
from .refusal import COSIGNATURES, Refusal, UsageError, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .folder import Folder

_LENGTH: Final = {COSIGNATURE_ED25519: 8 + 64, COSIGNATURE_ML_DSA_44: 8 + 2_420}
_TOLERANCE_SECONDS: Final = 300
"""So far ahead of ours a witness's clock may be."""
_INCIDENT: Final = (
    "compare the witness's key with the one that its operator published; if it is right, keep "
    "this copy and treat it as an incident"
)


@dataclass(frozen=True)
class Policy:
    """Which witnesses the auditor knows, how many must have cosigned, and what time it is."""

    keys: tuple[Key, ...]
    required: int
    now: float


def make_policy(keys: Sequence[Key], required: int | None, log: Key, now: float) -> Policy:
    """Return the policy; `UsageError` if it could never be met, or asks for nothing."""
    if any(key.public == log.public for key in keys):
        raise UsageError("--witness: the log's own key is no witness's")
    if any(key.kind == COSIGNATURE_ML_DSA_44 for key in keys):
        _require_ml_dsa()
    there_are = len(_apart(keys))
    wanted = there_are if required is None else required
    if not 1 <= wanted <= there_are:
        known = f"{there_are} different witness{'es' * (there_are != 1)}"
        raise UsageError(f"--witnesses-required: {wanted} of {known} cannot be asked for")
    return Policy(tuple(keys), wanted, now)


def find_witnessed(
    folder: Folder, present: Signed, key: Key, policy: Policy, minimum: int
) -> Claim:
    """Return what enough witnesses saw: the present checkpoint, or the newest published one.

    A refusal at a bad cosignature of a known witness, and if none has enough of them.
    """
    best = 0
    for signed in _candidates(folder, present, key, minimum):
        times = {
            witness: _time(signed, signature, witness, policy.now)
            for witness in policy.keys
            for signature in signed.note.signatures_of(witness)
        }
        count = len(_apart(times))
        if count >= policy.required:
            return _claim(signed, present, count, policy, sorted(times.values()))
        best = max(best, count)
    problem = (
        f"no checkpoint in this copy is cosigned by {policy.required} of the given witnesses; "
        f"the most that one has is {best}"
    )
    advice = "ask the operator for a copy with published/, and for the keys of the log's witnesses"
    raise Refusal(COSIGNATURES, present.file, problem, advice)


def _candidates(folder: Folder, present: Signed, key: Key, minimum: int) -> Iterator[Signed]:
    yield present
    for signed, _ in published(
        folder, COSIGNATURES, present, key=key, minimum=minimum, file=CHECKPOINT_FILE
    ):
        yield signed


def _claim(signed: Signed, present: Signed, count: int, policy: Policy, times: list[int]) -> Claim:
    size, whole = signed.checkpoint.size, present.checkpoint.size
    said = [_date(time) for time in (times[0], times[-1])]
    when = said[0] if said[0] == said[1] else f"{said[0]} to {said[1]}"
    covered = f"all {size:,}" if size == whole else f"the first {size:,} of {whole:,}"
    of = len(_apart(policy.keys))
    found = f"{count} of {of} witnesses saw {covered} entries in one history, at {when}"
    return Claim(signed.file, size, signed.checkpoint.root, found)


def _time(signed: Signed, cosignature: bytes, key: Key, now: float) -> int:
    """Return the second at which a witness cosigned; a refusal unless all of it is right.

    1. It is 8 bytes of time and the signature, of the key's type.
    2. The time is not zero, which would say nothing of a whole log, and not in the future.
    3. The signature is the key's, over the checkpoint and that time.
    """
    if len(cosignature) != _LENGTH[key.kind]:  # 1
        _refuse(signed, key, "does not have the length of its type")
    at = int.from_bytes(cosignature[:8], "big")
    if not 0 < at <= now + _TOLERANCE_SECONDS:  # 2
        _refuse(signed, key, "has no time, or one in the future")
    if not _is_signed(key, cosignature[8:], _message(signed, key, at)):  # 3
        _refuse(signed, key, "is bad: it is of another checkpoint, or was changed")
    return at


def _message(signed: Signed, key: Key, at: int) -> bytes:
    """Return what a witness signs."""
    if key.kind == COSIGNATURE_ED25519:
        return f"cosignature/v1\ntime {at}\n{signed.note.text}".encode()
    checkpoint = signed.checkpoint
    name, origin = key.name.encode(), checkpoint.origin.encode()
    if len(origin) > 255:  # noqa: PLR2004  opaque<1..2^8-1>
        _refuse(signed, key, "cannot be of a log with so long a name")
    start = 0
    return b"".join(
        (
            b"subtree/v1\n\0",
            bytes([len(name)]) + name,
            at.to_bytes(8, "big"),
            bytes([len(origin)]) + origin,
            start.to_bytes(8, "big"),
            checkpoint.size.to_bytes(8, "big"),
            checkpoint.root,
        )
    )


def _is_signed(key: Key, signature: bytes, message: bytes) -> bool:
    try:
        if key.kind == COSIGNATURE_ED25519:
            Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
        else:
            from cryptography.hazmat.primitives.asymmetric import mldsa  # noqa: PLC0415  may be absent

            mldsa.MLDSA44PublicKey.from_public_bytes(key.public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _require_ml_dsa() -> None:
    """Refuse ML-DSA keys where the installed `cryptography` cannot use them."""
    try:
        from cryptography.hazmat.primitives.asymmetric import mldsa  # noqa: PLC0415  may be absent

        mldsa.MLDSA44PublicKey.from_public_bytes(bytes(1_312))
    except (ImportError, UnsupportedAlgorithm):
        advice = "install cryptography 48 or later, or give the witness's Ed25519 key"
        raise UsageError(f"--witness: ML-DSA-44 is not available here: {advice}") from None


def _apart(keys: Iterable[Key]) -> list[set[str | bytes]]:
    """Return the different witnesses among keys: who shares a name or a public key is one."""
    apart: list[set[str | bytes]] = []
    for key in keys:
        one: set[str | bytes] = {key.name, key.public}
        one.update(*(group for group in apart if group & one))
        apart = [group for group in apart if not group & one] + [one]
    return apart


def _date(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _refuse(signed: Signed, key: Key, problem: str) -> NoReturn:
    found = f"the cosignature by {shortened(key.name)} {problem}"
    raise Refusal(COSIGNATURES, signed.file, found, _INCIDENT)
