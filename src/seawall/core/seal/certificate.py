"""The certificate of destruction: what was shredded, which keys ended, and what that cannot reach.

A certificate is one line of canonical JSON in a signed note (C2SP signed-note),
under the key that signs the installation's logs. Its first line is no log's
origin and its second no tree size, so that it can never be read as a
checkpoint. It names patients by their random ledger ids alone.
45 CFR 164.310(d)(2)(i), 164.504(e)(2)(ii)(J).
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

import orjson

from seawall.core.errors import Error, Tampered
from seawall.core.ledger.checkpoint import parse_vkey, require_signed
from seawall.core.ledger.encoding import decode, encode
from seawall.core.ledger.note import (
    ED25519,
    Note,
    SignatureLine,
    make_key,
    read_lines,
    read_note,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

FORM: Final = "seawall certificate of destruction v1"
"""The first line of the note: no log is called so."""

_FIELDS: Final = frozenset(
    {"what", "tenant", "patients", "reason", "ordered", "finished", "deleted", "keys"}
    | {"copies", "no_process_after", "logs", "beyond", "under"}
)

UNDER: Final[tuple[dict[str, str], ...]] = (
    {
        "cite": "45 CFR 164.310(d)(2)(i)",
        "strength": "law",
        "says": "policies for the final disposition of electronic protected health information",
    },
    {
        "cite": "45 CFR 164.504(e)(2)(ii)(J)",
        "strength": "law",
        "says": "at the end of the contract a business associate returns or destroys it, and "
        "keeps no copies, where feasible",
    },
    {
        "cite": "NIST SP 800-88",
        "strength": "guidance",
        "says": "cryptographic erase: media hold ciphertext alone, and its keys are sanitized",
    },
)
"""What a certificate is made under, and how strong each is."""


@dataclass(frozen=True, slots=True)
class Beyond:
    """Something that a shredding cannot reach, in a sentence, with how many there are."""

    what: str
    count: int | None = None

    def fields(self) -> dict[str, Any]:
        """Return it as the certificate says it."""
        said: dict[str, Any] = {"what": self.what}
        return said if self.count is None else {**said, "count": self.count}


def sign_certificate(
    body: Mapping[str, Any], name: str, sign: Callable[[bytes], bytes], public_key: bytes
) -> str:
    """Return a certificate as a signed note; `sign` makes an Ed25519 signature over its text.

    The same body and key make the same note. `Invalid` if the body does not fit an entry.
    """
    key = make_key(name, ED25519, public_key)
    text = f"{FORM}\n{encode(body).decode()}\n"
    return str(Note(text, (SignatureLine(key.name, key.key_id, sign(text.encode())),)))


def open_certificate(note: str, vkey: str) -> dict[str, Any]:
    """Read a signed certificate; `Tampered` unless form, signature and content are right.

    1. It is a signed note.
    2. The key of `vkey` signed it, and every signature under its name verifies.
    3. The text is the form's line and one line of canonical JSON.
    4. It has exactly the fields of a certificate.
    """
    key = parse_vkey(vkey)
    try:
        read = read_note(note)  # 1
        require_signed(read, [key])  # 2
        lines = read.text[:-1].split("\n")
        if len(lines) != 2 or lines[0] != FORM:  # noqa: PLR2004  the form's line and the JSON
            _refuse()
        body = decode(lines[1].encode())  # 3
    except Tampered:
        _refuse()
    if body.keys() != _FIELDS:  # 4
        _refuse()
    return body


def open_by_one(note: str, vkeys: Sequence[str]) -> dict[str, Any]:
    """Open a certificate by the first of these keys that it is signed under; errors are the last's.

    One from before a restoring is signed under the name that the system's log had then.
    """
    for vkey in vkeys[:-1]:
        with suppress(Tampered):
            return open_certificate(note, vkey)
    return open_certificate(note, vkeys[-1])


def write_file(note: str) -> bytes:
    """Return a certificate as a JSON document: its content to read, its signature to check.

    The content is there once. So nobody can change what people read and leave what programs check.
    """
    read = read_note(note)
    body = json.loads(read.text.split("\n")[1])
    document = {
        "form": FORM,
        "certificate": body,
        "signatures": [str(line).rstrip("\n") for line in read.lines],
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"


def read_file(raw: bytes) -> str:
    """Return the signed note that a JSON document holds, unverified; `Tampered` if it is none."""
    try:
        document = orjson.loads(raw)
        if document.keys() != {"form", "certificate", "signatures"} or document["form"] != FORM:
            _refuse()
        lines = read_lines("".join(f"{line}\n" for line in document["signatures"]))
        text = f"{FORM}\n{encode(document['certificate']).decode()}\n"
        return str(Note(text, lines))
    except (orjson.JSONDecodeError, AttributeError, TypeError, KeyError, Error):
        _refuse()


def _refuse() -> NoReturn:
    raise Tampered(
        "certificate-untrusted",
        "this is not a certificate of destruction as the given key signed it",
        "compare it with the ledger's entry keys.destroyed, and the key with the log's",
    ) from None
