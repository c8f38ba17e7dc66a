"""Walking: every leaf seen, nothing else changed, and nothing ambiguous let in."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core.errors import Invalid
from seawall.core.phi.walking import (
    MAX_DEPTH,
    MAX_LEAVES,
    Number,
    Path,
    dump,
    leaves,
    parse_strict,
    transform,
)

BODIES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
    | st.sampled_from(['[1, "a"]', '{"b": 1.50}', '"c"', "[NAME-1]", "{", ' {"d": "[]"}']),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=4), inner, max_size=4)
        | inner.map(json.dumps)
    ),
    max_leaves=12,
)


def _same(text: str, _: Path) -> str:
    return text


def _error(raw: bytes) -> Invalid:
    with pytest.raises(Invalid) as caught:
        transform(parse_strict(raw), _same)
    return caught.value


@given(BODIES)
def test_walking_without_change_is_identity(body: Any) -> None:
    """A body in which no leaf changes is written as the very bytes that were read."""
    raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    compact = dump(parse_strict(raw))

    assert body == json.loads(compact)
    assert compact == dump(transform(parse_strict(compact), _same))


@pytest.mark.parametrize(
    "number",
    [
        "1.50",
        "5551234567",
        "-0",
        "0.0",
        "1e5",
        "1E+5",
        "1e400",
        "0.1000000000000000055",
        "9" * 5000,
    ],
)
def test_numbers_keep_their_bytes(number: str) -> None:
    """A number that does not change is written as it was, beyond what Python can count."""
    raw = f'{{"n":[{number}]}}'.encode()

    assert raw == dump(transform(parse_strict(raw), _same))


@given(
    st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
)
def test_any_number_keeps_its_bytes(number: str) -> None:
    """Any number that JSON allows is seen and written as it was."""
    raw = number.encode()

    assert [(number, ())] == list(leaves(parse_strict(raw)))
    assert raw == dump(transform(parse_strict(raw), _same))


def test_changed_number_becomes_a_string() -> None:
    """Only the number that a leaf changes becomes a string."""
    body = transform(
        parse_strict(b"[5551234567, 1.50]"), lambda text, _: text.replace("5551234567", "[PHONE-1]")
    )

    assert dump(body) == b'["[PHONE-1]",1.50]'


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'"hello"', [("hello", ())]),
        (b'{"a": [1, "b"]}', [("a", ()), ("1", ("a", 0)), ("b", ("a", 1))]),
        (b"[true, false, null, {}, []]", []),
        (b'["[\\"a\\", 2]"]', [("a", (0, 0)), ("2", (0, 1))]),
        (
            b'[" {\\"k\\": \\"{\\\\\\"m\\\\\\":7}\\"}"]',
            [("k", (0,)), ("m", (0, "k")), ("7", (0, "k", "m"))],
        ),
        (b'["\\"J\\\\u0061ne\\""]', [("Jane", (0,))]),
        (b'["{\\"a\\": NaN}"]', [("a", (0,)), ("NaN", (0, "a"))]),
        (b'{"[5]": null}', [("5", (0,))]),
        (
            b'["[NAME-1] came", "{", "7", ""]',
            [("[NAME-1] came", (0,)), ("{", (1,)), ("7", (2,)), ("", (3,))],
        ),
    ],
)
def test_leaves_come_in_order_with_their_paths(
    raw: bytes, expected: list[tuple[str, Path]]
) -> None:
    """Keys, strings, numbers and the leaves of JSON inside strings come in order of writing."""
    assert expected == list(leaves(parse_strict(raw)))


@given(BODIES, st.data())
def test_no_leaf_is_missed(body: Any, data: st.DataObject) -> None:
    """A marker planted anywhere, as key, value or inside JSON in a string, is reached."""
    planted = _plant(body, data)
    masked = transform(
        parse_strict(json.dumps(planted).encode()), lambda text, _: text.replace("JANE", "X")
    )

    written = dump(masked).decode()

    assert "JANE" not in written
    assert "X" in written


def _plant(body: Any, data: st.DataObject) -> Any:
    """Return the body with the marker put at a random place."""
    if isinstance(body, list) and body and data.draw(st.booleans()):
        place = data.draw(st.integers(0, len(body) - 1))
        return [*body[:place], _plant(body[place], data), *body[place + 1 :]]
    if isinstance(body, dict) and body and data.draw(st.booleans()):
        key = data.draw(st.sampled_from(sorted(body)))
        return {**body, key: _plant(body[key], data)}
    ways = [
        "JANE",
        {"JANE": body},
        [body, "a JANE"],
        json.dumps({"k": ["JANE", json.dumps("JANE")]}),
    ]
    return data.draw(st.sampled_from(ways))


def test_unchanged_inner_document_keeps_its_spaces() -> None:
    """JSON inside a string keeps its bytes unless something in it changes."""
    inner = '{ "a" : 1.50 , "b":"x" }'

    assert [inner] == transform([inner], _same)
    assert transform([inner], lambda text, _: text.replace("x", "[NAME-1]")) == [
        '{"a":1.50,"b":"[NAME-1]"}'
    ]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "json-syntax"),
        (b"{", "json-syntax"),
        (b"[1] x", "json-syntax"),
        (b'"a\nb"', "json-syntax"),
        (b'"' + b'\\"' * 50_000, "json-syntax"),
        (b"\xef\xbb\xbf{}", "json-syntax"),
        (b'"\xff"', "json-encoding"),
        (b'"\xed\xa0\x80"', "json-encoding"),
        (b'{"JANE":1,"JANE":2}', "json-duplicate-key"),
        (b'{"a":1,"\\u0061":2}', "json-duplicate-key"),
        (b'["{\\"a\\":1,\\"a\\":2}"]', "json-duplicate-key"),
        (b"[NaN]", "json-number"),
        (b"[-Infinity]", "json-number"),
        (b'"\\ud800"', "json-unicode"),
        (b'{"\\udc00\\ud800":1}', "json-unicode"),
        (b'["{\\"a\\": \\"\\\\ud800\\"}"]', "json-unicode"),
        (b"[" * 100_000, "json-depth"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "json-depth"),
        (json.dumps(["[" * 64 + "]" * 64]).encode(), "json-depth"),
        (json.dumps(["[" * 100_000]).encode(), "json-depth"),
        (b"[" + b"0," * MAX_LEAVES + b"0]", "json-leaves"),
        (b'["[' + b"0," * MAX_LEAVES + b'0]"]', "json-leaves"),
        (json.dumps({str(n): n for n in range(MAX_LEAVES // 2 + 1)}).encode(), "json-leaves"),
    ],
)
def test_what_cannot_be_walked_is_refused(raw: bytes, code: str) -> None:
    """What is no JSON, may be read in two ways or is beyond a limit is named by its code."""
    error = _error(raw)

    assert code == error.code
    assert error.help
    assert error.__context__ is None


def test_text_that_begins_like_json_is_text() -> None:
    """Prose after an object, even one with a key twice, makes a string plain text."""
    text = '{"a":1,"a":2} and so on'

    assert [(text, (0,))] == list(leaves([text]))


def test_deepest_body_passes() -> None:
    """A body at the limit of depth passes, also if part of the depth is inside a string."""
    # The array around, and the string as a document, are a level each.
    limit = MAX_DEPTH
    inner = "[" * (limit - 2) + "]" * (limit - 2)
    raw = json.dumps([inner]).encode()

    assert raw == dump(transform(parse_strict(raw), _same))
    assert list(leaves(parse_strict(b"[" * limit + b"]" * limit))) == []


def test_largest_body_passes() -> None:
    """A body at the limit of leaves passes, and commas in prose count for nothing."""
    raw = b"[" + b"0," * (MAX_LEAVES - 1) + b"0]"

    assert len(list(leaves(parse_strict(raw)))) == MAX_LEAVES
    assert isinstance(parse_strict(b'"' + b"," * MAX_LEAVES + b'"'), str)


def test_keys_that_become_one_are_refused() -> None:
    """Two keys that a leaf makes the same are refused, not merged."""
    with pytest.raises(Invalid) as caught:
        transform({"Anna": 1, "Maria": 2}, lambda text, _: "[NAME-1]" if text.isalpha() else text)

    assert caught.value.code == "json-key-collision"


def test_plain_python_numbers_are_walked_too() -> None:
    """A body that was not read by `parse_strict` is walked alike; its numbers are leaves."""
    assert list(leaves([7, 1.5])) == [("7", (0,)), ("1.5", (1,))]


@pytest.mark.parametrize("body", [{"a": {1}}, [b"bytes"]])
def test_what_json_cannot_hold_is_a_mistake(body: Any) -> None:
    """A value that JSON cannot hold is the programmer's mistake, when walked or written."""
    with pytest.raises(RuntimeError):
        transform(body, _same)
    with pytest.raises(RuntimeError):
        dump(body)


def test_half_a_pair_is_not_written() -> None:
    """A string with half a surrogate pair is refused when it is written."""
    with pytest.raises(Invalid) as caught:
        dump(["\ud800"])

    assert caught.value.code == "json-unicode"
    assert caught.value.__context__ is None


def test_number_shows_itself_only_when_asked() -> None:
    """A number prints nothing of itself, compares by its text, and no other writer takes it."""
    number = Number("5551234567")

    assert repr([number]) == "[<Number>]"
    assert f"{number}" == "5551234567"
    assert {number} == {Number("5551234567")}
    assert number != "5551234567"
    with pytest.raises(TypeError):
        orjson.dumps(number)


def test_body_built_too_deep_is_refused() -> None:
    """A body that was not read by `parse_strict` is held to the same depth."""
    body: list[Any] = []
    for _ in range(MAX_DEPTH):
        body = [body]

    with pytest.raises(Invalid) as caught:
        transform(body, _same)

    assert caught.value.code == "json-depth"
