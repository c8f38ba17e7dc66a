"""Server-sent events: what comes out does not depend on the cutting."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seawall.core.errors import Unavailable
from seawall.core.gateway import events
from seawall.core.gateway.events import MAX_EVENT_BYTES, EventFramer, event

if TYPE_CHECKING:
    from collections.abc import Iterable

CASES = json.loads(
    (Path(__file__).parents[2] / "vectors" / "events" / "cases.json").read_text(encoding="utf-8")
)
PIECES = st.sampled_from(
    ["data: ", "data:", "data", "event: x", ": comment", "\n", "\r", "\r\n", "a", "é", "😀", "\n\n"]
)
STREAMS = st.lists(PIECES, max_size=25).map(lambda pieces: "".join(pieces).encode())
CUTS = st.lists(st.integers(0, 120), max_size=12)


def cut(raw: bytes, places: Iterable[int]) -> list[bytes]:
    """Return the bytes in pieces, cut at places that may be beyond the end."""
    edges = [0, *sorted(min(place, len(raw)) for place in places), len(raw)]
    return [raw[start:end] for start, end in pairwise(edges)]


def framed(chunks: Iterable[bytes]) -> tuple[list[bytes], bool]:
    """Return the events of a stream, and whether it ends at the end of one."""
    framer = EventFramer()
    found = [data for chunk in chunks for data in framer.feed(chunk)]
    return found, framer.is_whole


def outcome(chunks: Iterable[bytes]) -> tuple[list[int], str]:
    """Return the lengths of the events that came, and the error that came then."""
    framer, found = EventFramer(), list[int]()
    try:
        for chunk in chunks:
            found.extend(map(len, framer.feed(chunk)))
    except Unavailable as error:
        return found, error.code
    return found, ""


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_each_case_is_framed_as_written(case: dict[str, Any]) -> None:
    """The table of cases holds for whole streams."""
    expected = [data.encode() for data in case["events"]], case["whole"]

    assert expected == framed([case["bytes"].encode()])


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_each_case_is_framed_byte_by_byte(case: dict[str, Any]) -> None:
    """The table of cases holds for streams that come byte by byte."""
    expected = [data.encode() for data in case["events"]], case["whole"]
    raw = case["bytes"].encode()

    assert expected == framed(raw[place : place + 1] for place in range(len(raw)))


@given(STREAMS, CUTS)
@example(b"data: a\r\n\r\ndata: b\r\n\r\n", [8, 10, 17])
def test_cutting_changes_nothing(raw: bytes, places: list[int]) -> None:
    """However a stream is cut, also within a line's end or a letter, the same events come."""
    assert framed([raw]) == framed(cut(raw, places))


@given(st.lists(st.binary(max_size=30).filter(lambda data: not {10, 13} & set(data))), CUTS)
def test_written_events_are_read_back(data: list[bytes], places: list[int]) -> None:
    """What we write as events is what a reader gets."""
    raw = b"".join(map(event, data))

    assert (data, True) == framed(cut(raw, places))


def lines(*sizes: int) -> bytes:
    """Return an event of data lines that are so many bytes long, line feeds included."""
    return b"".join(b"data:" + b"x" * (size - 6) + b"\n" for size in sizes) + b"\n"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(lines(MAX_EVENT_BYTES), "", id="just within"),
        pytest.param(lines(MAX_EVENT_BYTES + 1), "upstream-garbage", id="just beyond"),
        pytest.param(
            lines(MAX_EVENT_BYTES - 100, 101), "upstream-garbage", id="beyond by two lines"
        ),
        pytest.param(lines(MAX_EVENT_BYTES - 100, 100), "", id="within by two lines"),
        pytest.param(
            b":" + b"x" * MAX_EVENT_BYTES + b"\n", "upstream-garbage", id="a long comment"
        ),
        pytest.param(b"x" * (MAX_EVENT_BYTES + 1), "upstream-garbage", id="no line at all"),
        pytest.param(lines(MAX_EVENT_BYTES) * 3, "", id="several within"),
        pytest.param(b": ping\n\n" * (MAX_EVENT_BYTES // 4), "", id="many comments"),
        pytest.param(
            b": ping\n" * (MAX_EVENT_BYTES // 4), "upstream-garbage", id="comments without an end"
        ),
    ],
)
@pytest.mark.parametrize("size", [100_003, MAX_EVENT_BYTES * 4])
def test_limit_does_not_depend_on_cutting(raw: bytes, expected: str, size: int) -> None:
    """An event is over the limit or not, whether it comes at once or in pieces."""
    chunks = [raw[place : place + size] for place in range(0, len(raw), size)]

    assert expected == outcome(chunks)[1]


def test_events_before_a_too_large_one_still_come() -> None:
    """What came whole before an event over the limit is handed out."""
    raw = lines(50) + lines(MAX_EVENT_BYTES + 1)

    assert ([44], "upstream-garbage") == outcome([raw])


def test_error_shows_nothing_of_the_stream() -> None:
    """The error about an event over the limit holds nothing of it."""
    with pytest.raises(Unavailable) as caught:
        list(EventFramer().feed(b"Quackenbush" * 100_000))

    assert "Quackenbush" not in repr(caught.value.args)
    assert caught.value.help


def test_limit_is_one_mebibyte() -> None:
    """An event may have a mebibyte."""
    assert events.MAX_EVENT_BYTES == 1_048_576
