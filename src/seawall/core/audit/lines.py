"""Entries as lines of a file: JSON lines of our own, or FHIR's NDJSON.

A line of JSON is `{"log":ORIGIN,"index":N,"leaf":"HEX","entry":{...}}`, with the entry byte for
byte as it was hashed: SHA-256 over 0x00 and it is `leaf`.
"""

from __future__ import annotations

import json
from typing import Any

from seawall.core.audit.fhir import audit_events
from seawall.core.ledger.tree import leaf_hash


def json_line(origin: str, index: int, raw: bytes) -> bytes:
    """Return an entry as one line of JSON."""
    leaf = leaf_hash(raw).hex()
    head = f'{{"log":{_write(origin)},"index":{index},"leaf":"{leaf}","entry":'
    return head.encode() + raw + b"}\n"


def fhir_lines(origin: str, index: int, raw: bytes, patient: str | None = None) -> bytes:
    """Return an entry's AuditEvents, a line each; with `patient` those of this one alone."""
    events = audit_events(origin, index, raw, patient)
    return b"".join(f"{_write(event)}\n".encode() for event in events)


def _write(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
