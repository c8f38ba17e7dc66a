"""Rows as they are read: what reading would change is refused, and batches are bounded."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_scene import ndjson_file
from seawall.adapters.datasets.reading import BATCH_ROWS, reader_of
from seawall.core.errors import Invalid

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "text",
    [
        *("0.1", "0.10000000000000001", "0.1000000000000000056", "-0.0", "0e99", "1e23"),
        *("5e-324", "7.120236347223045e-307"),
    ],
)
def test_a_number_that_is_kept_is_read(text: str) -> None:
    """Fractions are what they are in any program, to as many digits as they are written with."""
    reader = reader_of(io.BytesIO(f'{{"a":{text}}}'.encode()), "ndjson", is_seekable=True)

    assert [float(text)] == [one for batch in reader.batches() for one in batch["a"].to_pylist()]


@given(number=st.floats(allow_nan=False, allow_infinity=False), digits=st.integers(16, 30))
def test_every_fraction_is_read_as_it_is_written(number: float, digits: int) -> None:
    """The shortest form of a number and any longer exact one are the same number."""
    lines = f'{{"a":{number!r}}}\n{{"a":{number:.{digits}e}}}\n'.encode()
    reader = reader_of(io.BytesIO(lines), "ndjson", is_seekable=True)

    read = [one for batch in reader.batches() for one in batch["a"].to_pylist()]

    assert [number, number] == read


def test_batches_are_small_in_memory_however_short_the_cells_are() -> None:
    """A thousand columns of two letters make batches of their size in memory, not in bytes."""
    width, rows = 1_000, 2_000
    line = b",".join([b"xy"] * width) + b"\n"
    source = io.BytesIO(b",".join(b"n%d" % each for each in range(width)) + b"\n" + line * rows)
    reader = reader_of(source, "csv", is_seekable=True)
    sizes = [batch.num_rows for batch in reader.batches()]

    assert rows == sum(sizes)
    assert max(sizes) * width * (sys.getsizeof("xy") + 8) < (16 << 20) + width * 64


def piped(last: dict[str, Any]) -> int:
    """Read a whole batch and one row more, once; return how many rows there were."""
    lines = b'{"a":1}\n' * BATCH_ROWS + json.dumps(last).encode()
    reader = reader_of(io.BytesIO(lines), "ndjson", is_seekable=False)
    return sum(batch.num_rows for batch in reader.batches())


@pytest.mark.parametrize("last", [{"a": 2}, {"a": None}])
def test_what_can_be_read_once_is_read_on(last: dict[str, Any]) -> None:
    """A pipe whose later rows fit its first batch is read to its end."""
    assert BATCH_ROWS + 1 == piped(last)


@pytest.mark.parametrize("last", [{"a": 1, "b": 2}, {"a": 1.5}, {"a": "x"}])
def test_what_can_be_read_once_must_fit_its_first_batch(last: dict[str, Any]) -> None:
    """A pipe whose columns change later is refused, and nothing of it is cut."""
    with pytest.raises(Invalid) as caught:
        piped(last)

    assert "rows-unreadable" == caught.value.code


def test_parquet_is_not_read_from_a_pipe() -> None:
    """It is read from its end."""
    with pytest.raises(Invalid):
        reader_of(io.BytesIO(b""), "parquet", is_seekable=False)


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    """A file is read twice: what the second reading finds must be what the first one did."""
    path = ndjson_file(tmp_path, {"a": 1})
    with path.open("rb") as source:
        reader = reader_of(source, "ndjson", is_seekable=True)
        path.write_bytes(b'{"a":1,"b":2}\n')

        with pytest.raises(Invalid) as caught:
            list(reader.batches())

    assert "the file was changed while it was read" == caught.value.message
