"""Audit events as syslog messages: RFC 5424, framed by octet counting (RFC 5425 section 4.3).

The message is the FHIR AuditEvent as JSON. Its MSGID is the ledger's action, because messages of
one MSGID have one meaning (RFC 5424 section 6.2.7). Structured data has registered ids alone
(`meta`, `origin`): an id of our own would need an enterprise number, and nobody's is taken.
Neither sending nor time is handled here.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMIT: Final = 8_192
"""RFC 5425 section 4.3.1: receivers should be able to process messages of so many octets."""

APP_NAME: Final = "seawall"

_AUDIT: Final = 13
"""RFC 5424 section 6.2.1: the facility "log audit"."""

_SEVERITIES: Final = {"0": 5, "4": 4, "8": 3, "12": 2}
"""AuditEvent.outcome to severity: notice, warning, error, critical."""

_BOM: Final = b"\xef\xbb\xbf"
_UNPRINTABLE: Final = re.compile(r"[^\x21-\x7e]")
_NO_NAME: Final = re.compile(r'[^\x21-\x7e]|[ ="\]]')
_LARGEST_SEQUENCE: Final = 2_147_483_647


def message(event: Mapping[str, Any], *, sequence: int, version: str, limit: int = LIMIT) -> bytes:
    """Return the syslog message of an AuditEvent, at most `limit` octets long.

    `sequence` counts the messages of one sender from 1 (RFC 5424 section 7.3.1). An event that
    is too long is said without its details, which the ledger has.
    """
    for said in (event, _brief(event)):
        raw = _header(event, sequence, version) + b" " + _BOM + _json(said)
        if len(raw) <= limit:
            return raw
    raise RuntimeError("an audit event is longer than a syslog message may be")


def frame(raw: bytes) -> bytes:
    """Return a message behind its length: what goes over a stream."""
    return b"%d %s" % (len(raw), raw)


def header_text(value: str, longest: int) -> str:
    """Return a header field: printable ASCII without spaces, `-` for nothing (NILVALUE)."""
    return _UNPRINTABLE.sub("_", value)[:longest] or "-"


def structured_data(elements: Mapping[str, Mapping[str, str]]) -> str:
    """Return structured data (RFC 5424 section 6.3): ids with their parameters; `-` for none."""
    return (
        "".join(
            "["
            + " ".join(
                [_name(name), *(f'{_name(key)}="{_value(text)}"' for key, text in said.items())]
            )
            + "]"
            for name, said in elements.items()
        )
        or "-"
    )


def _header(event: Mapping[str, Any], sequence: int, version: str) -> bytes:
    severity = _SEVERITIES.get(str(event.get("outcome")), 5)
    fields = (
        f"<{8 * _AUDIT + severity}>1",
        str(event["recorded"]),
        header_text(str(event["source"].get("site", "")), 255),
        APP_NAME,
        "-",
        header_text(_action(event), 32),
        structured_data(
            {
                "meta": {"sequenceId": str((sequence - 1) % _LARGEST_SEQUENCE + 1)},
                "origin": {"software": APP_NAME, "swVersion": version[:32]},
            }
        ),
    )
    return " ".join(fields).encode("ascii")


def _action(event: Mapping[str, Any]) -> str:
    """Return the ledger's action, which is the last subtype; a token event has the standard's."""
    subtypes = event.get("subtype", [])
    code = str(subtypes[-1].get("code", "")) if subtypes else ""
    return "token.issue" if code == "ITI-71" else code


def _brief(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event without its details, but for those that point to the ledger."""
    entities = [
        {
            **entity,
            **(
                {"detail": [one for one in entity["detail"] if one["type"] in _POINTER]}
                if "detail" in entity
                else {}
            ),
        }
        for entity in event.get("entity", [])
    ]
    agents = [
        {name: held for name, held in agent.items() if name != "policy"}
        if len(agent.get("policy", [])) > 1  # a single one is the token's id
        else agent
        for agent in event.get("agent", [])
    ]
    return {**event, "agent": agents, "entity": entities}


_POINTER: Final = ("log", "index", "leaf")


def _json(event: Mapping[str, Any]) -> bytes:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def _name(text: str) -> str:
    """Return an SD-NAME: at most 32 printable characters without `=`, space, `]` and `"`."""
    if not 1 <= len(text) <= 32 or _NO_NAME.search(text):  # noqa: PLR2004  the RFC's own figure
        raise RuntimeError("this is no name of structured data")
    return text


def _value(text: str) -> str:
    """Return a PARAM-VALUE with what RFC 5424 section 6.3.3 says escaped, and nothing else."""
    return re.sub(r'([\\"\]])', r"\\\1", text)
