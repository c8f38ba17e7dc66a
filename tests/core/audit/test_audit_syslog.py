"""Audit events as syslog messages, read again by a strict reader of RFC 5424."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_entries import ENTRIES, ORIGIN
from seawall.core.audit.fhir import audit_events
from seawall.core.audit.syslog import frame, header_text, message, structured_data
from seawall.core.ledger.encoding import encode
from strict_syslog import frames, parse


def events(action: str, **fields: Any) -> list[dict[str, Any]]:
    """Return the events of a made-up entry."""
    entry = {
        "at": "2026-03-02T09:30:00.125Z",
        "action": action,
        "tenant": "harborview",
        "actor": {"kind": "client", "name": "app"},
        **fields,
    }
    return audit_events(ORIGIN, 7, encode(entry))


@given(ENTRIES, st.integers(1, 2**40))
def test_every_event_is_a_message_that_says_it_whole(entry: dict[str, Any], number: int) -> None:
    """The JSON that arrives is the AuditEvent, and the header says its action and time."""
    for event in audit_events(ORIGIN, 7, encode(entry)):
        read = parse(message(event, sequence=number, version="1.0"))

        assert event == json.loads(read.text)
        assert (13, "seawall.example", "seawall", "-") == (
            read.facility,
            read.host,
            read.app,
            read.process,
        )
        assert entry["action"] == read.kind
        assert 1 <= int(read.structured["meta"]["sequenceId"]) < 2**31


@given(st.lists(ENTRIES, max_size=4))
def test_frames_are_told_apart_by_their_lengths(entries: list[dict[str, Any]]) -> None:
    """What is sent one after the other is received as it was sent."""
    sent = [
        message(event, sequence=1, version="1")
        for entry in entries
        for event in audit_events(ORIGIN, 0, encode(entry))
    ]

    assert sent == frames(b"".join(map(frame, sent)))


@pytest.mark.parametrize(
    ("action", "fields", "severity"),
    [
        ("exchange.outcome", {"outcome": "answered"}, 5),
        ("exchange.outcome", {"outcome": "abandoned"}, 4),
        ("exchange.refuse", {"code": "no-agreement"}, 3),
        ("exchange.outcome", {"outcome": "unknown"}, 2),
        ("ledger.alarm", {"code": "log-forked"}, 2),
    ],
)
def test_severity_follows_the_outcome(action: str, fields: dict[str, Any], severity: int) -> None:
    """Success is a notice; a minor, serious or major failure a warning, an error, critical."""
    [event] = events(action, **fields)

    assert severity == parse(message(event, sequence=1, version="1")).severity


def test_a_message_in_full() -> None:
    """Priority, time, host, program, action and structured data stand where the RFC has them."""
    [event] = events("token.issue", token="74a336a91a050afab643a4da")

    head = message(event, sequence=3, version="0.2").split(b"\xef\xbb\xbf")[0].decode()

    assert (
        "<109>1 2026-03-02T09:30:00.125Z seawall.example seawall - token.issue "
        '[meta sequenceId="3"][origin software="seawall" swVersion="0.2"] ' == head
    )


def test_a_long_event_is_said_without_its_details() -> None:
    """Details go first; the place in the ledger stays, and so the way to all of them."""
    fields = {f"f{number}": "x" * 400 for number in range(40)}
    [event] = events("clinic.new-thing", **fields)

    raw = message(event, sequence=1, version="1")
    read = json.loads(parse(raw).text)

    assert len(raw) <= 8_192
    assert ["log", "index", "leaf"] == [one["type"] for one in read["entity"][-1]["detail"]]
    assert event["id"] == read["id"]


@given(ENTRIES)
def test_the_brief_form_keeps_what_a_token_event_needs(entry: dict[str, Any]) -> None:
    """Also where every detail must go, the id, the patient and the place are there."""
    for event in audit_events(ORIGIN, 7, encode(entry)):
        long = {**event, "outcomeDesc": "x" * 500}
        long["entity"][-1]["detail"] += [{"type": "more", "valueString": "y" * 9_000}]
        read = json.loads(parse(message(long, sequence=1, version="1")).text)

        assert event["id"] == read["id"]
        assert len(event["entity"]) == len(read["entity"])


def test_an_event_that_cannot_be_made_short_is_a_bug() -> None:
    """Nothing is cut off in silence."""
    [event] = events("ledger.read", what="list")
    with pytest.raises(RuntimeError):
        message(event, sequence=1, version="1", limit=100)


@given(st.text(), st.text())
def test_a_parameters_value_is_read_as_it_was_written(one: str, other: str) -> None:
    """Quotes, backslashes and brackets are escaped, and nothing else is."""
    try:
        said = structured_data({"meta": {"a": one, "b": other}}).encode()
    except UnicodeEncodeError:
        return  # half of a surrogate pair
    raw = b"<0>1 - - - - - " + said + b" \xef\xbb\xbf"

    assert {"meta": {"a": one, "b": other}} == parse(raw).structured


def test_no_structured_data_is_a_dash() -> None:
    """RFC 5424: NILVALUE."""
    assert "-" == structured_data({})


@pytest.mark.parametrize("name", ["", "a b", "a=b", 'a"', "a]", "ä", "a" * 33])
def test_a_name_that_the_grammar_lacks_is_a_bug(name: str) -> None:
    """Names are ours; none needs escaping."""
    with pytest.raises(RuntimeError):
        structured_data({name: {}})


@pytest.mark.parametrize(
    ("value", "expected"), [("", "-"), ("a b", "a_b"), ("ä", "_"), ("x" * 40, "x" * 32)]
)
def test_a_header_field_is_printable_and_bounded(value: str, expected: str) -> None:
    """What a header cannot hold is replaced; an empty field is a dash."""
    assert expected == header_text(value, 32)
