"""Checkpoints: a log's signed statement of its size and root.

C2SP tlog-checkpoint in a C2SP signed-note, signed with Ed25519 (signature type
0x01, RFC 8032). Reading is stricter than the two documents where they leave a
choice: base64 has one spelling, a known key's signature must verify wherever it
stands, and the origin must be the key's name. The last is not pedantry: a
signature does not cover the key's name, and one key may sign for several logs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from seawall.core.errors import Invalid
from seawall.core.ledger.note import (
    ED25519,
    Note,
    SignatureLine,
    VerifierKey,
    decode_base64,
    encode_base64,
    make_key,
    read_key,
    read_note,
    refuse,
)
from seawall.core.ledger.tree import EMPTY_ROOT, HASH_BYTES, MAX_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SIGNATURE_BYTES: Final = 64


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


def sign_checkpoint(
    checkpoint: Checkpoint, name: str, sign: Callable[[bytes], bytes], public_key: bytes
) -> str:
    """Return the checkpoint as a signed note.

    `sign` makes the 64-byte Ed25519 signature of `public_key` (32 bytes) over the text.
    """
    key = _named(name, public_key)
    body = checkpoint.body()
    return str(Note(body, (SignatureLine(key.name, key.key_id, sign(body.encode())),)))


def open_checkpoint(note: str, vkey: str) -> Checkpoint:
    """Read a signed checkpoint; `Tampered` unless form, origin and signature are right.

    1. The note is UTF-8 without control characters, with one empty line before signatures,
       and every signature line has the right form; those of unknown keys count for nothing.
    2. The text is origin, size, root, and non-empty extension lines.
    3. A log without entries has the root of the empty tree.
    4. The key of `vkey` signed, and each signature under its name and id verifies.
    5. The origin is the key's name.
    """
    key = parse_vkey(vkey)
    read = read_note(note)  # 1
    checkpoint = read_checkpoint(read)  # 2
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:  # 3
        refuse("the checkpoint's root is not that of a log without entries")
    require_signed(read, [key])  # 4
    if checkpoint.origin != key.name:  # 5
        refuse("the checkpoint's origin is not the name of the given key")
    return checkpoint


def read_checkpoint(note: Note) -> Checkpoint:
    """Read the text of a checkpoint; `Tampered` unless it has the form: "Note text".

    Verifies nothing, and does not ask whether the root can be that of the size.
    """
    lines = note.text[:-1].split("\n")
    if len(lines) < 3 or "" in lines:  # noqa: PLR2004  origin, size, root
        refuse("the checkpoint's text is not origin, size and root")
    origin, digits, encoded, *extension = lines
    size = read_size(digits)
    if size is None:
        refuse("the checkpoint's size is not a decimal number without leading zeros")
    root = decode_base64(encoded)
    if root is None or len(root) != HASH_BYTES:
        refuse("the checkpoint's root is not 32 bytes in canonical base64")
    return Checkpoint(origin, size, root, tuple(extension))


def read_size(digits: str) -> int | None:
    """Return a tree's size; None unless it is ASCII decimal without leading zeros, in bounds."""
    is_decimal = digits.isascii() and digits.isdecimal() and len(digits) <= len(str(MAX_SIZE))
    if not is_decimal or str(int(digits)) != digits or int(digits) > MAX_SIZE:
        return None
    return int(digits)


def require_signed(note: Note, keys: Sequence[VerifierKey]) -> None:
    """Check that one of the keys signed, and that none that is named has a bad signature.

    signed-note: a known key's signature must be verified, an unknown one's ignored.
    `Tampered` if not; with no keys always.
    """
    mine = [(key, line) for line in note.lines for key in keys if line.is_of(key)]
    if not mine:
        refuse("the checkpoint is not signed by the given key")
    for key, line in mine:
        _verify(key.public_key, line.signature, note.text.encode())


def format_vkey(name: str, public_key: bytes) -> str:
    """Return the verifier key `name+hex(id)+base64(0x01 || public key)`."""
    return str(_named(name, public_key))


def parse_vkey(vkey: str) -> VerifierKey:
    """Read a verifier key; `Invalid` unless it is an Ed25519 key in its one spelling."""
    key = read_key(vkey)
    if key is None or key.algorithm != ED25519:
        raise Invalid(
            "vkey-malformed",
            "the verifier key is not of the form name+id+key with an Ed25519 key",
            "copy the whole line of the log's vkey file, without spaces around it",
        )
    return key


@lru_cache(maxsize=64)
def _named(name: str, public_key: bytes) -> VerifierKey:
    return make_key(name, ED25519, public_key)


def _verify(public_key: bytes, signature: bytes, text: bytes) -> None:
    if len(signature) != _SIGNATURE_BYTES:
        refuse("the checkpoint's signature is not 64 bytes")
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, text)
    except (InvalidSignature, ValueError):
        refuse("the checkpoint's signature does not verify under the given key")
