"""Training data sets at rest: rows into one sealed file, and out of it again.

A sealed file has a key for its footer and one for each column. Each of these is under a
key-encryption key of its own, which is handed in; its sealed form lies in the file and names
tenant, data set, file and column.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from seawall.core.seal.envelope import Sealed

RowsForm = Literal["parquet", "csv", "ndjson"]
"""How rows that are not sealed are written."""

FOOTER_KEY: Final = "footer"
"""The name of the key of a file's footer: schema, names and counts."""


def column_key(position: int) -> str:
    """Return the name of the key of a column, by its position from 0."""
    return f"c{position}"


@dataclass(frozen=True, slots=True)
class Rows:
    """Where rows are read from or written to; no path means standard input or output."""

    path: Path | None
    form: RowsForm
    has_one_column: bool = False
    """Whether a CSV is known to have one column, whatever its header looks like."""


@dataclass(frozen=True, slots=True)
class DatasetKey:
    """A key-encryption key, and its sealed form, which goes into the file."""

    key: bytes = field(repr=False)
    sealed: Sealed


@dataclass(frozen=True, slots=True)
class SealedFile:
    """A file as it was written and read back."""

    rows: int
    size: int
    digest: str
    """The SHA-256 of the file, as `sha256:` and hex."""


class SealingDataset(Protocol):
    """Rows that are about to be sealed."""

    @property
    def columns(self) -> Sequence[str]:
        """The names of the columns, in order."""
        ...

    async def write(self, file: str, keys: Mapping[str, DatasetKey]) -> SealedFile:
        """Write the file aside under these keys, by name, and read it back to verify it.

        `file` is its random id, bound to each key. `Invalid` for rows that cannot be read,
        by their number and never by what is in them.
        """
        ...

    async def place(self) -> None:
        """Give the file its name; `Conflict` (`file-exists`) if there is one by now."""
        ...


class OpenDataset(Protocol):
    """A sealed file: as much of it as anybody can read, and its rows for who has the keys."""

    @property
    def digest(self) -> str:
        """The SHA-256 of the file, as `sha256:` and hex."""
        ...

    @property
    def size(self) -> int:
        """How many bytes it has."""
        ...

    @property
    def sealed_keys(self) -> Mapping[str, Sealed]:
        """The sealed keys that lie in the file, by name; nobody has verified them."""
        ...

    async def columns(self, file: str, footer_key: bytes) -> Sequence[str]:
        """Open the footer; return the columns' names. `Tampered` if it does not open."""
        ...

    async def write(self, keys: Mapping[str, bytes], positions: Sequence[int], to: Rows) -> int:
        """Write the rows of these columns, in the clear; return how many rows.

        A new file is its owner's alone; it is taken away again if not all of it could be
        written. Columns without a key stay closed. `Tampered` if something does not open.
        """
        ...


class Datasets(Protocol):
    """Sealed files of rows."""

    def sealing(self, source: Rows, target: Path) -> AbstractAsyncContextManager[SealingDataset]:
        """Begin to seal rows into a new file; what is not placed is gone afterwards."""
        ...

    async def check_free(self, to: Rows) -> None:
        """Raise `Conflict` or `Unavailable` if no new file can be made there, as far as is seen."""
        ...

    def opening(self, path: Path) -> AbstractAsyncContextManager[OpenDataset]:
        """Begin to open a sealed file; `Invalid` if it is none."""
        ...
