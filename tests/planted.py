"""Identifiers that are planted, and every form in which a search looks for them.

What is looked for is what a person who has the bytes would find with common
tools: as text, in two-byte text, in base64 wherever it begins, in hex, reversed,
and escaped for URLs and JSON.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, quote_plus

from ahocorasick_rs import BytesAhoCorasick

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

REFERENCE: Final = "planted-patient-0001"
"""The FHIR id, which names the patient in requests; a record number is an identifier."""
PLANTED: Final = {
    "given name": "Zoë-Marisol",
    "family name": "Quillfeather",
    "record number": "MR-7730291846",
    "social security number": "512-84-7739",
    "e-mail": "zoe.quillfeather@mail.example.org",
    "street": "4417 Saltmarsh Crossing",
    "reference": REFERENCE,
    "sentence": "the tremor began on the ferry to Orcas while she held the blue kettle",
}
"""What must be found nowhere, by what it is."""

SAID: Final = (
    "Patient: {given name} {family name}, MRN {record number}, SSN {social security number}, "
    "{e-mail}, lives at {street}. She says that {sentence}."
)
_BLOCK: Final = 1 << 22


def said() -> str:
    """Return a note that holds everything that is planted but the reference."""
    text = SAID
    for what, value in PLANTED.items():
        text = text.replace(f"{{{what}}}", value)
    return text


def patient() -> dict[str, Any]:
    """Return a Patient with what is planted of one."""
    ssn = "http://hl7.org/fhir/sid/us-ssn"
    return {
        "resourceType": "Patient",
        "id": REFERENCE,
        "identifier": [
            {"type": {"coding": [{"code": "MR"}]}, "value": PLANTED["record number"]},
            {"system": ssn, "value": PLANTED["social security number"]},
        ],
        "name": [{"family": PLANTED["family name"], "given": [PLANTED["given name"]]}],
        "birthDate": "1957-11-29",
        "telecom": [{"system": "email", "value": PLANTED["e-mail"]}],
        "address": [{"line": [PLANTED["street"]], "city": "Anacortes", "state": "WA"}],
    }


@dataclass(frozen=True, order=True)
class Finding:
    """Something that was planted, found: what, in which form, and where."""

    place: str
    what: str
    form: str


def forms(value: str) -> dict[str, bytes]:
    """Return every form of a value that is looked for, by name."""
    raw = value.encode()
    found = {
        "UTF-8": raw,
        "UTF-16LE": value.encode("utf-16-le"),
        "UTF-16BE": value.encode("utf-16-be"),
        "hex": raw.hex().encode(),
        "hex, upper case": raw.hex().upper().encode(),
        "reversed": value[::-1].encode(),
        "reversed bytes": raw[::-1],
        "URL": quote(value, safe="").encode(),
        "URL form": quote_plus(value).encode(),
        "JSON": json.dumps(value)[1:-1].encode(),
    }
    for skipped in range(3):
        found[f"base64, after {skipped}"] = _base64(raw, skipped)
        found[f"base64 for URLs, after {skipped}"] = _base64(raw, skipped, b"-_")
    return found


def _base64(raw: bytes, skipped: int, altchars: bytes | None = None) -> bytes:
    """Return what base64 has of `raw`, whatever stands before and after it."""
    encoded = base64.b64encode(bytes(skipped) + raw, altchars)
    # The first and the last character may hold bits of a neighbour.
    first = -(-skipped * 8 // 6)
    return encoded[first : (skipped + len(raw)) * 8 // 6]


NEEDLES: Final = [
    (what, form, needle) for what, value in PLANTED.items() for form, needle in forms(value).items()
]
_LONGEST: Final = max(len(needle) for _, _, needle in NEEDLES)
_SEARCH: Final = BytesAhoCorasick([needle for _, _, needle in NEEDLES])
"""All needles in one pass: a cluster is large, and looking once for each took a minute."""


def findings(place: str, blocks: Iterable[bytes]) -> Iterator[Finding]:
    """Yield what is found in a stream of bytes, across the borders of its blocks too."""
    before = b""
    for block in blocks:
        looked_at = before + block
        matches = _SEARCH.find_matches_as_indexes(looked_at, overlapping=True)
        for at in sorted({match[0] for match in matches}):
            what, form, _ = NEEDLES[at]
            yield Finding(place, what, form)
        before = looked_at[-(_LONGEST - 1) :]


def findings_in_files(*folders: Path) -> set[Finding]:
    """Return what is found in the files below folders, and in their names."""
    found: set[Finding] = set()
    for folder in folders:
        for path in folder.rglob("*"):
            found.update(findings(f"name of {path}", [str(path).encode()]))
            if path.is_file() and not path.is_symlink():
                found.update(findings(str(path), _blocks(path)))
    return found


def _blocks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                yield block
    except FileNotFoundError:
        return  # a temporary file of another process, gone meanwhile
