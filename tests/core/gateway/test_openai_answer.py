"""Answers of the OpenAI dialect: inspected, restored, and ended only when they may end."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core.errors import Refused, Unavailable
from seawall.core.gateway.given import Given
from seawall.core.gateway.inspection import Inspector
from seawall.core.gateway.openai_answer import Rewriting, StreamRewriter, rewrite_answer
from seawall.core.phi.identifiers import Label
from seawall.core.phi.replacement import Placeholders
from seawall.core.phi.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seawall.core.registers.use_case import AnswerRule

NAME, QUOTED = "Koepp", 'Ann "Nan" Lee'
"""The client's own values: restored as `[NAME-1]` and `[NAME-2]`."""
MARKER = "PT123456"
"""An identifier that nobody sent."""
DONE = b"[DONE]"


def find(text: str) -> list[Span]:
    """Find numbers of patients."""
    return [
        Span(match.start(), match.end(), Label.ID, "rule", 1.0)
        for match in re.finditer(r"PT\d+", text)
    ]


def rewriting(rule: AnswerRule = "mask", *, writes_json: bool = False) -> Rewriting:
    """Return what rewriting takes, for a request in which two names were replaced."""
    placeholders = Placeholders()
    for name in (NAME, QUOTED):
        placeholders.placeholder_for(Label.NAME, name)
    inspector = Inspector(find, Given(["[NAME-1] [NAME-2]"], ()))
    return Rewriting(placeholders, inspector, rule, writes_json)


def plain(how: Rewriting | None = None, /, **message: Any) -> dict[str, Any]:
    """Return the message that the caller gets for the model's."""
    raw = orjson.dumps({"choices": [{"index": 0, "message": message}]})
    answer = orjson.loads(rewrite_answer(raw, how or rewriting()))
    found: dict[str, Any] = answer["choices"][0]["message"]
    return found


def chunk(delta: dict[str, Any], *, index: int = 0, finish: str | None = None) -> bytes:
    """Return the data of one event with one choice."""
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return orjson.dumps({"id": "c-1", "object": "chat.completion.chunk", "choices": [choice]})


def call(arguments: str | None = None, *, index: int = 0, **head: Any) -> dict[str, Any]:
    """Return a delta with a fragment of a tool call."""
    function = {"arguments": arguments, **({"name": head.pop("name")} if "name" in head else {})}
    return {"tool_calls": [{"index": index, **head, "function": function}]}


def streamed(
    events: Iterable[bytes], how: Rewriting | None = None
) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Return the deltas that go out before the end, and the events of the end."""
    rewriter = StreamRewriter(how or rewriting())
    out = [orjson.loads(data) for each in events for data in rewriter.feed(each)]
    return [choice["delta"] for each in out for choice in each["choices"]], rewriter.finish()


def joined(deltas: Iterable[dict[str, Any]], name: str = "content") -> str:
    """Return the text that a client puts together from deltas."""
    return "".join(delta.get(name) or "" for delta in deltas)


def cut(text: str, places: Iterable[int]) -> list[str]:
    """Return a text in pieces, cut at places that may be beyond its end."""
    edges = [0, *sorted(min(place, len(text)) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


def stream_of(pieces: Iterable[str], name: str = "content") -> list[bytes]:
    """Return the events of one choice whose text comes in pieces."""
    texts = [chunk({name: piece}) for piece in pieces]
    return [chunk({"role": "assistant"}), *texts, chunk({}, finish="stop"), DONE]


PIECES = st.sampled_from(
    [
        "[NAME-1]",
        "[NAME-2]",
        "[NAME-1b]",
        "[NAME-",
        "1]",
        "[",
        MARKER,
        "é😀",
        "heart",
        "\n",
        "word " * 9,
    ]
)
ANSWERS = st.lists(PIECES, max_size=40).map(" ".join)
CUTS = st.lists(st.integers(0, 700), max_size=20)


@pytest.mark.parametrize("name", ["content", "refusal", "reasoning_content"])
def test_plain_texts_are_restored_and_masked(name: str) -> None:
    """Each text of a whole answer is inspected, and then restored."""
    assert {name: "Koepp, [ID removed]"} == plain(**{name: f"[NAME-1], {MARKER}"})


def test_plain_null_stays_null() -> None:
    """A text that is null stays null."""
    assert {"content": None, "tool_calls": None} == plain(content=None, tool_calls=None)


def test_plain_json_is_restored_as_json() -> None:
    """Where the answer is JSON, a restored value is escaped for its string."""
    message = plain(rewriting(writes_json=True), content='{"who": "[NAME-2]"}')

    assert {"who": QUOTED} == orjson.loads(message["content"])


def test_plain_tool_calls_are_restored_as_json() -> None:
    """A call's name and arguments are restored, its arguments also in JSON inside strings."""
    inner = orjson.dumps({"who": "[NAME-2]"}).decode()
    arguments = orjson.dumps({"note": inner, "id": MARKER}).decode()
    function = {"name": "tell_[NAME-1]", "arguments": arguments}
    (called,) = plain(tool_calls=[{"id": "a", "type": "function", "function": function}])[
        "tool_calls"
    ]
    restored = orjson.loads(called["function"]["arguments"])

    assert ("a", "function", "tell_Koepp") == (
        called["id"],
        called["type"],
        called["function"]["name"],
    )
    assert {"who": QUOTED} == orjson.loads(restored["note"])
    assert restored["id"] == "[ID removed]"


def test_plain_choices_are_all_rewritten() -> None:
    """Each choice of a whole answer is rewritten."""
    choices = [{"index": n, "message": {"content": f"{n} [NAME-1]"}} for n in range(3)]
    answer = orjson.loads(rewrite_answer(orjson.dumps({"choices": choices}), rewriting()))

    assert ["0 Koepp", "1 Koepp", "2 Koepp"] == [c["message"]["content"] for c in answer["choices"]]


def test_plain_unknown_fields_are_left_out() -> None:
    """What could show text that was not inspected is left out, at every level."""
    function = {"name": "f", "arguments": "{}", "note": MARKER}
    message = {
        "role": "assistant",
        "content": "a",
        "audio": MARKER,
        "tool_calls": [{"id": "a", "function": function, "custom": {"input": MARKER}}],
    }
    choice = {"index": 0, "message": message, "logprobs": [MARKER], "finish_reason": "stop"}
    raw = orjson.dumps({"id": "c-1", "usage": {"total": 3}, "choices": [choice], "debug": MARKER})
    answer = orjson.loads(rewrite_answer(raw, rewriting()))

    assert MARKER not in str(answer)
    assert ("c-1", {"total": 3}) == (answer["id"], answer["usage"])
    assert {"index", "message", "finish_reason"} == answer["choices"][0].keys()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html>",
        b"\xff",
        b"[]",
        b"{}",
        b'{"choices": null}',
        b'{"choices": []}',
        b'{"choices": {"0": {}}}',
        b'{"choices": ["a"]}',
        b'{"choices": [{}]}',
        b'{"choices": [{"message": "a"}]}',
        b'{"choices": [{"message": {"content": 7}}]}',
        b'{"choices": [{"message": {"content": ["a"]}}]}',
        b'{"choices": [{"message": {"tool_calls": 5}}]}',
        b'{"choices": [{"message": {"tool_calls": {"id": "a"}}}]}',
        b'{"choices": [{"message": {"tool_calls": ["a"]}}]}',
        b'{"choices": [{"message": {"tool_calls": [{}]}}]}',
        b'{"choices": [{"message": {"tool_calls": [{"function": {"name": 1}}]}}]}',
        b'{"choices": [{"message": {"tool_calls": [{"function": {"name": "a"}}]}}]}',
    ],
)
def test_plain_garbage_is_the_upstreams_fault(raw: bytes) -> None:
    """Whatever is not the dialect's answer is the upstream's failure, and is not shown."""
    with pytest.raises(Unavailable) as caught:
        rewrite_answer(raw, rewriting())

    assert caught.value.code == "upstream-garbage"
    assert caught.value.__cause__ is None


def test_plain_answer_may_be_blocked() -> None:
    """Under `block` an answer with a new identifier is refused, in its calls too."""
    function = {"name": "f", "arguments": orjson.dumps({"id": MARKER}).decode()}

    with pytest.raises(Refused):
        plain(rewriting("block"), tool_calls=[{"function": function}])


@given(ANSWERS, CUTS, st.sampled_from(["content", "refusal", "reasoning_content"]))
def test_stream_gives_what_the_whole_gives(text: str, places: list[int], name: str) -> None:
    """However the model's text is cut into deltas, the client gets the text of a plain answer."""
    deltas, _ = streamed(stream_of(cut(text, places), name))

    assert plain(**{name: text})[name] == joined(deltas, name)


@given(ANSWERS, CUTS)
def test_streamed_arguments_give_what_the_whole_gives(text: str, places: list[int]) -> None:
    """However a call's arguments are cut, the client gets the arguments of a plain answer."""
    arguments = orjson.dumps({"text": text, "json": orjson.dumps([text]).decode()}).decode()
    first, *rest = cut(arguments, places)
    events = [chunk(call(first, id="a", type="function", name="f"))]
    events += [*[chunk(call(piece)) for piece in rest], chunk({}, finish="tool_calls"), DONE]
    (delta,) = streamed(events)[0]
    function = {"name": "f", "arguments": arguments}
    (whole,) = plain(tool_calls=[{"id": "a", "type": "function", "function": function}])[
        "tool_calls"
    ]

    assert [{**whole, "index": 0}] == delta["tool_calls"]


def test_streamed_json_is_escaped() -> None:
    """Where the answer is JSON, a value that is restored in a stream is escaped."""
    pieces = ['{"who": "[NA', 'ME-2]"}']
    deltas, _ = streamed(stream_of(pieces), rewriting(writes_json=True))

    assert {"who": QUOTED} == orjson.loads(joined(deltas))


def test_choices_of_a_stream_are_apart() -> None:
    """Each choice has its own text, although their pieces come mixed."""
    rewriter = StreamRewriter(rewriting())
    events = [
        chunk({"content": "a [NA"}, index=0),
        chunk({"content": "b [NAME"}, index=1),
        chunk({"content": "ME-1]"}, index=0),
        chunk({"content": "-2]"}, index=1),
        chunk({}, index=1, finish="stop"),
        chunk({}, index=0, finish="stop"),
        DONE,
    ]
    out = [orjson.loads(data)["choices"][0] for each in events for data in rewriter.feed(each)]
    texts = {n: joined(c["delta"] for c in out if c["index"] == n) for n in (0, 1)}

    assert {0: "a Koepp", 1: f"b {QUOTED}"} == texts


def test_several_calls_in_fragments() -> None:
    """Fragments of several calls are gathered by index; a later null does not erase an id."""
    events = [
        chunk(call("", id="a", type="function", name="f")),
        chunk(call('{"x":', id=None, type=None)),
        chunk(call(None, index=1, id="b", type="function", name="g_[NAME-1]")),
        chunk(call("{}", index=1)),
        chunk(call(' "[NAME-1]"}', id="")),
        chunk({}, finish="tool_calls"),
        DONE,
    ]
    deltas, _ = streamed(events)

    assert [
        {"index": 0, "id": "a", "type": "function"},
        {"index": 1, "id": "b", "type": "function"},
    ] == [{k: v for k, v in each.items() if k != "function"} for each in deltas[0]["tool_calls"]]
    assert [("f", '{"x": "Koepp"}'), ("g_Koepp", "{}")] == [
        (each["function"]["name"], each["function"]["arguments"])
        for each in deltas[0]["tool_calls"]
    ]


def test_end_waits_for_finish() -> None:
    """What ends a choice, and the usage after it, goes out only from `finish`."""
    usage = orjson.dumps({"id": "c-1", "choices": [], "usage": {"total": 3}})
    events = [*stream_of(["hello"])[:-1], usage, DONE]
    deltas, ending = streamed(events)
    reasons = [
        [choice["finish_reason"] for choice in orjson.loads(each)["choices"]]
        for each in ending[:-1]
    ]

    assert [{"role": "assistant"}, {"content": "hello"}] == deltas
    assert [["stop"], []] == reasons
    assert (3, DONE) == (orjson.loads(ending[1])["usage"]["total"], ending[-1])


def test_events_before_the_end_have_no_reason() -> None:
    """No event that goes out early says that a choice has ended."""
    rewriter = StreamRewriter(rewriting())
    out = [orjson.loads(data) for each in stream_of(["a"]) for data in rewriter.feed(each)]

    assert {None} == {choice["finish_reason"] for each in out for choice in each["choices"]}


def test_event_without_choices_at_the_start_goes_out() -> None:
    """An event without choices before any has ended goes out at once."""
    rewriter = StreamRewriter(rewriting())

    assert [b'{"id":"c-1","choices":[]}'] == list(rewriter.feed(b'{"id":"c-1","choices":[]}'))


@pytest.mark.parametrize("last", [{}, {"content": None}, {"content": ""}, {"content": "[NAME-1]"}])
def test_last_delta_may_come_with_the_end(last: dict[str, Any]) -> None:
    """The event that ends a choice may hold its last text, or null, or nothing."""
    deltas, _ = streamed([chunk({"content": "a [NAME"}), chunk(last, finish="stop"), DONE])

    assert "a [NAME" + ("Koepp" if last.get("content") else "") == joined(deltas)


def test_streamed_unknown_fields_are_left_out() -> None:
    """What could show text that was not inspected is left out of a stream's events."""
    function = {"name": "f", "arguments": "{}", "note": MARKER}
    delta = {
        "content": "a",
        "audio": MARKER,
        "tool_calls": [{"index": 0, "id": "a", "custom": MARKER, "function": function}],
    }
    choice = {"index": 0, "delta": delta, "logprobs": MARKER, "finish_reason": "stop"}
    rewriter = StreamRewriter(rewriting())
    out = list(rewriter.feed(orjson.dumps({"choices": [choice], "debug": MARKER})))

    assert MARKER not in repr([out, *rewriter.feed(DONE), rewriter.finish()])


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([], id="nothing came"),
        pytest.param([DONE], id="an end and nothing else"),
        pytest.param([b'{"choices": []}', DONE], id="an end without a choice"),
        pytest.param(stream_of(["a"])[:-2], id="no reason and no end"),
        pytest.param(stream_of(["a"])[:-1], id="no end"),
        pytest.param([chunk({"content": "a"}), DONE], id="no reason"),
        pytest.param(
            [chunk({"content": "a"}, index=1), *stream_of(["a"])], id="one choice has not ended"
        ),
    ],
)
def test_stream_that_was_cut_has_no_end(events: list[bytes]) -> None:
    """A stream that does not reach its end, choice by choice, is told as cut."""
    with pytest.raises(Unavailable) as caught:
        streamed(events)

    assert caught.value.code == "upstream-cut"
    assert caught.value.help


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"oops",
        b"[]",
        b"{}",
        b'{"choices": {}}',
        b'{"choices": ["a"]}',
        b'{"choices": [{"delta": {}}]}',
        b'{"choices": [{"index": "0", "delta": {}}]}',
        b'{"choices": [{"index": 0, "delta": "a"}]}',
        b'{"choices": [{"index": 0, "delta": {"content": 7}}]}',
        b'{"choices": [{"index": 0, "delta": {"tool_calls": 5}}]}',
        b'{"choices": [{"index": 0, "delta": {"tool_calls": {"index": 0}}}]}',
        b'{"choices": [{"index": 0, "delta": {"tool_calls": ["a"]}}]}',
        b'{"choices": [{"index": 0, "delta": {"tool_calls": [{}]}}]}',
        b'{"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": 5}]}}]}',
        (
            b'{"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": '
            b'{"arguments": 5}}]}}]}'
        ),
        (
            b'{"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": '
            b'{"name": 5}}]}}]}'
        ),
    ],
)
def test_streamed_garbage_is_the_upstreams_fault(data: bytes) -> None:
    """Whatever is not the dialect's event is the upstream's failure."""
    with pytest.raises(Unavailable) as caught:
        list(StreamRewriter(rewriting()).feed(data))

    assert caught.value.code == "upstream-garbage"


def test_choice_that_ended_says_no_more() -> None:
    """More of a choice after its end is the upstream's failure."""
    with pytest.raises(Unavailable) as caught:
        streamed([*stream_of(["a"])[:-1], chunk({"content": "b"}), DONE])

    assert caught.value.code == "upstream-garbage"


def test_held_arguments_are_bounded() -> None:
    """Arguments are held up to a mebibyte, over all calls."""
    events = [chunk(call("x" * 2**18, index=n)) for n in range(5)]

    with pytest.raises(Unavailable) as caught:
        streamed(events)
    assert caught.value.code == "upstream-garbage"


def test_blocked_stream_sends_nothing_of_it() -> None:
    """Under `block` a stream ends before its new identifier goes out."""
    rewriter = StreamRewriter(rewriting("block"))
    out: list[bytes] = []
    with pytest.raises(Refused):
        out.extend(
            data
            for each in stream_of(["word " * 60, "PT123", "456 ", "word " * 60])
            for data in rewriter.feed(each)
        )

    assert b"PT" not in b"".join([*out, rewriter.transcript()])
    assert b"word" in b"".join(out)


@given(ANSWERS, CUTS)
def test_transcript_is_what_was_sent(text: str, places: list[int]) -> None:
    """The sealed record of a stream holds what the client was sent, choice by choice."""
    rewriter = StreamRewriter(rewriting())
    events = stream_of(cut(text, places))
    events[-1:-1] = [
        chunk(call("{}", id="a", name="f"), index=1),
        chunk({}, index=1, finish="stop"),
    ]
    deltas = [
        choice["delta"]
        for each in events
        for data in rewriter.feed(each)
        for choice in orjson.loads(data)["choices"]
    ]
    kept = orjson.loads(rewriter.transcript())

    assert joined(deltas) == kept["0"].get("content", "")
    assert [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}] == kept["1"][
        "tool_calls"
    ]


def test_new_identifiers_are_counted_for_the_outcome() -> None:
    """What was found in a stream's texts and calls is counted for the outcome's entry."""
    how = rewriting()
    events = [
        chunk({"content": MARKER}),
        chunk(call(f'"{MARKER}"')),
        chunk({}, finish="stop"),
        DONE,
    ]
    streamed(events, how)

    assert {"ID": 2} == how.inspector.found


@pytest.mark.parametrize(
    "arguments",
    [
        r'{"note":"\u0050T123456"}',
        r'{"note":"line\nPT123456"}',
        r'{"outer":"{\"inner\":\"PT123456\"}"}',
        r'{"PT123456":1}',
    ],
)
def test_no_escape_or_level_of_json_hides_an_identifier(arguments: str) -> None:
    """Arguments are inspected leaf by leaf: escapes, documents in strings and keys included."""
    message = plain(
        tool_calls=[
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
        ]
    )
    written = message["tool_calls"][0]["function"]["arguments"]

    assert "123456" not in written
    assert "[ID removed]" in written
    orjson.loads(written)


def test_a_masked_number_leaves_json_that_parses() -> None:
    """A number that is masked becomes a string, so that the arguments stay JSON."""
    how = rewriting()
    how.inspector._find = lambda text: [
        Span(match.start(), match.end(), Label.ID, "rule", 1.0)
        for match in re.finditer(r"12345678", text)
    ]
    call = {"name": "f", "arguments": '{"mrn":12345678,"dose":1.50}'}
    message = plain(how, tool_calls=[{"id": "c", "type": "function", "function": call}])

    assert message["tool_calls"][0]["function"]["arguments"] == '{"mrn":"[ID removed]","dose":1.50}'


def test_structured_content_is_held_until_it_is_whole() -> None:
    """A stream of structured output releases nothing that an escape could still change."""
    deltas, _ = streamed(
        [
            chunk({"content": r'{"a":"\u0050T12'}),
            chunk({"content": r'3456","b":"[NAME-2]"}'}),
            chunk({}, finish="stop"),
            DONE,
        ],
        rewriting(writes_json=True),
    )

    assert orjson.loads(joined(deltas)) == {"a": "[ID removed]", "b": QUOTED}
