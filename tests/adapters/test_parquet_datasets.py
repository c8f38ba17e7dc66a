"""Data sets as encrypted Parquet files: what goes in comes out, and for nobody without keys."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
import time
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets_scene import (
    FILE,
    ROWS,
    begun,
    csv_file,
    known_keys,
    ndjson_file,
    opened_alone,
    opening_keys,
    parquet_file,
    read_ndjson,
    sealed_alone,
    sealed_and_opened,
)
from fakes import FakeRandom
from seawall.adapters.datasets.parquet import ParquetDatasets
from seawall.app.ports import FOOTER_KEY, Rows
from seawall.core.errors import Conflict, Error, Invalid, Missing, Tampered

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS: dict[str, Any] = {
    "whole": pa.array([2**63 - 1, -(2**63), None]),
    "unsigned": pa.array([2**64 - 1, 0, None], pa.uint64()),
    "fraction": pa.array([0.1, -1e300, None]),
    "half": pa.array([1.5, None, -2.0], pa.float16()),
    "truth": pa.array([True, None, False]),
    "text": pa.array(["Zoë 🩺", "", None]),
    "bytes": pa.array([b"\x00\xff", b"", None]),
    "money": pa.array([Decimal("1.10"), None, Decimal("-99999999.99")], pa.decimal128(12, 2)),
    "large": pa.array([Decimal("1.1"), None, None], pa.decimal256(60, 10)),
    "day": pa.array([date(1931, 2, 28), None, date(2026, 11, 24)]),
    "moment": pa.array([1, None, -1], pa.timestamp("ns", "America/Chicago")),
    "plain moment": pa.array([1, None, -1], pa.timestamp("us")),
    "time": pa.array([1, None, 86_399_999_999_999], pa.time64("ns")),
    "stay": pa.array([3, None, -3], pa.duration("us")),
    "nothing": pa.nulls(3),
    "category": pa.array(["a", None, "a"]).dictionary_encode(),
    "codes": pa.array([["E11.9", None], [], None]),
    "visit": pa.array([{"at": 1, "why": ["x"]}, None, {"at": None, "why": []}]),
    "pairs": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
    "two": pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int8(), 2)),
    "a.b:c;d,e": pa.array([{"f,g:h": 1}, None, {"f,g:h": 2}]),
}


def left_in(folder: Path) -> list[str]:
    """Return the names of what is in a folder, hidden files included."""
    return sorted(path.name for path in folder.iterdir())


def wait_for_another_file(folder: Path) -> None:
    """Wait until there is more than one file in a folder."""
    until = time.monotonic() + 30
    while len(left_in(folder)) == 1 and time.monotonic() < until:
        time.sleep(0.002)


def whole_table() -> Any:
    """Return a table with a column of every kind."""
    return pa.table(COLUMNS)


@pytest.mark.parametrize("name", COLUMNS)
async def test_every_type_comes_out_as_it_went_in(tmp_path: Path, name: str) -> None:
    """Values, nulls, the type and the name of a column survive sealing and opening."""
    table = pa.table({name: COLUMNS[name]})

    opened = await sealed_and_opened(tmp_path, table)

    assert table.schema.remove_metadata() == opened.schema.remove_metadata()
    assert table[name].combine_chunks().equals(opened[name].combine_chunks())


VALUES = st.one_of(
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30).map(
        lambda held: pa.array(held, pa.int64())
    ),
    st.lists(st.none() | st.text(max_size=20), min_size=1, max_size=30).map(
        lambda held: pa.array(held, pa.string())
    ),
    st.lists(st.none() | st.floats(allow_nan=False), min_size=1, max_size=30).map(
        lambda held: pa.array(held, pa.float64())
    ),
    st.lists(st.none() | st.lists(st.booleans()), min_size=1, max_size=30).map(
        lambda held: pa.array(held, pa.list_(pa.bool_()))
    ),
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(column=VALUES, name=st.text(min_size=1, max_size=12))
def test_any_column_comes_out_as_it_went_in(
    tmp_path_factory: pytest.TempPathFactory, column: Any, name: str
) -> None:
    """Whatever the values and the name are, they survive."""
    table = pa.table({name: column})

    opened = asyncio.run(sealed_and_opened(tmp_path_factory.mktemp("any"), table))

    assert (table.column_names, column.to_pylist()) == (
        opened.column_names,
        opened.column(0).to_pylist(),
    )


async def test_csv_is_text_and_keeps_what_numbers_would_lose(tmp_path: Path) -> None:
    """A record number keeps its zeros, and an empty field is an empty text."""
    await sealed_alone(csv_file(tmp_path), "csv", tmp_path / "s.parquet")
    out = tmp_path / "out.ndjson"

    await opened_alone(tmp_path / "s.parquet", opening_keys(4), 4, Rows(out, "ndjson"))

    expected = [{**row, "age": str(row["age"]), "note": row["note"] or ""} for row in ROWS]
    assert expected == read_ndjson(out)


async def test_csv_comes_out_as_csv(tmp_path: Path) -> None:
    """Commas, quotes and new lines in a field survive the way through."""
    source = tmp_path / "in.csv"
    source.write_bytes(b'\xef\xbb\xbfa,"b,c"\r\n"x\ny","say ""hi"""\r\n\r\n1,2\r\n')
    await sealed_alone(source, "csv", tmp_path / "s.parquet")
    out = tmp_path / "out.csv"

    rows = await opened_alone(tmp_path / "s.parquet", opening_keys(2), 2, Rows(out, "csv"))

    assert (2, b'"a","b,c"\n"x\ny","say ""hi"""\n"1","2"\n') == (rows, out.read_bytes())


async def test_ndjson_keeps_numbers_and_nesting(tmp_path: Path) -> None:
    """What an object lacks is null; whole numbers beside fractions become fractions."""
    rows: list[dict[str, Any]] = [
        {"a": 1, "b": {"c": [1]}},
        {"a": 1.5, "d": "x"},
        {"b": {"e": True}},
    ]
    await sealed_alone(ndjson_file(tmp_path, *rows), "ndjson", tmp_path / "s.parquet")
    out = tmp_path / "out.ndjson"

    await opened_alone(tmp_path / "s.parquet", opening_keys(3), 3, Rows(out, "ndjson"))

    assert [
        {"a": 1.0, "b": {"c": [1], "e": None}, "d": None},
        {"a": 1.5, "b": None, "d": "x"},
        {"a": None, "b": {"c": None, "e": True}, "d": None},
    ] == read_ndjson(out)


async def test_times_and_decimals_are_said_in_text(tmp_path: Path) -> None:
    """NDJSON says what it has no type for, and bytes in Base64."""
    names = ["money", "day", "plain moment", "bytes", "category", "pairs", "half", "stay"]
    source = parquet_file(tmp_path, whole_table().select(names).slice(0, 1))
    await sealed_alone(source, "parquet", tmp_path / "s.parquet")
    out = tmp_path / "out.ndjson"

    await opened_alone(tmp_path / "s.parquet", opening_keys(8), 8, Rows(out, "ndjson"))

    assert [
        "1.10",
        "1931-02-28",
        "1970-01-01 00:00:00.000001",
        "AP8=",
        "a",
        [["k", 1]],
        1.5,
        3,
    ] == (list(read_ndjson(out)[0].values()))


@pytest.mark.parametrize("name", ["codes", "bytes"])
async def test_what_has_no_place_in_csv_is_refused(tmp_path: Path, name: str) -> None:
    """Lists and bytes are not written into CSV, and nothing is left behind."""
    source = parquet_file(tmp_path, whole_table().select(["text", name]))
    await sealed_alone(source, "parquet", tmp_path / "s.parquet")
    out = tmp_path / "out.csv"

    with pytest.raises(Invalid) as caught:
        await opened_alone(tmp_path / "s.parquet", opening_keys(2), 2, Rows(out, "csv"))

    assert ("rows-unfit", True, False) == (
        caught.value.code,
        "column 2" in caught.value.message,
        out.exists(),
    )


@pytest.mark.parametrize(
    ("form", "content", "said"),
    [
        ("csv", b"a,b\n1,2\nVALUE\n", "row 3 of the CSV has 1 columns"),
        ("csv", b"a,b\n1,2,VALUE\n", "column 3 is missing or too many"),
        ("csv", b'a,b\n1,"VALUE\n', "row 2 of the CSV is broken"),
        ("csv", b'a,b\n1,"VALUE"x\n', "row 2 of the CSV is broken"),
        ("csv", b"a,b\n1,VALUE\xff\n", "row 2 of the CSV is broken"),
        ("csv", b"", "the CSV has no header"),
        ("csv", b"a,a\n1,VALUE\n", "the columns 1 and 2 have the same name"),
        ("csv", b"a;b\n1;VALUE\n", "the CSV has one column"),
        ("csv", b"a\tb\n1\tVALUE\n", "the CSV has one column"),
        ("csv", b"a|b\n1|VALUE\n", "the CSV has one column"),
        ("csv", b"VALUE," * 4_096 + b"b\n", "1 to 4,096 columns, and this one 4,097"),
        ("csv", b"," * (2 << 20) + b"\n", "the row of the CSV that line 1 is of is longer"),
        ("csv", b'a\n"' + b"VALUE\n" * (3 << 20) + b'"\n', "longer than 16 MiB"),
        ("ndjson", b'{"a":1,"a":"VALUE"}\n', "row 1 has an object with the same name twice"),
        ("ndjson", b'{"a":1}\n{"a":{"b":1,"b":2}}\n', "row 2 has an object with the same name"),
        ("ndjson", b'{"a":1e999}\n', "row 1 has a number that is too long, too large or too"),
        ("ndjson", b'{"a":-1e999}\n', "row 1 has a number that is too long, too large or too"),
        ("ndjson", b'{"a":1e-999}\n', "row 1 has a number that is too long, too large or too"),
        ("ndjson", b'{"a":1.' + b"1" * 900 + b"}\n", "row 1 has a number that is too long"),
        ("ndjson", b'{"a":9007199254740993.0}\n', "row 1 has a number of more digits than"),
        ("ndjson", b'{"a":[0.12345678901234567890]}\n', "row 1 has a number of more digits than"),
        ("ndjson", b'{"a":1.5}\n{"a":9007199254740993}\n', "a row from 1 on does not fit"),
        ("ndjson", b'{"a":1}\nVALUE\n', "row 2 is no JSON object"),
        ("ndjson", b'{"a":1}\n["VALUE"]\n', "row 2 is no JSON object"),
        ("ndjson", b'{"a":NaN}\n', "row 1 is no JSON object"),
        ("ndjson", b'{"a":1}\n{"a":"VALUE"}\n', "column 1 of row 2 has"),
        ("ndjson", b'{"a":1}\n{"a":true}\n', "column 1 of row 2 has"),
        ("ndjson", b'{"b":[1.5],"a":[1.5]}\n{"b":null,"a":[true]}\n', "column 2 of row 2 has"),
        ("ndjson", b'{"a":' + b"9" * 40 + b"}\n", "column 1 of row 1 has"),
        ("ndjson", b'{"a":"\\ud800"}\n', "column 1 of row 1 has"),
        ("ndjson", b'{"a":{}}\n', "column 1 is of a type that Parquet does not have"),
        ("ndjson", b"[" * 9_999 + b"\n", "row 1 is no JSON object"),
        ("ndjson", b"\n\n", "there is no row of JSON"),
        ("parquet", b"PAR1VALUE", "no Parquet file that can be read"),
    ],
)
async def test_rows_that_cannot_be_read_are_told_by_number(
    tmp_path: Path, form: Any, content: bytes, said: str
) -> None:
    """The row and the column are named, the value is not, and no file is left."""
    source = tmp_path / "in"
    source.write_bytes(content)

    with pytest.raises(Invalid) as caught:
        await sealed_alone(source, form, tmp_path / "s.parquet")

    assert said in caught.value.message
    assert "VALUE" not in caught.value.message + caught.value.help
    assert ["in"] == left_in(tmp_path)


async def test_one_column_with_a_separator_in_it_is_sealed_if_it_is_meant(tmp_path: Path) -> None:
    """Whoever says that there is one column has one; a column that looks like one has one too."""
    (tmp_path / "in.csv").write_bytes(b"a;b\n1;2\n")
    (tmp_path / "one.csv").write_bytes(b"note\n1;2\n")
    meant = Rows(tmp_path / "in.csv", "csv", has_one_column=True)

    async with ParquetDatasets(FakeRandom()).sealing(meant, tmp_path / "s") as making:
        assert ["a;b"] == making.columns
    async with begun(tmp_path / "one.csv", "csv", tmp_path / "s") as making:
        assert ["note"] == making.columns


async def test_a_time_that_parquet_does_not_have_is_not_shown(tmp_path: Path) -> None:
    """The library's error would have the value in it."""
    table = pa.table({"at": pa.array([2**62], pa.timestamp("s"))})
    with pa.OSFile(str(tmp_path / "x"), "wb") as out:
        pq.write_table(table.cast(pa.schema([("at", pa.int64())])), out)
    making = begun(tmp_path / "x", "parquet", tmp_path / "s.parquet")

    async with making as held:
        held._reader.schema = table.schema  # type: ignore[attr-defined]
        held._reader.batches = table.to_batches  # type: ignore[attr-defined]
        with pytest.raises(Invalid) as caught:
            await held.write(FILE, known_keys(1))

    assert (False, "rows-unreadable") == (str(2**62) in str(caught.value), caught.value.code)


async def test_keys_have_256_bits_and_the_footer_is_encrypted(tmp_path: Path) -> None:
    """The file begins and ends as one with an encrypted footer, and each data key has 32 bytes."""
    columns = await sealed_alone(ndjson_file(tmp_path), "ndjson", tmp_path / "s.parquet")
    raw = (tmp_path / "s.parquet").read_bytes()
    ours = base64.b64encode(b'{"form":"seawall-dataset-1","data_key":"')[:-4]

    material = base64.b64decode(raw[raw.index(ours) :].split(b'"')[0])
    wrapped = base64.b64decode(material.split(b'"')[7])

    assert (4, b"PARE", b"PARE", 12 + 32 + 16) == (columns, raw[:4], raw[-4:], len(wrapped))


async def test_names_and_values_are_nowhere_in_the_file(tmp_path: Path) -> None:
    """Planted identifiers and columns' names are in it neither plain nor in another spelling."""
    for target, form, source in (
        ("n.parquet", "ndjson", ndjson_file(tmp_path)),
        ("c.parquet", "csv", csv_file(tmp_path)),
    ):
        await sealed_alone(source, form, tmp_path / target)  # type: ignore[arg-type]
        raw = (tmp_path / target).read_bytes()
        words = [row[name] for row in ROWS for name in ("mrn", "name")]
        words += ["Quillfeather", "Harrowgate", "note", "name,age"]

        assert [] == [word for word in words if any(one in raw for one in spellings(str(word)))]


def spellings(word: str) -> list[bytes]:
    """Return a word as a careless program could leave it behind."""
    plain, wide = word.encode(), word.encode("utf-16-le")
    made = [plain, wide, plain.hex().encode(), plain.hex().upper().encode(), plain[::-1]]
    # A text inside of a longer one, in Base64: what its neighbours cannot change.
    made += [base64.b64encode(b"\0" * shift + plain)[4 if shift else 0 : -4] for shift in range(3)]
    return [one for one in made if len(one) > 3]


async def test_planted_words_would_be_seen(tmp_path: Path) -> None:
    """The same search finds them in a Parquet file that is not encrypted."""
    raw = parquet_file(tmp_path, pa.Table.from_pylist(list(ROWS)), compression="none").read_bytes()

    assert all(any(one in raw for one in spellings(str(row["name"]))) for row in ROWS)


async def test_a_column_without_its_key_stays_closed(tmp_path: Path) -> None:
    """With the keys of one column another does not open, and the one does."""
    await sealed_alone(ndjson_file(tmp_path), "ndjson", tmp_path / "s.parquet")
    keys = {name: key for name, key in opening_keys(4).items() if name in (FOOTER_KEY, "c2")}
    out = Rows(tmp_path / "out.ndjson", "ndjson")

    with pytest.raises(Missing) as caught:
        await opened_alone(tmp_path / "s.parquet", keys, 4, out)
    async with ParquetDatasets(FakeRandom()).opening(tmp_path / "s.parquet") as held:
        await held.columns(FILE, keys[FOOTER_KEY])
        await held.write(keys, [2], out)

    assert "column-closed" == caught.value.code
    assert [{"age": 71}, {"age": 8}] == read_ndjson(tmp_path / "out.ndjson")


async def test_columns_come_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    """c1 is not c10, and the third may come before the first."""
    row = {f"n{number}": number for number in range(12)}
    await sealed_alone(ndjson_file(tmp_path, row), "ndjson", tmp_path / "s.parquet")
    keys = opening_keys(12)

    async with ParquetDatasets(FakeRandom()).opening(tmp_path / "s.parquet") as held:
        await held.columns(FILE, keys[FOOTER_KEY])
        await held.write(keys, [10, 1], Rows(tmp_path / "out.csv", "csv"))

    assert b'"n10","n1"\n10,1\n' == (tmp_path / "out.csv").read_bytes()


@pytest.mark.parametrize("wrong", ["footer", "c0", "file"])
async def test_another_key_or_file_id_opens_nothing(tmp_path: Path, wrong: str) -> None:
    """A key of another column or file does not open, though it is one of ours."""
    await sealed_alone(ndjson_file(tmp_path), "ndjson", tmp_path / "s.parquet")
    keys = {**opening_keys(4), **({wrong: b"\7" * 32} if wrong != "file" else {})}
    out = Rows(tmp_path / "out.ndjson", "ndjson")
    file = FILE if wrong != "file" else FILE[::-1]

    with pytest.raises(Tampered):
        await opened_alone(tmp_path / "s.parquet", keys, 4, out, file)

    assert ["rows.ndjson", "s.parquet"] == left_in(tmp_path)


async def test_a_changed_byte_anywhere_is_tampering(tmp_path: Path) -> None:
    """Wherever a byte differs, what comes out is an error of ours or the very same rows.

    This is the encryption alone, without the digest that the record has of the file: bytes that
    hold nothing of it, such as the name of an algorithm that no one reads, may differ.
    """
    path, changed = tmp_path / "s.parquet", tmp_path / "x.parquet"
    await sealed_alone(ndjson_file(tmp_path), "ndjson", path)
    raw = path.read_bytes()
    seen: set[Any] = set()

    for place in [*range(0, len(raw), 37), *range(len(raw) - 16, len(raw))]:
        changed.write_bytes(raw[:place] + bytes([raw[place] ^ 0x10]) + raw[place + 1 :])
        out = tmp_path / f"{place}.ndjson"
        try:
            await opened_alone(changed, opening_keys(4), 4, Rows(out, "ndjson"))
            seen.add(read_ndjson(out) == list(ROWS))
        except Error as error:
            seen.add(error.code)
            assert not out.exists()

    assert {True, "dataset-tampered", "dataset-unsealed"} >= seen
    assert "dataset-tampered" in seen


async def test_a_shortened_file_is_refused(tmp_path: Path) -> None:
    """Half a file, and none at all, are no data sets."""
    await sealed_alone(ndjson_file(tmp_path), "ndjson", tmp_path / "s.parquet")
    raw = (tmp_path / "s.parquet").read_bytes()

    for length in (0, 3, 8, len(raw) // 2, len(raw) - 1):
        (tmp_path / "x.parquet").write_bytes(raw[:length])
        with pytest.raises(Invalid) as caught:
            await opened_alone(
                tmp_path / "x.parquet", opening_keys(4), 4, Rows(tmp_path / "o", "ndjson")
            )
        assert "dataset-unsealed" == caught.value.code


async def test_an_unencrypted_file_is_not_read_in_its_place(tmp_path: Path) -> None:
    """The library would read it; we do not."""
    path = parquet_file(tmp_path, pa.table({"c0": [1]}))

    with pytest.raises(Invalid) as caught:
        await opened_alone(path, opening_keys(1), 1, Rows(tmp_path / "o", "ndjson"))

    assert "dataset-unsealed" == caught.value.code


@pytest.mark.parametrize("form", ["ndjson", "parquet", "csv"])
async def test_an_opened_file_is_its_owners_alone(tmp_path: Path, form: Any) -> None:
    """Its mode is 0600, and a file that exists is not written over."""
    await sealed_alone(ndjson_file(tmp_path), "ndjson", tmp_path / "s.parquet")
    out = Rows(tmp_path / "out", form)

    await opened_alone(tmp_path / "s.parquet", opening_keys(4), 4, out)
    with pytest.raises(Conflict) as caught:
        await opened_alone(tmp_path / "s.parquet", opening_keys(4), 4, out)

    assert (0o600, "file-exists") == ((tmp_path / "out").stat().st_mode & 0o777, caught.value.code)


async def test_a_sealed_file_is_not_written_over(tmp_path: Path) -> None:
    """Neither one that was there before nor one that came meanwhile."""
    target = tmp_path / "s.parquet"

    async with begun(ndjson_file(tmp_path), "ndjson", target) as making:
        await making.write(FILE, known_keys(4))
        target.write_bytes(b"mine")
        with pytest.raises(Conflict):
            await making.place()
    with pytest.raises(Conflict):
        await sealed_alone(ndjson_file(tmp_path), "ndjson", target)

    assert (b"mine", ["rows.ndjson", "s.parquet"]) == (
        target.read_bytes(),
        left_in(tmp_path),
    )


async def test_what_was_interrupted_leaves_no_file(tmp_path: Path) -> None:
    """Cancelled while it writes, sealing takes what it wrote away."""
    source = tmp_path / "in.csv"
    source.write_bytes(b"a,b\n" + b"1,2\n" * 400_000)

    async def sealing() -> None:
        """Seal."""
        await sealed_alone(source, "csv", tmp_path / "s.parquet")

    task = asyncio.create_task(sealing())
    await asyncio.to_thread(wait_for_another_file, tmp_path)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert ["in.csv"] == left_in(tmp_path)


async def test_a_disk_that_does_not_keep_what_it_was_given_is_found_out(tmp_path: Path) -> None:
    """Reading back compares the content of each row group, not their number alone."""
    async with begun(ndjson_file(tmp_path), "ndjson", tmp_path / "s.parquet") as making:
        writing = making._rows_into  # type: ignore[attr-defined]

        def forgetful(*given: Any) -> Any:
            """Say that other rows were written."""
            return [(rows, digest[::-1]) for rows, digest in writing(*given)]

        making._rows_into = forgetful  # type: ignore[attr-defined]
        with pytest.raises(Error) as caught:
            await making.write(FILE, known_keys(4))

    assert "dataset-unverified" == caught.value.code
    assert ["rows.ndjson"] == left_in(tmp_path)


async def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    """The operating system's reason is passed on, the path is not."""
    target = tmp_path / "none" / "s.parquet"

    with pytest.raises(Error) as caught:
        await sealed_alone(ndjson_file(tmp_path), "ndjson", target)

    assert ("file-unwritable", "the file cannot be written (No such file or directory)") == (
        caught.value.code,
        caught.value.message,
    )


async def test_many_rows_are_many_row_groups(tmp_path: Path) -> None:
    """More rows than one batch holds come out whole, in order."""
    table = pa.table({"n": pa.array(range(150_000))})

    opened = await sealed_and_opened(tmp_path, table)

    assert table["n"].combine_chunks().equals(opened["n"].combine_chunks())


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """Sealing and opening four times as many rows takes as much memory, in a process of its own."""
    peaks = [peak(tmp_path, rows) for rows in (100_000, 400_000)]

    assert peaks[1] < peaks[0] + 40 * 1024


PROGRAM = """
import asyncio, resource, sys
from pathlib import Path
from datasets_scene import Rows, opened_alone, opening_keys, sealed_alone

async def main(folder, rows):
    source = folder / f"{rows}.csv"
    with source.open("w") as out:
        out.write("mrn,name,note\\n")
        out.writelines(f"{n:08d},Name {n * 7919},seen for the time {n}\\n" for n in range(rows))
    sealed = folder / f"{rows}.parquet"
    await sealed_alone(source, "csv", sealed)
    await opened_alone(sealed, opening_keys(3), 3, Rows(folder / f"{rows}.out", "csv"))

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(folder: Path, rows: int) -> int:
    """Seal and open so many rows; return the most KiB that the process had."""
    path = os.pathsep.join(sys.path)
    done = subprocess.run(  # noqa: S603  the program above
        [sys.executable, "-c", PROGRAM, str(folder), str(rows)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        check=True,
    )
    return int(done.stdout)
