"""Rows as bytes: what is written is read, and nothing else is."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core.backup.cutting import ENTRIES, LEAST, MOST, cut_entries, cut_rows
from seawall.core.backup.rows import Kind, Shape, decode_rows, encode_rows
from seawall.core.errors import Tampered

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(max_size=40),
    "bytes": st.binary(max_size=40),
    "integer": st.integers(-(2**63), 2**63 - 1),
    "boolean": st.booleans(),
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[Shape, list[tuple[Any, ...]]]:
    """Draw a shape and rows of it."""
    kinds = draw(st.lists(st.sampled_from(get_args(Kind)), min_size=1, max_size=6))
    shape = Shape("t", tuple((f"c{at}", kind) for at, kind in enumerate(kinds)))
    columns = [st.none() | VALUES[kind] for kind in kinds]
    return shape, draw(st.lists(st.tuples(*columns), max_size=20))


@given(tables(), st.text(max_size=20), st.integers(0, 2**53))
def test_rows_come_back(table: tuple[Shape, list[Any]], log: str, start: int) -> None:
    """Every kind, every value and nothing at all are read as they were written."""
    shape, rows = table
    read = decode_rows(encode_rows(shape, rows, log=log, start=start))
    assert (shape, rows, log, start) == (read.shape, read.rows, read.log, read.start)


@given(tables(), st.data())
def test_a_shortened_chunk_is_tampered(table: tuple[Shape, list[Any]], data: st.DataObject) -> None:
    """Whatever is missing at the end, it is no chunk."""
    raw = encode_rows(*table)
    with pytest.raises(Tampered):
        decode_rows(raw[: data.draw(st.integers(0, len(raw) - 1))])


@given(tables())
def test_a_lengthened_chunk_is_tampered(table: tuple[Shape, list[Any]]) -> None:
    """Nothing may follow the last value."""
    with pytest.raises(Tampered):
        decode_rows(encode_rows(*table) + b"\0")


@given(st.binary(max_size=200))
def test_other_bytes_are_tampered(raw: bytes) -> None:
    """What is no chunk raises one error of ours."""
    with pytest.raises(Tampered):
        decode_rows(raw)


def a_row(at: int) -> tuple[str, bytes]:
    """Return a row of about a kilobyte."""
    return (f"item-{at}", bytes([at % 256]) * 1_000)


def test_cuts_lose_no_row_and_keep_their_bounds() -> None:
    """Chunks are the rows in their order, none of them too small but the last, none too large."""
    rows = [a_row(at) for at in range(20_000)]
    cuts = list(cut_rows([rows[:7_000], rows[7_000:]], 0))
    sizes = [sum(len(content) for _, content in cut) for cut in cuts]

    assert rows == [row for cut in cuts for row in cut]
    assert (True, True) == (max(sizes) <= MOST, min(sizes[:-1]) >= LEAST * 0.9)


def test_one_row_more_changes_few_chunks() -> None:
    """A row in the midst moves no cut but those around it."""
    rows = [a_row(at) for at in range(20_000)]
    before = [tuple(cut) for cut in cut_rows([rows], 0)]
    after = [tuple(cut) for cut in cut_rows([[*rows[:9_000], a_row(-1), *rows[9_000:]]], 0)]

    assert len(set(after) - set(before)) <= 2


def test_full_chunks_of_entries_stay_as_they_are() -> None:
    """Entries that are appended change the last chunk alone."""
    entries = [bytes(1_000) for _ in range(5_000)]
    before, after = list(cut_entries([entries])), list(cut_entries([entries * 2]))

    assert [cut for cut, is_full in before if is_full] == [cut for cut, _ in after][
        : len(before) - 1
    ]
    assert all(sum(map(len, cut)) >= ENTRIES for cut, is_full in after if is_full)
