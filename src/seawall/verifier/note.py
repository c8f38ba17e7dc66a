"""Reading verifier keys and signed checkpoints: C2SP signed-note and tlog-checkpoint.

Everything has one spelling here: canonical base64, no leading zeros, exact
newlines. What is wrong is raised as `ValueError` with a sentence.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .refusal import shortened

NOTE_BYTES: Final = 1_000_000
"""Longer notes are refused unread; 16 post-quantum signatures take a tenth of it."""

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()

ED25519: Final = 0x01
COSIGNATURE_ED25519: Final = 0x04
COSIGNATURE_ML_DSA_44: Final = 0x06

_LARGEST: Final = 2**63 - 1
_SIGNATURES: Final = 100
_SIGNATURES_OF_A_KEY: Final = 8
"""Each is verified, and so many notes may lie in a copy that none may cost much."""

_CONTROL: Final = re.compile("[\x00-\x09\x0b-\x1f]")
_SIZE: Final = re.compile("0|[1-9][0-9]{0,18}")
_KEY_BYTES: Final = {ED25519: 32, COSIGNATURE_ED25519: 32, COSIGNATURE_ML_DSA_44: 1_312}
_SMALL_ORDER: Final = frozenset(
    bytes.fromhex(each)
    for each in (
        "00" * 32,
        "01" + "00" * 31,
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
    )
)
"""The points of small order on edwards25519, their sign bits left out, in each of their spellings.

Anybody can sign anything for such a key, so that whoever publishes one can deny its signatures.
"""


@dataclass(frozen=True)
class Key:
    """A verifier key: its name, its 4-byte id, the public key, and the type of its signatures."""

    name: str
    key_id: bytes
    public: bytes
    kind: int = ED25519


@dataclass(frozen=True)
class Note:
    """A note as it reads: the text, and name, key id and signature of each line; none verified."""

    text: str
    lines: tuple[tuple[str, bytes, bytes], ...]

    def signatures_of(self, key: Key) -> list[bytes]:
        """Return what stands under this key's name and id."""
        return [found for *named, found in self.lines if named == [key.name, key.key_id]]


@dataclass(frozen=True)
class Checkpoint:
    """What a log signed: its origin, how many entries it has, and the root over them."""

    origin: str
    size: int
    root: bytes


def read_key(vkey: str) -> Key:
    """Read a log's key, `name+hex(id)+base64(0x01 || key)`."""
    key = _read_key(vkey)
    if key.kind != ED25519:
        raise ValueError("the key is not an Ed25519 key (signature type 0x01)")
    return key


def read_witness_key(vkey: str) -> Key:
    """Read a witness's key, of type 0x04 (Ed25519) or 0x06 (ML-DSA-44): tlog-cosignature."""
    key = _read_key(vkey)
    if key.kind == ED25519 or len(key.name.encode()) > 255:  # noqa: PLR2004  opaque<1..2^8-1>
        raise ValueError("the key is not a witness's key (signature type 0x04 or 0x06)")
    return key


def _read_key(vkey: str) -> Key:
    name, _, rest = vkey.partition("+")
    key_id, _, encoded = rest.partition("+")
    raw = _base64(encoded, "the key")
    if not raw or len(raw) - 1 != _KEY_BYTES.get(raw[0]):
        raise ValueError("the key is of no known type, or not of its type's length")
    if not _is_name(name):
        raise ValueError("the key's name is empty or holds a space")
    if raw[0] != COSIGNATURE_ML_DSA_44 and raw[1:-1] + bytes([raw[-1] & 0x7F]) in _SMALL_ORDER:
        raise ValueError("the key is one for which anybody can sign")
    expected = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
    if key_id != expected.hex():
        raise ValueError("the key's id is not that of its name and key")
    return Key(name, expected, raw[1:], raw[0])


def read_checkpoint(raw: bytes, key: Key, origin: str) -> Checkpoint:
    """Return what `key` signed in a note, which must be a checkpoint of `origin`."""
    return open_checkpoint(read_note(raw), key, origin)


def open_checkpoint(note: Note, key: Key, origin: str) -> Checkpoint:
    """Return what `key` signed in a note that was read, which must be a checkpoint of `origin`."""
    signatures = note.signatures_of(key)
    if not signatures:
        raise ValueError("the key did not sign it")
    for signature in signatures:
        _verify(key, signature, note.text.encode())
    checkpoint = _body(note.text)
    if checkpoint.origin != origin:
        raise ValueError(f"its origin is {shortened(checkpoint.origin)}, not {shortened(origin)}")
    return checkpoint


def text_of(raw: bytes) -> str:
    """Return standard base64, as checkpoints spell hashes."""
    return base64.b64encode(raw).decode()


def read_note(raw: bytes) -> Note:
    """Split a signed note into its text and its signature lines; verify none."""
    if len(raw) > NOTE_BYTES:
        raise ValueError(f"it is longer than {NOTE_BYTES:,} bytes")
    try:
        note = raw.decode()
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    if _CONTROL.search(note):
        raise ValueError("it holds a control character")
    text, blank, signatures = note.rpartition("\n\n")
    if not blank or not signatures.endswith("\n"):
        raise ValueError("it is not a text, an empty line and signature lines, each ended")
    lines = signatures[:-1].split("\n")
    if len(lines) > _SIGNATURES:
        raise ValueError(f"it has more than {_SIGNATURES} signatures")
    signed = tuple(dict.fromkeys(map(_signature, lines)))  # one signature twice is one
    if max(Counter((name, key_id) for name, key_id, _ in signed).values()) > _SIGNATURES_OF_A_KEY:
        raise ValueError(f"it has more than {_SIGNATURES_OF_A_KEY} signatures under one key")
    return Note(text + "\n", signed)


def _body(text: str) -> Checkpoint:
    """Read origin, size and root; further lines are the log's own business."""
    lines = text[:-1].split("\n")
    if len(lines) < 3 or "" in lines:  # noqa: PLR2004  origin, size, root
        raise ValueError("its text is not origin, size and root on three lines")
    origin, digits, encoded = lines[:3]
    if not _SIZE.fullmatch(digits) or int(digits) > _LARGEST:
        raise ValueError("its size is not a decimal number without leading zeros below 2^63")
    root = _base64(encoded, "the root")
    if len(root) != 32:  # noqa: PLR2004  SHA-256
        raise ValueError("its root is not 32 bytes")
    if digits == "0" and root != EMPTY_ROOT:
        raise ValueError("its root is not that of an empty log")
    return Checkpoint(origin, int(digits), root)


def _signature(line: str) -> tuple[str, bytes, bytes]:
    """Return a signature line's key name, key id and signature."""
    name, _, encoded = line.removeprefix("\N{EM DASH} ").partition(" ")
    if not line.startswith("\N{EM DASH} ") or not _is_name(name):
        raise ValueError("it has a malformed signature line")
    raw = _base64(encoded, "a signature")
    if len(raw) <= 4:  # noqa: PLR2004  the key id alone
        raise ValueError("it has a signature line without a signature")
    return name, raw[:4], raw[4:]


def _verify(key: Key, signature: bytes, text: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, text)
    except (InvalidSignature, ValueError):
        raise ValueError("its signature does not verify under the key") from None


def _is_name(name: str) -> bool:
    return name != "" and "+" not in name and not any(map(str.isspace, name))


def _base64(text: str, what: str) -> bytes:
    """Decode standard base64 in its one spelling: no stray bits, full padding."""
    try:
        raw = base64.b64decode(text.encode(), validate=True)
    except ValueError:
        raise ValueError(f"{what} is not base64") from None
    if text_of(raw) != text:
        raise ValueError(f"{what} is not in canonical base64")
    return raw
