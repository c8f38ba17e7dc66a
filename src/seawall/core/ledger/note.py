"""Signed notes: a text, and the lines of those who signed it.

C2SP signed-note. Form only: which keys count, and what their signatures are over,
is in `checkpoint.py` and `cosignature.py`. Reading is stricter than the document
where it leaves a choice: base64 has one spelling.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Final, NoReturn

from seawall.core.errors import Tampered

NOTE_BYTES: Final = 1_000_000
SIGNATURES: Final = 100
"""Verifiers must accept 16 and should have a limit: signed-note, "Format"."""

ED25519: Final = 0x01
"""An Ed25519 signature over the text: what a log signs with."""
COSIGNATURE_ED25519: Final = 0x04
"""A timestamped Ed25519 cosignature, `cosignature/v1`: C2SP tlog-cosignature."""
COSIGNATURE_ML_DSA_44: Final = 0x06
"""A timestamped ML-DSA-44 cosignature, `subtree/v1`: C2SP tlog-cosignature."""

KEY_BYTES: Final = {ED25519: 32, COSIGNATURE_ED25519: 32, COSIGNATURE_ML_DSA_44: 1_312}
"""The length of a public key, by signature type."""

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

_KEY_ID_BYTES: Final = 4
_DASH: Final = "\N{EM DASH} "


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """What a `vkey` says: the key's name, its 4-byte id, the public key, and for what it signs."""

    name: str
    key_id: bytes
    public_key: bytes
    algorithm: int = ED25519

    def __str__(self) -> str:
        encoded = encode_base64(bytes([self.algorithm]) + self.public_key)
        return f"{self.name}+{self.key_id.hex()}+{encoded}"


@dataclass(frozen=True, slots=True)
class SignatureLine:
    """One line below a note: who says to have signed, and the signature, unverified."""

    name: str
    key_id: bytes
    signature: bytes

    def is_of(self, key: VerifierKey) -> bool:
        """Whether the line names this key: name and id together identify it."""
        return (self.name, self.key_id) == (key.name, key.key_id)

    def __str__(self) -> str:
        return f"{_DASH}{self.name} {encode_base64(self.key_id + self.signature)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A note as it reads: the text, its last newline included, and who says to have signed."""

    text: str
    lines: tuple[SignatureLine, ...]

    def __str__(self) -> str:
        return f"{self.text}\n{''.join(map(str, self.lines))}"


def read_note(note: str) -> Note:
    """Split a signed note; `Tampered` unless it has exactly the form of signed-note.

    Verifies no signature.
    """
    if len(note) > NOTE_BYTES:
        refuse(f"the checkpoint is longer than {NOTE_BYTES} characters")
    if any(character < " " and character != "\n" for character in note):
        refuse("the checkpoint holds a control character")
    if any("\ud800" <= character <= "\udfff" for character in note):
        refuse("the checkpoint is not UTF-8")
    # The text may hold empty lines: the last one separates it from the signatures.
    text, blank, signatures = note.rpartition("\n\n")
    if not blank:
        refuse("the checkpoint is not a text, an empty line and signature lines")
    return Note(f"{text}\n", read_lines(signatures))


def read_lines(signatures: str) -> tuple[SignatureLine, ...]:
    """Read one signature line or more, each with its newline; `Tampered` unless all have the form.

    Verifies none of them.
    """
    if not signatures.endswith("\n"):
        refuse("the checkpoint is not a text, an empty line and signature lines")
    lines = signatures[:-1].split("\n")
    if len(lines) > SIGNATURES:
        refuse(f"the checkpoint has more than {SIGNATURES} signatures")
    return tuple(map(_read_line, lines))


def _read_line(line: str) -> SignatureLine:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    raw = decode_base64(encoded)
    well_formed = line.startswith(_DASH) and is_key_name(name)
    if not well_formed or raw is None or len(raw) <= _KEY_ID_BYTES:
        refuse("the checkpoint has a malformed signature line")
    return SignatureLine(name, raw[:_KEY_ID_BYTES], raw[_KEY_ID_BYTES:])


def make_key(name: str, algorithm: int, public_key: bytes) -> VerifierKey:
    """Return a key with its id: SHA-256(name || LF || type || public key)[:4]."""
    if not is_key_name(name) or len(public_key) != KEY_BYTES[algorithm]:
        raise RuntimeError("a note key has a name without spaces or plus, and its type's length")
    digest = hashlib.sha256(name.encode() + b"\n" + bytes([algorithm]) + public_key).digest()
    return VerifierKey(name, digest[:_KEY_ID_BYTES], public_key, algorithm)


def read_key(vkey: str) -> VerifierKey | None:
    """Read a verifier key, `name+hex(id)+base64(type || key)`; None unless in its one spelling."""
    name, _, rest = vkey.partition("+")
    _, _, encoded = rest.partition("+")
    raw = decode_base64(encoded)
    if not raw or not is_key_name(name) or len(raw) - 1 != KEY_BYTES.get(raw[0]):
        return None
    if raw[0] != COSIGNATURE_ML_DSA_44 and raw[1:-1] + bytes([raw[-1] & 0x7F]) in _SMALL_ORDER:
        return None
    key = make_key(name, raw[0], raw[1:])
    return key if str(key) == vkey else None


def is_key_name(name: str) -> bool:
    """Whether a key may be called so: signed-note, "Format"."""
    return (
        name != ""
        and "+" not in name
        and not any(character.isspace() or character < " " for character in name)
        and not any("\ud800" <= character <= "\udfff" for character in name)
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


def refuse(message: str) -> NoReturn:
    """Raise what is wrong with a note, which is a checkpoint in all that we read."""
    raise Tampered(
        "checkpoint-untrusted",
        message,
        "fetch the checkpoint again and compare the key with the one that the log's operator "
        "published; if both are right, treat it as an incident",
    )
