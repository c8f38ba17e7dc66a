"""Properties of the dialect that hold for any text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.sandbox.answers import LONGEST_PIECE, completion, events, pieces, uneven_writes
from seawall.sandbox.dialect import UnusableRequestError, read_request
from seawall.sandbox.faults import FAULTS

DIGESTS = st.binary(min_size=32, max_size=32)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
FIELDS = ("model", "messages", "tools", "tool_choice", "n", "stream_options", "response_format")


@given(st.text(), DIGESTS)
def test_pieces_join_to_the_text(text: str, digest: bytes) -> None:
    """The pieces of a text are never empty or long, and join to the text."""
    cut = pieces(text, digest)

    assert text == "".join(cut)
    assert all(0 < len(piece) <= LONGEST_PIECE for piece in cut)


@given(st.text(max_size=2000), DIGESTS)
def test_writes_join_to_the_stream(text: str, digest: bytes) -> None:
    """Network writes join to the stream, and split each character of several bytes."""
    stream = text.encode()
    writes = list(uneven_writes(stream, digest))

    assert stream == b"".join(writes)
    assert sum(c > "\x7f" for c in text) == sum(w != b"" and w[-1] >= 0xC0 for w in writes)


@given(st.text(min_size=1), st.integers(1, 3))
def test_stream_equals_plain_for_any_echo(text: str, choices: int) -> None:
    """Each choice's streamed pieces join to the plain answer's text, whatever the text."""
    body = _body(text, n=choices, stream=True)
    plain = json.loads(completion(read_request(body)))
    streamed = [""] * choices
    for event in events(read_request(body))[:-1]:
        for choice in json.loads(event.removeprefix(b"data: "))["choices"]:
            streamed[choice["index"]] += choice["delta"].get("content", "")

    assert [choice["message"]["content"] for choice in plain["choices"]] == streamed
    assert [text] * choices == streamed


@given(fields=st.dictionaries(st.sampled_from(FIELDS), JSON), whole=st.booleans())
def test_odd_requests_are_answered_or_refused(fields: dict[str, Any], *, whole: bool) -> None:
    """Any JSON object is either a request that gets an answer, or a refusal with a code."""
    usual = {"model": "seawall-sandbox-1", "messages": [{"role": "user", "content": "Book it"}]}
    body = json.dumps({**fields, **usual} if whole else fields).encode()
    try:
        answered = json.loads(completion(read_request(body)))
    except UnusableRequestError as error:
        assert error.status in {400, 404}  # noqa: PT017  either outcome is right, each in its shape
    else:
        assert answered["choices"]


@settings(max_examples=20)
@given(st.binary())
def test_other_bytes_are_refused(body: bytes) -> None:
    """Bytes that are no JSON object are refused."""
    with pytest.raises(UnusableRequestError):
        read_request(b"[" + body)


@pytest.mark.parametrize("name", sorted(set(FAULTS) - {"huge"}))
@given(text=st.text())
def test_faults_change_any_answer(name: str, text: str) -> None:
    """Every fault sends other bytes than the right ones, plain and streamed."""
    chat = read_request(_body(text))
    answers = [completion(chat), b"".join(events(chat))]

    assert not [right for right in answers if FAULTS[name].body(right) == right]


def _body(text: str, **fields: Any) -> bytes:
    turn = {"role": "user", "content": text}
    return json.dumps({"model": "seawall-sandbox-1+echo", "messages": [turn], **fields}).encode()
