"""A strict reader of RFC 5424 messages in octet-counted frames, which knows nothing of Seawall.

It is written from the RFC's grammar and refuses whatever the grammar does not have.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

_HEADER = re.compile(
    rb"<(0|[1-9][0-9]{0,2})>([1-9][0-9]{0,2}) "
    rb"(-|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?"
    rb"(?:Z|[+-][0-9]{2}:[0-9]{2})) "
    rb"([\x21-\x7e]{1,255}) ([\x21-\x7e]{1,48}) ([\x21-\x7e]{1,128}) ([\x21-\x7e]{1,32}) "
)
_NAME = re.compile(rb"[\x21\x23-\x3c\x3e-\x5c\x5e-\x7e]{1,32}")


@dataclass(frozen=True)
class Message:
    """One syslog message, in its parts."""

    facility: int
    severity: int
    at: datetime | None
    host: str
    app: str
    process: str
    kind: str
    structured: dict[str, dict[str, str]]
    text: str


def frames(stream: bytes) -> list[bytes]:
    """Return the messages of a whole stream: MSG-LEN SP SYSLOG-MSG, one after the other."""
    found = []
    while stream:
        head = re.match(rb"([1-9][0-9]*) ", stream)
        assert head, "a frame begins with its length"
        end = head.end() + int(head[1])
        assert end <= len(stream), "a frame is cut off"
        found.append(stream[head.end() : end])
        stream = stream[end:]
    return found


def parse(raw: bytes) -> Message:
    """Read one message; AssertionError unless it has exactly the RFC's form, with a UTF-8 MSG."""
    head = _HEADER.match(raw)
    assert head, "this is no header"
    priority, version = int(head[1]), head[2]
    assert version == b"1"
    assert priority <= 191
    structured, at = _structured(raw, head.end())
    assert raw[at : at + 4] == b" \xef\xbb\xbf", "MSG-UTF8 begins with the BOM"
    host, app, process, kind = (part.decode("ascii") for part in head.groups()[3:])
    moment = None if head[3] == b"-" else datetime.fromisoformat(head[3].decode())
    text = raw[at + 4 :].decode("utf-8")
    assert "\ufeff" not in text
    return Message(priority // 8, priority % 8, moment, host, app, process, kind, structured, text)


def _structured(raw: bytes, at: int) -> tuple[dict[str, dict[str, str]], int]:
    if raw[at : at + 1] == b"-":
        return {}, at + 1
    found: dict[str, dict[str, str]] = {}
    while raw[at : at + 1] == b"[":
        name = _NAME.match(raw, at + 1)
        assert name, "an element has an SD-ID"
        assert name[0].decode() not in found, "an SD-ID occurs once"
        held = found[name[0].decode()] = {}
        at = name.end()
        while raw[at : at + 1] == b" ":
            key = _NAME.match(raw, at + 1)
            assert key, "a parameter has a name"
            assert raw[key.end() : key.end() + 2] == b'="'
            value, at = _param_value(raw, key.end() + 2)
            held[key[0].decode()] = value
        assert raw[at : at + 1] == b"]"
        at += 1
    assert found
    return found, at


def _param_value(raw: bytes, at: int) -> tuple[str, int]:
    value = bytearray()
    while (byte := raw[at : at + 1]) != b'"':
        assert byte, "a value ends"
        assert byte != b"]", "a bracket is escaped"
        if byte == b"\\" and raw[at + 1 : at + 2] in (b'"', b"\\", b"]"):
            at += 1
            byte = raw[at : at + 1]
        value += byte
        at += 1
    return value.decode("utf-8"), at + 1
