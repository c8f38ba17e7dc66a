"""Data sets sealed by Parquet modular encryption: AES_GCM_V1 with keys of 256 bits.

    key ring -> key-encryption key, one for the footer and one for each column (32 bytes)
             -> data key of the footer or the column (32 bytes, made by the library, AES-256-GCM)

The key-encryption keys are handed in. Each wraps one data key, with the file's random id and
the key's name as associated data, and lies sealed in the file: all of them in the key material
of the footer, which can be read before anything is opened. So the library's calls to its key
manager need no key ring, no event loop and no waiting. The footer is encrypted too.
In the file columns are called c0, c1, ...: their names are in the footer.
Apache Parquet, "Parquet Modular Encryption".
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import io
import json
import threading
from contextlib import asynccontextmanager, contextmanager
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from seawall.adapters.datasets import files
from seawall.adapters.datasets.reading import Reader, check_width, reader_of
from seawall.adapters.datasets.writing import RowWriter
from seawall.app.ports import FOOTER_KEY, SealedFile, column_key
from seawall.core.errors import Error, Invalid, Missing, Tampered, Unavailable
from seawall.core.seal.envelope import KEY_BYTES, NONCE_BYTES, Sealed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from seawall.app.ports import DatasetKey, Random, Rows

ResultT = TypeVar("ResultT")

_MOST_GROUPS: Final = 32_767
"""The number of a row group is part of what each piece is bound to, and has 15 bits."""

_MAGIC: Final = b"PARE"
_PLAIN: Final = b"PAR1"
_NAMES: Final = b"seawall.columns"
_FORM: Final = "seawall-dataset-1"
_OUT_ROWS: Final = 8_192
_FOREIGN: Final = (
    pa.ArrowException,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    MemoryError,
    RuntimeError,
)


class ParquetDatasets:
    """The Datasets port: one Parquet file for each data set, encrypted as a whole."""

    def __init__(self, random: Random) -> None:
        self._random = random

    @asynccontextmanager
    async def sealing(self, source: Rows, target: Path) -> AsyncIterator[_Sealing]:
        """Begin to seal rows; what is not placed is gone afterwards."""
        files.check_free(target)
        aside = target.with_name(f".{target.name}.{self._random.bytes(4).hex()}.sealing")
        with files.reading(source.path) as rows, _stopping() as stop:
            is_seekable = source.path is not None
            reader = await _on_thread(
                lambda: reader_of(
                    rows,
                    source.form,
                    is_seekable=is_seekable,
                    has_one_column=source.has_one_column,
                ),
                stop,
            )
            try:
                yield _Sealing(reader, target, aside, self._random, stop)
            finally:
                files.remove(aside)

    async def check_free(self, to: Rows) -> None:
        """Raise if no new file can be made there, as far as is seen."""
        if to.path is not None:
            files.check_free(to.path)

    @asynccontextmanager
    async def opening(self, path: Path) -> AsyncIterator[_Open]:
        """Begin to open a sealed file; `Invalid` if it is none."""
        with files.reading(path) as source, _stopping() as stop:
            digest, size = await _on_thread(lambda: files.digest(source), stop)
            sealed_keys = await _on_thread(lambda: _sealed_keys(source), stop)
            yield _Open(source, digest, size, sealed_keys, stop)


class _Sealing:
    """Rows that are about to be sealed."""

    def __init__(
        self, reader: Reader, target: Path, aside: Path, random: Random, stop: threading.Event
    ) -> None:
        self._reader = reader
        self._target = target
        self._aside = aside
        self._random = random
        self._stop = stop
        self.columns: Sequence[str] = list(reader.schema.names)
        _check_columns(reader.schema)

    async def write(self, file: str, keys: Mapping[str, DatasetKey]) -> SealedFile:
        """Write the file aside under these keys, and read it back to verify it."""
        return await _on_thread(lambda: self._write(file, keys), self._stop)

    def _write(self, file: str, keys: Mapping[str, DatasetKey]) -> SealedFile:
        with files.new_file(self._aside) as out:
            digests = self._rows_into(out, file, keys)
            files.settle(out)
            out.seek(0)
            opened = {name: key.key for name, key in keys.items()}
            if self._digests_in(out, file, opened) != digests:
                raise Unavailable(
                    "dataset-unverified",
                    "what was written is not what was read",
                    "nothing was kept; check the disk, and seal again",
                )
            digest, size = files.digest(out)
        return SealedFile(sum(rows for rows, _ in digests), size, digest)

    def _rows_into(
        self, out: IO[bytes], file: str, keys: Mapping[str, DatasetKey]
    ) -> list[tuple[int, str]]:
        """Write all rows; return how many each row group has, and the digest of its content."""
        schema = _inside(self._reader.schema)
        digests: list[tuple[int, str]] = []
        with files.writable():
            properties = _encryption(file, keys, len(schema), self._random)
            with pq.ParquetWriter(
                out, schema, compression="zstd", encryption_properties=properties
            ) as writer:
                for batch in self._reader.batches():
                    _check(self._stop)
                    if batch.num_rows == 0:
                        continue
                    if len(digests) == _MOST_GROUPS:
                        raise Invalid(
                            "dataset-too-large",
                            "one file cannot hold so many rows",
                            "seal the rows in parts, each under a name of its own",
                        )
                    digests.append((batch.num_rows, _write_group(writer, batch, schema)))
        return digests

    def _digests_in(
        self, out: IO[bytes], file: str, keys: Mapping[str, bytes]
    ) -> list[tuple[int, str]]:
        with _opened():
            held = pq.ParquetFile(out, decryption_properties=_decryption(file, keys))
            digests = []
            for number in range(held.num_row_groups):
                _check(self._stop)
                group = held.read_row_group(number)
                digests.append((group.num_rows, _content(group)))
        return digests

    async def place(self) -> None:
        """Give the file its name; `Conflict` if there is one by now."""
        await _on_thread(lambda: files.place(self._aside, self._target), self._stop)


class _Open:
    """A sealed file."""

    def __init__(
        self,
        source: IO[bytes],
        digest: str,
        size: int,
        sealed_keys: Mapping[str, Sealed],
        stop: threading.Event,
    ) -> None:
        self._source = source
        self._stop = stop
        self._file = ""
        self.digest = digest
        self.size = size
        self.sealed_keys = sealed_keys

    async def columns(self, file: str, footer_key: bytes) -> Sequence[str]:
        """Open the footer; return the columns' names."""
        self._file = file
        return await _on_thread(lambda: _names(self._held({FOOTER_KEY: footer_key})), self._stop)

    async def write(self, keys: Mapping[str, bytes], positions: Sequence[int], to: Rows) -> int:
        """Write the rows of these columns, in the clear; return how many rows."""
        return await _on_thread(lambda: self._write(keys, positions, to), self._stop)

    def _held(self, keys: Mapping[str, bytes]) -> Any:
        self._source.seek(0)
        with _opened():
            properties = _decryption(self._file, keys)
            return pq.ParquetFile(
                self._source,
                decryption_properties=properties,
                pre_buffer=False,
                buffer_size=1 << 20,
            )

    def _write(self, keys: Mapping[str, bytes], positions: Sequence[int], to: Rows) -> int:
        held, rows = self._held(keys), 0
        names, inside = _names(held), held.schema_arrow
        schema = pa.schema([inside.field(each).with_name(names[each]) for each in positions])
        batches = held.iter_batches(
            batch_size=_OUT_ROWS, columns=[column_key(each) for each in positions]
        )
        with files.writing(to.path) as out:
            writer = RowWriter(out, to.form, schema)
            while (batch := _next(batches)) is not None:
                _check(self._stop)
                ordered = [batch.column(column_key(each)) for each in positions]
                with files.writable():
                    writer.write(pa.RecordBatch.from_arrays(ordered, schema=schema))
                rows += batch.num_rows
            with files.writable():
                writer.close()
        return rows


# --- the library's key manager, which holds what it is given --------------------


class _Wrapping(pe.KmsClient):  # type: ignore[misc]  # the library has no types
    """Wraps each new data key under its key-encryption key."""

    def __init__(self, file: str, keys: Mapping[str, DatasetKey], random: Random) -> None:
        super().__init__()
        self._file, self._keys, self._random = file, keys, random

    def wrap_key(self, key_bytes: bytes, name: str) -> str:
        """Return a data key, wrapped; the footer's with all sealed keys beside it."""
        if len(key_bytes) != KEY_BYTES:
            raise RuntimeError("a data key of a data set has 32 bytes")
        nonce = self._random.bytes(NONCE_BYTES)
        wrapping = AESGCM(self._keys[name].key)
        wrapped = _text(nonce + wrapping.encrypt(nonce, key_bytes, _bound(self._file, name)))
        if name != FOOTER_KEY:
            return wrapped
        sealed = {each: _text(bytes(key.sealed)) for each, key in self._keys.items()}
        return _text(orjson.dumps({"form": _FORM, "data_key": wrapped, "keys": sealed}))


class _Unwrapping(pe.KmsClient):  # type: ignore[misc]  # as above
    """Unwraps the data keys whose key-encryption keys it was given, and no other."""

    def __init__(self, file: str, keys: Mapping[str, bytes]) -> None:
        super().__init__()
        self._file, self._keys = file, keys

    def unwrap_key(self, wrapped_key: str, name: str) -> bytes:
        """Return a data key."""
        key = self._keys.get(name)
        if key is None:
            raise Missing(
                "column-closed", "a column of the data set was not opened", "ask for it by name"
            )
        text = _material(wrapped_key)["data_key"] if name == FOOTER_KEY else wrapped_key
        raw = _bytes(text)
        bound = _bound(self._file, name)
        return AESGCM(key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], bound)


class _SeenError(Exception):
    """The key material of the footer was seen, which is all that was wanted."""


class _Looking(pe.KmsClient):  # type: ignore[misc]  # as above
    """Unwraps nothing, but keeps what the footer's key material says."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: str | None = None

    def unwrap_key(self, wrapped_key: str, name: str) -> bytes:
        """Keep the footer's key material, and stop."""
        if name == FOOTER_KEY:
            self.seen = wrapped_key
        raise _SeenError


def _encryption(file: str, keys: Mapping[str, DatasetKey], columns: int, random: Random) -> Any:
    factory = pe.CryptoFactory(lambda _: _Wrapping(file, keys, random))
    names = [column_key(position) for position in range(columns)]
    configuration = pe.EncryptionConfiguration(
        FOOTER_KEY,
        column_keys={name: [name] for name in names},
        encryption_algorithm="AES_GCM_V1",
        plaintext_footer=False,
        # Double wrapping would put a 128-bit key of the library's between ours and the data key.
        double_wrapping=False,
        internal_key_material=True,
        data_key_length_bits=8 * KEY_BYTES,
    )
    return factory.file_encryption_properties(pe.KmsConnectionConfig(), configuration)


def _decryption(file: str, keys: Mapping[str, bytes]) -> Any:
    factory = pe.CryptoFactory(lambda _: _Unwrapping(file, keys))
    return factory.file_decryption_properties(
        pe.KmsConnectionConfig(), pe.DecryptionConfiguration()
    )


def _sealed_keys(source: IO[bytes]) -> Mapping[str, Sealed]:
    """Return the sealed keys in a file; `Invalid` if it is no data set of ours."""
    start, length = source.read(4), source.seek(0, io.SEEK_END)
    source.seek(max(0, length - 4))
    if (start, source.read(4)) != (_MAGIC, _MAGIC):
        # The library would read an unencrypted file in the place of a sealed one.
        raise _unsealed(is_plain=start == _PLAIN)
    looking = _Looking()
    factory = pe.CryptoFactory(lambda _: looking)
    properties = factory.file_decryption_properties(
        pe.KmsConnectionConfig(), pe.DecryptionConfiguration()
    )
    source.seek(0)
    try:
        pq.ParquetFile(source, decryption_properties=properties)
    except (_SeenError, OSError, *_FOREIGN):
        pass  # what was seen until then is looked at
    if looking.seen is None:
        raise _unsealed(is_plain=False)
    with _opened():
        material = _material(looking.seen)
        try:
            return {str(name): Sealed(_bytes(text)) for name, text in material["keys"].items()}
        except Tampered:
            raise _changed() from None


def _material(text: str) -> dict[str, Any]:
    material = orjson.loads(_bytes(text))
    if material["form"] != _FORM:
        raise ValueError("this is another form")
    return dict(material)


def _bound(file: str, name: str) -> bytes:
    """Return what a wrapped data key is bound to: a key of another file or column is none."""
    return f"{_FORM}\n{file}\n{name}".encode()


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


# --- columns and content ----------------------------------------------------------


def _check_columns(schema: Any) -> None:
    """Raise `Invalid` unless Parquet has every column's type, and each has a name of its own."""
    check_width(len(schema))
    seen: dict[str, int] = {}
    for position, field in enumerate(schema, 1):
        earlier = seen.setdefault(field.name, position)
        if earlier != position:
            raise Invalid(
                "columns-unfit",
                f"the columns {earlier} and {position} have the same name",
                "give each column a name of its own",
            )
        try:
            pq.ParquetWriter(io.BytesIO(), pa.schema([field])).close()
        except (pa.ArrowException, ValueError):
            raise Invalid(
                "columns-unfit",
                f"column {position} is of a type that Parquet does not have",
                "change its type, or leave the column out",
            ) from None


def _inside(schema: Any) -> Any:
    """Return the schema as it is in the file: short names, the real ones beside them."""
    fields = [field.with_name(column_key(at)) for at, field in enumerate(schema)]
    held = {**(schema.metadata or {}), _NAMES: json.dumps(schema.names).encode()}
    return pa.schema(fields, metadata=held)


def _write_group(writer: Any, batch: Any, schema: Any) -> str:
    """Write a row group; return the digest of its content."""
    inside = pa.table(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
    try:
        writer.write_table(inside)
        return _content(inside)
    except (pa.ArrowException, ValueError):
        # The library's words have the value in them, such as a time that is out of range.
        raise Invalid(
            "rows-unreadable",
            "a value of the rows has no place in Parquet",
            "look for times far in the past or the future; no value is shown here",
        ) from None


def _names(held: Any) -> Sequence[str]:
    """Return the real names of the columns."""
    with _opened():
        schema = held.schema_arrow
        names = [str(name) for name in orjson.loads(schema.metadata[_NAMES])]
        if schema.names != [column_key(at) for at in range(len(names))]:
            raise ValueError("names and columns differ")
    return names


def _content(table: Any) -> str:
    """Return a digest of what a table holds, whatever its parts and dictionaries.

    It is that of the table's unencrypted, uncompressed form, which never leaves the memory.
    """
    out = io.BytesIO()
    pq.write_table(
        table.replace_schema_metadata(None),
        out,
        store_schema=False,
        compression="none",
        use_dictionary=False,
        write_statistics=False,
    )
    return hashlib.sha256(out.getbuffer()).hexdigest()


def _next(batches: Iterator[Any]) -> Any:
    with _opened():
        return next(batches, None)


@contextmanager
def _opened() -> Iterator[None]:
    """Turn what the library says of a file that does not open into `Tampered`."""
    try:
        yield
    except Error:
        raise
    except OSError as error:
        if error.errno is not None:
            raise Unavailable(
                "file-unreadable",
                f"the file cannot be read ({error.strerror})",
                "check the disk; nothing was changed",
            ) from None
        raise _changed() from None
    except (InvalidTag, binascii.Error, *_FOREIGN):
        raise _changed() from None


def _changed() -> Tampered:
    return Tampered(
        "dataset-tampered",
        "the data set does not open as it was sealed",
        "restore the file from a backup, and treat the change as an incident",
    )


def _unsealed(*, is_plain: bool) -> Invalid:
    return Invalid(
        "dataset-unsealed",
        "this Parquet file is not encrypted" if is_plain else "this file is no sealed data set",
        "seal it with `seawall dataset seal`" if is_plain else "name a file that Seawall sealed",
    )


# --- threads ------------------------------------------------------------------------


class _StoppedError(RuntimeError):
    """Whoever asked for this no longer waits for it."""


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Yield what tells a thread that nobody waits for it any more."""
    stop = threading.Event()
    try:
        yield stop
    finally:
        stop.set()


def _check(stop: threading.Event) -> None:
    if stop.is_set():
        raise _StoppedError


async def _on_thread(work: Callable[[], ResultT], stop: threading.Event) -> ResultT:
    """Work on a thread; when this is cancelled, wait until the thread has let go of the file."""
    working = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait({working})
        working.exception()
        raise
