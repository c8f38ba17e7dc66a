"""The one form of an entry."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core.errors import Invalid, Tampered
from seawall.core.ledger.encoding import DEPTH, ENTRY_BYTES, LARGEST_INTEGER, decode, encode

TEXT = st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(
    st.booleans() | st.integers(-LARGEST_INTEGER, LARGEST_INTEGER) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
ENTRIES = st.dictionaries(TEXT, VALUES, max_size=6)


@given(ENTRIES)
def test_entry_round_trips(entry: dict[str, Any]) -> None:
    """Every entry reads back as what was written."""
    assert entry == decode(encode(entry))


@given(ENTRIES)
def test_entry_is_ordinary_json(entry: dict[str, Any]) -> None:
    """Any JSON reader reads an entry, and sees its keys in order of code points."""
    pairs = json.loads(encode(entry), object_pairs_hook=lambda pairs: pairs)

    assert sorted(entry) == [key for key, _ in pairs]


@given(ENTRIES, st.randoms(use_true_random=False))
def test_entry_has_one_spelling(entry: dict[str, Any], random: Any) -> None:
    """The order in which fields were set leaves no trace."""
    items = list(entry.items())
    random.shuffle(items)

    assert encode(entry) == encode(dict(items))


@given(ENTRIES, st.data())
def test_changed_bytes_are_never_the_same_entry(entry: dict[str, Any], data: st.DataObject) -> None:
    """A changed bit is refused, or reads as another entry that is written exactly so."""
    raw = bytearray(encode(entry))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        changed = decode(bytes(raw))
    except Tampered:
        return

    assert bytes(raw) == encode(changed)
    assert changed != entry


def test_entry_is_written_compactly_in_utf_8() -> None:
    """The form is sorted keys, no spaces, UTF-8, and lower-case escapes where JSON needs them."""
    entry = {"b": [True, -1, {}], "a": 'é\u2028\x7f"\\/\x1f\n', "\U0001f600": (), "\uffff": 0}

    assert (
        '{"a":"é\u2028\x7f\\"\\\\/\\u001f\\n","b":[true,-1,{}],"\uffff":0,"\U0001f600":[]}'.encode()
        == encode(entry)
    )


def test_read_only_mappings_are_objects() -> None:
    """A mapping that is no dict is written as the object that it is."""
    assert b'{"a":{"b":1}}' == encode(MappingProxyType({"a": MappingProxyType({"b": 1})}))


@pytest.mark.parametrize(
    "value",
    [
        None,
        1.0,
        float("nan"),
        b"bytes",
        {1: "a key that is a number"},
        {"a", "set"},
        "\ud800",
        {"\udfff": 1},
        2**53,
        -(2**53),
        [[None]],
        object(),
        "x" * ENTRY_BYTES,
    ],
)
def test_unfit_values_are_refused(value: Any) -> None:
    """What the form does not have is refused before it is written."""
    with pytest.raises(Invalid):
        encode({"field": value})


@pytest.mark.parametrize("entry", [[], "text", 1, None])
def test_only_objects_are_entries(entry: Any) -> None:
    """An entry is an object."""
    with pytest.raises(Invalid):
        encode(entry)


def test_refusal_does_not_show_the_value() -> None:
    """What an entry held by mistake stays out of the message about it."""
    with pytest.raises(Invalid) as raised:
        encode({"Jane Roe": {"MRN 1234567": 1.5}})

    shown = f"{raised.value} {raised.value.help} {raised.value!r}"
    assert not any(word in shown for word in ("Jane", "1234567", "1.5"))


def test_longest_entry() -> None:
    """An entry may have exactly the bytes that a bundle's length prefix can say."""
    entry = {"a": "x" * (ENTRY_BYTES - len('{"a":""}'))}

    assert entry == decode(encode(entry))


def test_deepest_entry() -> None:
    """Nesting is allowed down to the limit, and refused below it."""
    entry: dict[str, Any] = {}
    for _ in range(DEPTH - 1):
        entry = {"a": entry}

    assert entry == decode(encode(entry))
    with pytest.raises(Invalid):
        encode({"a": entry})


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b'"text"',
        b"null",
        b'{"a":null}',
        b'{"a":1.0}',
        b'{"a":1e2}',
        b'{"a":NaN}',
        b'{"a":-0}',
        b'{"a":01}',
        b'{"a":9007199254740992}',
        b'{"a":' + b"9" * 60_000 + b"}",
        b'{"a": 1}',
        b'{"a":1} ',
        b'\xef\xbb\xbf{"a":1}',
        b'{"b":1,"a":1}',
        b'{"a":1,"a":1}',
        b'{"a":1,"a":2}',
        b'{"a":"\\u0041"}',
        b'{"a":"\\/"}',
        b'{"a":"\\u001F"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\xff"}',
        b'{"a":"\x1f"}',
        b"[" * ENTRY_BYTES,
        b'{"a":' * 10_000,
        b'{"a":"' + b"x" * ENTRY_BYTES + b'"}',
    ],
    ids=lambda raw: repr(raw[:24]),
)
def test_other_spellings_are_tampered_with(raw: bytes) -> None:
    """Stored bytes that are not exactly canonical were not written by us."""
    with pytest.raises(Tampered):
        decode(raw)
