"""Reading verifier keys and signed checkpoints: C2SP signed-note and tlog-checkpoint.

Everything has one spelling here: canonical base64, no leading zeros, exact
newlines. What is wrong is raised as `ValueError` with a sentence.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

NOTE_BYTES: Final = 1_000_000
"""Longer notes are refused unread; 16 post-quantum signatures take a tenth of it."""

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()

_LARGEST: Final = 2**63 - 1
_SIGNATURES: Final = 100
_ED25519: Final = b"\x01"
_SIZE: Final = re.compile("0|[1-9][0-9]{0,18}")


@dataclass(frozen=True)
class Key:
    """A log's Ed25519 key: its name, its 4-byte id, its 32 bytes."""

    name: str
    key_id: bytes
    public: bytes


@dataclass(frozen=True)
class Checkpoint:
    """What a log signed: its origin, how many entries it has, and the root over them."""

    origin: str
    size: int
    root: bytes


def read_key(vkey: str) -> Key:
    """Read `name+hex(id)+base64(0x01 || key)`."""
    name, _, rest = vkey.partition("+")
    key_id, _, encoded = rest.partition("+")
    raw = _base64(encoded, "the key")
    if raw[:1] != _ED25519 or len(raw) != 33:  # noqa: PLR2004  type byte and 32 bytes
        raise ValueError("the key is not an Ed25519 key (signature type 0x01)")
    if not _is_name(name):
        raise ValueError("the key's name is empty or holds a space")
    expected = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
    if key_id != expected.hex():
        raise ValueError("the key's id is not that of its name and key")
    return Key(name, expected, raw[1:])


def read_checkpoint(raw: bytes, key: Key, origin: str) -> Checkpoint:
    """Return what `key` signed in a note, which must be a checkpoint of `origin`."""
    text, lines = _split(raw)
    signatures = [_signature(line) for line in lines]
    mine = [found[4:] for name, found in signatures if (name, found[:4]) == (key.name, key.key_id)]
    if not mine:
        raise ValueError("the key did not sign it")
    for signature in mine:
        _verify(key, signature, text.encode())
    checkpoint = _body(text)
    if checkpoint.origin != origin:
        raise ValueError(f"its origin is {checkpoint.origin}, not {origin}")
    return checkpoint


def text_of(raw: bytes) -> str:
    """Return standard base64, as checkpoints spell hashes."""
    return base64.b64encode(raw).decode()


def _split(raw: bytes) -> tuple[str, list[str]]:
    """Return the signed text and the signature lines."""
    if len(raw) > NOTE_BYTES:
        raise ValueError(f"it is longer than {NOTE_BYTES:,} bytes")
    try:
        note = raw.decode()
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    if any(character < " " and character != "\n" for character in note):
        raise ValueError("it holds a control character")
    text, blank, signatures = note.rpartition("\n\n")
    if not blank or not signatures.endswith("\n"):
        raise ValueError("it is not a text, an empty line and signature lines, each ended")
    lines = signatures[:-1].split("\n")
    if len(lines) > _SIGNATURES:
        raise ValueError(f"it has more than {_SIGNATURES} signatures")
    return text + "\n", lines


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


def _signature(line: str) -> tuple[str, bytes]:
    """Return a signature line's key name, and key id with signature."""
    name, _, encoded = line.removeprefix("\N{EM DASH} ").partition(" ")
    if not line.startswith("\N{EM DASH} ") or not _is_name(name):
        raise ValueError("it has a malformed signature line")
    raw = _base64(encoded, "a signature")
    if len(raw) <= 4:  # noqa: PLR2004  the key id alone
        raise ValueError("it has a signature line without a signature")
    return name, raw


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
