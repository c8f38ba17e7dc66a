"""Rows as they come in: Parquet, CSV or NDJSON, in batches of bounded size.

CSV has no types, so every column of it is text, and "02134" stays what it is. JSON says what
is text, number or truth; columns that mix them are refused, and so is what reading would change:
a name that an object has twice, a number that no fraction of 64 bits is. Whatever cannot be read
is told by the number of its row and column, and never by what is in it.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import sys
from decimal import Decimal
from typing import IO, TYPE_CHECKING, Any, Final, NoReturn, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from seawall.core.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seawall.app.ports import RowsForm

BATCH_ROWS: Final = 65_536
"""No batch has more rows: what a row group of a sealed file holds."""

MOST_COLUMNS: Final = 4_096

_BATCH_BYTES: Final = 16 << 20
_LINE: Final = 16 << 20
_HEADER: Final = 1 << 20
_CELL: Final = 8
"""What a list takes for each of its values, beside the value."""
_SEPARATORS: Final = ";\t|"
_DIGITS: Final = 16
"""A number of at most so many characters has at most 15 digits, which are kept exactly."""
_MOST_DIGITS: Final = 800
"""No fraction of 64 bits has more."""
_READING = (pa.ArrowException, ValueError, OverflowError, TypeError, RecursionError, OSError)


class _Hash(Protocol):
    """What `hashlib` makes."""

    def update(self, piece: bytes, /) -> None:
        """Take in a piece."""
        ...


class Reader(Protocol):
    """Rows that are read once, with their columns known beforehand."""

    @property
    def schema(self) -> Any:
        """The columns' names and types."""
        ...

    def batches(self) -> Iterator[Any]:
        """Yield record batches of at most `BATCH_ROWS` rows."""
        ...


def reader_of(
    source: IO[bytes], form: RowsForm, *, is_seekable: bool, has_one_column: bool = False
) -> Reader:
    """Return what reads rows of this form; `Invalid` if they cannot be read."""
    if form == "csv":
        return _Csv(source, has_one_column=has_one_column)
    if form == "ndjson":
        return _Ndjson(source, is_seekable=is_seekable)
    if not is_seekable:
        raise Invalid(
            "rows-unreadable",
            "Parquet is read from its end, and standard input has none",
            "name the file, or give CSV or NDJSON",
        )
    return _Parquet(source)


class _Parquet:
    """A Parquet file, with the types that it has."""

    def __init__(self, source: IO[bytes]) -> None:
        try:
            self._file = pq.ParquetFile(source, pre_buffer=False, buffer_size=1 << 20)
            self.schema = self._file.schema_arrow
        except _READING:
            raise _unreadable("this is no Parquet file that can be read") from None

    def batches(self) -> Iterator[Any]:
        """Yield record batches."""
        held = self._file.metadata
        total = sum(held.row_group(each).total_byte_size for each in range(held.num_row_groups))
        row = max(1, total // max(1, held.num_rows))
        count = 0
        try:
            size = max(1, min(BATCH_ROWS, _BATCH_BYTES // row))
            for batch in self._file.iter_batches(batch_size=size):
                count += batch.num_rows
                yield batch
        except _READING:
            raise _unreadable(f"the Parquet file breaks off after row {count:,}") from None


class _Csv:
    """CSV as in RFC 4180: UTF-8, commas, a header; blank lines are no rows."""

    def __init__(self, source: IO[bytes], *, has_one_column: bool) -> None:
        # The library's own limit of a field is one for all, and too small for a note.
        csv.field_size_limit(_LINE)
        self._row_bytes, self._most_bytes = 0, _HEADER
        self._rows = csv.reader(self._texts(source), strict=True)
        header = self._next(1)
        if not header:
            raise _unreadable("the CSV has no header")
        check_width(len(header))
        if len(header) == 1 and not has_one_column and set(_SEPARATORS) & set(header[0]):
            raise _unreadable(
                "the CSV has one column, and its header has another separator than a comma in it",
                "separate columns by commas; if it is one column, say so by --one-column",
            )
        self._most_bytes = _LINE
        self.schema = pa.schema([(name, pa.string()) for name in header])

    def _texts(self, source: IO[bytes]) -> Iterator[str]:
        """Yield lines; `Invalid` if those of one row are more than anybody means."""
        for number, line in enumerate(_lines(source), 1):
            self._row_bytes += len(line)
            if self._row_bytes > self._most_bytes:
                raise _unreadable(
                    f"the row of the CSV that line {number:,} is of is longer than "
                    f"{self._most_bytes >> 20} MiB"
                )
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")

    def _next(self, number: int) -> list[str] | None:
        try:
            self._row_bytes = 0
            while (row := next(self._rows, None)) == []:
                self._row_bytes = 0
        except (csv.Error, UnicodeDecodeError):
            raise _unreadable(f"row {number:,} of the CSV is broken") from None
        return row

    def batches(self) -> Iterator[Any]:
        """Yield record batches."""
        number, width = 1, len(self.schema)
        held: list[list[str]] = []
        size = 0
        while (row := self._next(number + 1)) is not None:
            number += 1
            if len(row) != width:
                column = min(len(row), width) + 1
                raise _unreadable(
                    f"row {number:,} of the CSV has {len(row)} columns where the header has "
                    f"{width}, so column {column} is missing or too many"
                )
            held.append(row)
            # What they take in memory, and not how long they are: many short cells take more.
            size += sum(map(sys.getsizeof, row)) + _CELL * width
            if len(held) == BATCH_ROWS or size >= _BATCH_BYTES:
                yield self._batch(held)
                held, size = [], 0
        if held:
            yield self._batch(held)

    def _batch(self, rows: list[list[str]]) -> Any:
        columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


class _Ndjson:
    """One JSON object on each line; what an object lacks is null.

    A file is read twice, first for its columns. Standard input is read once, and its columns
    are those of its first batch: what does not fit them later is refused.
    """

    def __init__(self, source: IO[bytes], *, is_seekable: bool) -> None:
        self._seen = hashlib.sha256()
        self._before = b""
        self._lines = _objects(source, self._seen)
        self._first: list[tuple[int, dict[str, Any]]] = []
        seen = None
        for batch in self._chunks():
            seen = self._widened(seen, batch)
            if not is_seekable:
                self._first = batch
                break
        if seen is None:
            raise _unreadable("there is no row of JSON")
        if is_seekable:
            self._before, self._seen = self._seen.digest(), hashlib.sha256()
            source.seek(0)
            self._lines = _objects(source, self._seen)
        self._type = seen
        self.schema = pa.schema(list(seen))

    def batches(self) -> Iterator[Any]:
        """Yield record batches."""
        if self._first:
            yield self._batch(self._first)
        for chunk in self._chunks():
            if not self._before and self._widened(self._type, chunk) != self._type:
                raise _unreadable(
                    f"a row from {chunk[0][0]:,} to {chunk[-1][0]:,} has columns or types that "
                    "those before it do not have",
                    "name the file instead of piping it: it is then read twice",
                )
            yield self._batch(chunk)
        if self._before and self._seen.digest() != self._before:
            raise _unreadable("the file was changed while it was read", "seal it again")

    def _batch(self, chunk: list[tuple[int, dict[str, Any]]]) -> Any:
        try:
            array = pa.array([row for _, row in chunk], self._type)
        except _READING:
            self._one_by_one(None, chunk)
            raise _unreadable(f"a row from {chunk[0][0]:,} on does not fit its columns") from None
        return pa.RecordBatch.from_struct_array(array)

    def _widened(self, seen: Any, chunk: list[tuple[int, dict[str, Any]]]) -> Any:
        """Return the type that holds what was seen and a chunk's rows."""
        rows = [row for _, row in chunk]
        try:
            found = pa.array(rows).type
            if _has_fraction(found) and _is_mixed(rows, found):
                raise ValueError
            return found if seen is None else widen(seen, found)
        except _READING:
            return self._one_by_one(seen, chunk)

    def _one_by_one(self, seen: Any, chunk: list[tuple[int, dict[str, Any]]]) -> Any:
        """Widen row by row and column by column, so that what does not fit is told by number."""
        kinds: dict[str, Any] = {} if seen is None else {each.name: each.type for each in seen}
        for number, row in chunk:
            for position, (name, value) in enumerate(row.items(), 1):
                try:
                    found = pa.array([value]).type
                    kinds[name] = widen(kinds.get(name, pa.null()), found)
                    pa.array([name])
                except _READING:
                    raise _unreadable(
                        f"column {position} of row {number:,} has a value that no column holds, "
                        "or of another type than the rows before it",
                        "give each column one type: text, number, truth, list or object",
                    ) from None
        return pa.struct(list(kinds.items()))

    def _chunks(self) -> Iterator[list[tuple[int, dict[str, Any]]]]:
        held: list[tuple[int, dict[str, Any]]] = []
        size = 0
        for number, length, row in self._lines:
            held.append((number, row))
            size += length
            if len(held) == BATCH_ROWS or size >= _BATCH_BYTES:
                yield held
                held, size = [], 0
        if held:
            yield held


def widen(one: Any, other: Any) -> Any:
    """Return the type that holds values of both; `ValueError` if none does.

    Nothing widens to everything, whole numbers to fractions, objects to the union of their
    fields; nothing else does.
    """
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    if {one, other} == {pa.int64(), pa.float64()}:
        return pa.float64()
    if pa.types.is_list(one) and pa.types.is_list(other):
        return pa.list_(widen(one.value_type, other.value_type))
    if pa.types.is_struct(one) and pa.types.is_struct(other):
        fields = {each.name: each.type for each in one}
        for each in other:
            known = fields.get(each.name)
            fields[each.name] = each.type if known is None else widen(known, each.type)
        return pa.struct(list(fields.items()))
    raise ValueError("no type holds both")


def _has_fraction(kind: Any) -> bool:
    if pa.types.is_struct(kind):
        return any(_has_fraction(field.type) for field in kind)
    return bool(_has_fraction(kind.value_type) if pa.types.is_list(kind) else kind == pa.float64())


def _is_mixed(values: list[Any], kind: Any) -> bool:
    """Whether a truth stands where fractions do: the library would make a number of it."""
    if kind == pa.float64():
        return bool in set(map(type, values))
    if pa.types.is_list(kind):
        return _is_mixed([one for each in values if each for one in each], kind.value_type)
    return any(
        _is_mixed([each.get(field.name) for each in values if each], field.type)
        for field in kind
        if _has_fraction(field.type)
    )


def _objects(source: IO[bytes], seen: _Hash) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Yield the number, the length and the object of each line that is not blank; hash all."""
    for number, line in enumerate(_lines(source), 1):
        seen.update(line)
        if not line.strip():
            continue
        try:
            row = _DECODER.decode(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except _ChangedError as error:
            raise _unreadable(
                f"row {number:,} has {error}, and reading would change it",
                "give each name once, and such a number as text; no value is shown here",
            ) from None
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict) or not row:
            raise _unreadable(f"row {number:,} is no JSON object")
        yield number, len(line), row


class _ChangedError(Exception):
    """What was read is not what was written; the text says what it is, and shows no value."""


def _no_number(_: str) -> NoReturn:
    raise ValueError("JSON has no such number")


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object, unless a value of it would take another's place: RFC 8259, 4."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _ChangedError("an object with the same name twice")
    return made


def _fraction(text: str) -> float:
    """Return the number that a text is, to as many digits as the text has.

    So 0.1 is one, and so is 0.10000000000000001; 9007199254740993.0 and 1e999 are none.
    """
    number = float(text)
    if len(text) <= _DIGITS and sys.float_info.min <= abs(number) < math.inf:
        return number
    mantissa = text.lower().partition("e")[0]
    digits = len(mantissa.lstrip("-0.").replace(".", ""))
    if not digits:
        return number
    if len(text) > _MOST_DIGITS or not 0 < abs(number) < math.inf:
        raise _ChangedError("a number that is too long, too large or too small")
    # At a power of two the shortest form of a number may be another than the nearest one.
    if Decimal(text) not in {Decimal(f"{number:.{digits - 1}e}"), Decimal(repr(number))}:
        raise _ChangedError("a number of more digits than are kept")
    return number


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_named_once, parse_float=_fraction, parse_constant=_no_number
)
"""The library's own, and not a faster one: whole numbers beyond 64 bits stay whole, and fail."""


def check_width(columns: int) -> None:
    """Raise `Invalid` unless a data set has so many columns."""
    if not 1 <= columns <= MOST_COLUMNS:
        raise Invalid(
            "columns-unfit",
            f"a data set has 1 to {MOST_COLUMNS:,} columns, and this one {columns:,}",
            "correct the rows",
        )


def _lines(source: IO[bytes]) -> Iterator[bytes]:
    """Yield lines with their ends; `Invalid` if one is longer than anybody means."""
    number = 0
    while line := source.readline(_LINE + 1):
        number += 1
        if len(line) > _LINE:
            raise _unreadable(f"line {number:,} is longer than {_LINE >> 20} MiB")
        yield line


def _unreadable(message: str, help_text: str = "") -> Invalid:
    told = help_text or "correct the row, or say the form with --format; no value is shown here"
    return Invalid("rows-unreadable", message, told)
