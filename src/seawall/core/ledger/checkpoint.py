"""Checkpoints: a log's signed statement of its size and root.

C2SP tlog-checkpoint in a C2SP signed-note, signed with Ed25519 (signature type
0x01, RFC 8032). Reading is stricter than the two documents where they leave a
choice: base64 has one spelling, a known key's signature must verify wherever it
stands, and the origin must be the key's name. The last is not pedantry: a
signature does not cover the key's name, and one key may sign for several logs.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from seawall.core.errors import Invalid, Tampered
from seawall.core.ledger.tree import EMPTY_ROOT, HASH_BYTES, MAX_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOTE_BYTES: Final = 1_000_000
SIGNATURES: Final = 100

_ED25519: Final = b"\x01"
_KEY_BYTES: Final = 32
_KEY_ID_BYTES: Final = 4
_SIGNATURE_BYTES: Final = 64
_DASH: Final = "\N{EM DASH} "


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's head: which log, how many entries, and the root over them (32 bytes).

    `extension` holds further lines that some logs add and nobody can audit; ours add none.
    """

    origin: str
    size: int
    root: bytes
    extension: tuple[str, ...] = ()

    def body(self) -> str:
        """Return the text that is signed, its last newline included."""
        lines = (self.origin, str(self.size), encode_base64(self.root), *self.extension)
        return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """What a `vkey` says: the key's name, its 4-byte id and the Ed25519 public key."""

    name: str
    key_id: bytes
    public_key: bytes


def sign_checkpoint(
    checkpoint: Checkpoint, name: str, sign: Callable[[bytes], bytes], public_key: bytes
) -> str:
    """Return the checkpoint as a signed note.

    `sign` makes the 64-byte Ed25519 signature of `public_key` (32 bytes) over the text.
    """
    key = _named(name, public_key)
    body = checkpoint.body()
    signature = encode_base64(key.key_id + sign(body.encode()))
    return f"{body}\n{_DASH}{key.name} {signature}\n"


def open_checkpoint(note: str, vkey: str) -> Checkpoint:
    """Read a signed checkpoint; `Tampered` unless form, origin and signature are right.

    1. The note is UTF-8 without control characters, with one empty line before signatures.
    2. The text is origin, size, root, and non-empty extension lines.
    3. Every signature line has the right form; those of unknown keys count for nothing.
    4. The key of `vkey` signed, and each signature under its name and id verifies.
    5. The origin is the key's name.
    """
    key = parse_vkey(vkey)
    body, signature_lines = _split_note(note)  # 1
    checkpoint = _read_body(body)  # 2
    mine = [
        raw[_KEY_ID_BYTES:]
        for name, raw in _signatures(signature_lines)  # 3
        if (name, raw[:_KEY_ID_BYTES]) == (key.name, key.key_id)
    ]
    if not mine:  # 4
        _refuse("the checkpoint is not signed by the given key")
    for signature in mine:
        _verify(key.public_key, signature, body.encode())
    if checkpoint.origin != key.name:  # 5
        _refuse("the checkpoint's origin is not the name of the given key")
    return checkpoint


def format_vkey(name: str, public_key: bytes) -> str:
    """Return the verifier key `name+hex(id)+base64(0x01 || public key)`."""
    key = _named(name, public_key)
    return f"{key.name}+{key.key_id.hex()}+{encode_base64(_ED25519 + key.public_key)}"


def parse_vkey(vkey: str) -> VerifierKey:
    """Read a verifier key; `Invalid` unless it is an Ed25519 key in its one spelling."""
    name, _, rest = vkey.partition("+")
    _, _, encoded = rest.partition("+")
    raw = decode_base64(encoded)
    if raw is not None and raw[:1] == _ED25519 and _is_name(name):
        public_key = raw[1:]
        if len(public_key) == _KEY_BYTES and format_vkey(name, public_key) == vkey:
            return VerifierKey(name, _key_id(name, public_key), public_key)
    raise Invalid(
        "vkey-malformed",
        "the verifier key is not of the form name+id+key with an Ed25519 key",
        "copy the whole line of the log's vkey file, without spaces around it",
    )


def encode_base64(raw: bytes) -> str:
    """Return the standard base64 of RFC 4648 section 4, padded."""
    return base64.b64encode(raw).decode()


def decode_base64(text: str) -> bytes | None:
    """Return the bytes, or None unless `text` is the one base64 spelling of them."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if encode_base64(raw) == text else None


@lru_cache(maxsize=64)
def _named(name: str, public_key: bytes) -> VerifierKey:
    if not _is_name(name) or len(public_key) != _KEY_BYTES:
        raise RuntimeError("a note key has a name without spaces or plus, and 32 bytes")
    return VerifierKey(name, _key_id(name, public_key), public_key)


def _key_id(name: str, public_key: bytes) -> bytes:
    digest = hashlib.sha256(name.encode() + b"\n" + _ED25519 + public_key).digest()
    return digest[:_KEY_ID_BYTES]


def _is_name(name: str) -> bool:
    """Whether a key may be called so: signed-note, "Format"."""
    return (
        name != ""
        and "+" not in name
        and not any(character.isspace() or character < " " for character in name)
        and not any("\ud800" <= character <= "\udfff" for character in name)
    )


def _split_note(note: str) -> tuple[str, list[str]]:
    """Return a note's text and its signature lines, without their newlines."""
    if len(note) > NOTE_BYTES:
        _refuse(f"the checkpoint is longer than {NOTE_BYTES} characters")
    if any(character < " " and character != "\n" for character in note):
        _refuse("the checkpoint holds a control character")
    if any("\ud800" <= character <= "\udfff" for character in note):
        _refuse("the checkpoint is not UTF-8")
    text, blank, signatures = note.rpartition("\n\n")
    if not blank or not signatures.endswith("\n"):
        _refuse("the checkpoint is not a text, an empty line and signature lines")
    lines = signatures[:-1].split("\n")
    if len(lines) > SIGNATURES:
        _refuse(f"the checkpoint has more than {SIGNATURES} signatures")
    return f"{text}\n", lines


def _read_body(body: str) -> Checkpoint:
    """Read the text of a checkpoint: tlog-checkpoint, "Note text"."""
    lines = body[:-1].split("\n")
    if len(lines) < 3 or "" in lines:  # noqa: PLR2004  origin, size, root
        _refuse("the checkpoint's text is not origin, size and root")
    origin, digits, encoded, *extension = lines
    is_decimal = digits.isascii() and digits.isdecimal() and len(digits) <= len(str(MAX_SIZE))
    if not is_decimal or str(int(digits)) != digits or int(digits) > MAX_SIZE:
        _refuse("the checkpoint's size is not a decimal number without leading zeros")
    root = decode_base64(encoded)
    if root is None or len(root) != HASH_BYTES:
        _refuse("the checkpoint's root is not 32 bytes in canonical base64")
    if digits == "0" and root != EMPTY_ROOT:
        _refuse("the checkpoint's root is not that of a log without entries")
    return Checkpoint(origin, int(digits), root, tuple(extension))


def _signatures(lines: list[str]) -> Iterator[tuple[str, bytes]]:
    """Yield each signature line's key name, and its key id with the signature."""
    for line in lines:
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        raw = decode_base64(encoded)
        well_formed = line.startswith(_DASH) and _is_name(name)
        if not well_formed or raw is None or len(raw) <= _KEY_ID_BYTES:
            _refuse("the checkpoint has a malformed signature line")
        yield name, raw


def _verify(public_key: bytes, signature: bytes, text: bytes) -> None:
    if len(signature) != _SIGNATURE_BYTES:
        _refuse("the checkpoint's signature is not 64 bytes")
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, text)
    except (InvalidSignature, ValueError):
        _refuse("the checkpoint's signature does not verify under the given key")


def _refuse(message: str) -> NoReturn:
    raise Tampered(
        "checkpoint-untrusted",
        message,
        "fetch the checkpoint again and compare the key with the one that the log's operator "
        "published; if both are right, treat it as an incident",
    )
