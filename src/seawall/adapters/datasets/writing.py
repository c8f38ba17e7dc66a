"""Rows as they go out in the clear: Parquet, CSV or NDJSON.

NDJSON and CSV have few types: times, dates, durations and decimals become text, bytes become
Base64 in NDJSON, and what is no number becomes null. Parquet keeps every type.
"""

from __future__ import annotations

import base64
from typing import IO, TYPE_CHECKING, Any

import orjson
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from seawall.core.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Callable

    from seawall.app.ports import RowsForm


class RowWriter:
    """Writes batches of one schema."""

    def __init__(self, out: IO[bytes], form: RowsForm, schema: Any) -> None:
        if form == "csv" and (nested := _first(schema, pa.types.is_nested)):
            raise _unfit(nested, "lists and objects have no place in CSV")
        if form == "csv" and (raw := _first(schema, _is_binary)):
            raise _unfit(raw, "bytes have no place in CSV")
        self._form, self._out, self._schema = form, out, schema
        self._texts = pa.schema([field.with_type(_textual(field.type)) for field in schema])
        self._writer: Any = None
        if form == "parquet":
            self._writer = pq.ParquetWriter(out, schema, compression="zstd")
        elif form == "csv":
            self._writer = pc.CSVWriter(out, self._texts)

    def write(self, batch: Any) -> None:
        """Write a batch."""
        if self._form == "parquet":
            self._writer.write_batch(batch)
            return
        said = pa.RecordBatch.from_arrays(
            [self._said(position, column) for position, column in enumerate(batch.columns)],
            schema=self._texts,
        )
        if self._form == "csv":
            self._writer.write_batch(said)
            return
        lines = (
            orjson.dumps(row, default=_encode, option=orjson.OPT_APPEND_NEWLINE)
            for row in said.to_pylist()
        )
        self._out.write(b"".join(lines))

    def _said(self, position: int, column: Any) -> Any:
        wanted = self._texts.field(position).type
        try:
            return column if column.type == wanted else column.cast(wanted)
        except (pa.ArrowException, ValueError):
            raise _unfit(position + 1, "it cannot be said in text") from None

    def close(self) -> None:
        """Write what ends the file."""
        if self._writer is not None:
            self._writer.close()


def _first(schema: Any, is_so: Callable[[Any], bool]) -> int | None:
    found = (position for position, field in enumerate(schema, 1) if is_so(field.type))
    return next(found, None)


def _is_binary(kind: Any) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
    )


def _textual(kind: Any) -> Any:
    """Return the type in which values of this one are said: times and decimals as text."""
    said = kind
    if pa.types.is_dictionary(kind):
        said = _textual(kind.value_type)
    elif pa.types.is_duration(kind):
        said = pa.int64()
    elif pa.types.is_float16(kind):
        said = pa.float32()
    elif pa.types.is_temporal(kind) or pa.types.is_decimal(kind):
        said = pa.string()
    elif pa.types.is_struct(kind):
        said = pa.struct([field.with_type(_textual(field.type)) for field in kind])
    elif pa.types.is_map(kind):
        said = pa.map_(_textual(kind.key_type), _textual(kind.item_type))
    elif pa.types.is_fixed_size_list(kind):
        said = pa.list_(_textual(kind.value_type), kind.list_size)
    elif pa.types.is_large_list(kind):
        said = pa.large_list(_textual(kind.value_type))
    elif pa.types.is_list(kind):
        said = pa.list_(_textual(kind.value_type))
    return said


def _encode(value: Any) -> str:
    """Say bytes in Base64; `to_pylist` leaves nothing else that JSON does not have."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError("a value has no form in JSON")


def _unfit(column: int, why: str) -> Invalid:
    return Invalid(
        "rows-unfit",
        f"column {column} cannot be written in this form",
        f"{why}; use --format parquet, or leave the column out",
    )
