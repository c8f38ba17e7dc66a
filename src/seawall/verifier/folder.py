"""Which files a log of a given size has, and reading them without trust: C2SP tlog-tiles.

Nothing here follows a symbolic link, opens what is not a regular file, or
reads more than a file of that place may hold.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WIDTH: Final = 256
HASH: Final = 32
ENTRIES: Final = "entries"

_LONGEST_ENTRY: Final = 2 + 65_535
_NAME: Final = re.compile("(x?)([0-9]{3})([.]p)?")
_PARTIAL_WIDTH: Final = re.compile("[1-9][0-9]{0,2}")
_UNEXPECTED: Final = (
    "a log of the checkpoint's size has no such file: remove it if it was put there by mistake; "
    "if the log grew while it was copied, copy the tiles first and the checkpoint after them"
)


@dataclass(frozen=True)
class Row:
    """One level of tiles, or the entry bundles: `full` files of 256, then one of `width` if any."""

    kind: str
    full: int
    width: int

    def path(self, index: int, width: int = WIDTH) -> str:
        """Return the file's path below the log's folder."""
        above, last = divmod(index, 1_000)
        path = f"{last:03d}"
        while above:
            above, part = divmod(above, 1_000)
            path = f"x{part:03d}/{path}"
        return f"tile/{self.kind}/{path}" + ("" if width == WIDTH else f".p/{width}")

    def length_fits(self, length: int, width: int) -> bool:
        """Whether a file of `width` hashes or entries may have this many bytes."""
        if self.kind == ENTRIES:
            return 2 * width <= length <= _LONGEST_ENTRY * width
        return length == HASH * width


def rows_of(size: int) -> list[Row]:
    """Return the rows of a log: the bundles first, then the tiles by level."""
    levels = range((size.bit_length() + 7) // 8)
    shifted = [(str(level), size >> 8 * level) for level in levels]
    kinds = [(ENTRIES, size), *shifted] if size else []
    return [Row(kind, *divmod(count, WIDTH)) for kind, count in kinds]


class Folder:
    """A copy of a log on disk, and the step on whose behalf it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, step: int, file: str, limit: int) -> bytes:
        """Return a regular file's bytes; a refusal if it is none or longer than `limit`."""
        try:
            status = os.lstat(self.path / file)
            if not stat.S_ISREG(status.st_mode):
                raise Refusal(step, file, "is not a regular file")
            if status.st_size > limit:
                raise Refusal(step, file, f"is longer than the {limit:,} bytes it may have")
            with (self.path / file).open("rb") as opened:
                return opened.read(limit + 1)
        except FileNotFoundError:
            raise Refusal(step, file, "is missing") from None
        except OSError as error:
            raise Refusal(step, file, f"cannot be read ({error.strerror})") from None

    def read_row(self, step: int, row: Row, index: int, width: int) -> bytes:
        """Return the tile or bundle of a place, which has the length that its width allows."""
        file = row.path(index, width)
        raw = self.read(step, file, width * (_LONGEST_ENTRY if row.kind == ENTRIES else HASH))
        if not row.length_fits(len(raw), width):
            raise Refusal(step, file, f"has {len(raw):,} bytes, which {width} cannot make")
        return raw

    def stale_widths(self, step: int, row: Row, index: int) -> list[int]:
        """Return the widths of the partial files of a place, smallest first."""
        file = f"{row.path(index)}.p"
        try:
            with os.scandir(self.path / file) as found:
                names = [entry.name for entry in found]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise Refusal(step, file, f"cannot be listed ({error.strerror})") from None
        return sorted(int(name) for name in names if _PARTIAL_WIDTH.fullmatch(name))

    def check_files(self, step: int, size: int) -> int:
        """Check that `tile/` holds all that the size demands and nothing else; count the files.

        Partial files of earlier sizes are no strangers: they are counted here,
        and their content is checked with that of their place.
        """
        rows = rows_of(size)
        kinds = {row.kind for row in rows}
        try:
            if rows or os.path.lexists(self.path / "tile"):
                for entry in _listed(self.path / "tile"):
                    if entry.name not in kinds or not entry.is_dir(follow_symlinks=False):
                        _refuse_stranger(step, f"tile/{entry.name}")
            return sum(self._check_row(step, row) for row in rows)
        except OSError as error:
            file = os.path.relpath(error.filename, self.path) if error.filename else "tile"
            is_missing = isinstance(error, FileNotFoundError)
            problem = "is missing" if is_missing else f"cannot be listed ({error.strerror})"
            raise Refusal(step, file, problem) from None

    def _check_row(self, step: int, row: Row) -> int:
        """Walk one row's folder and count its files; what is strange there ends the walk."""
        full = partial = 0
        last = row.full if row.width else row.full - 1
        branches = [(f"tile/{row.kind}", 0)]
        while branches:
            branch, above = branches.pop()
            for entry in _listed(self.path / branch):
                file = f"{branch}/{entry.name}"
                name = _NAME.fullmatch(entry.name)
                index = above * 1_000 + int(name[2]) if name else -1
                form = (name[1] or name[3] or "") if name and not (name[1] and name[3]) else "?"
                is_folder = entry.is_dir(follow_symlinks=False)
                if form == "" and index < row.full:
                    _check_length(step, row, entry, file, WIDTH)
                    full += 1
                elif form == "x" and is_folder and 0 < index <= last // 1_000:
                    branches.append((file, index))
                elif form == ".p" and is_folder and index <= last:
                    partial += self._check_partials(step, row, index, file)
                else:
                    _refuse_stranger(step, file)
        self._require(step, row, full)
        return full + partial

    def _check_partials(self, step: int, row: Row, index: int, file: str) -> int:
        count = 0
        widest = WIDTH - 1 if index < row.full else row.width
        for entry in _listed(self.path / file):
            name = f"{file}/{entry.name}"
            if not _PARTIAL_WIDTH.fullmatch(entry.name) or int(entry.name) > widest:
                _refuse_stranger(step, name)
            _check_length(step, row, entry, name, int(entry.name))
            count += 1
        return count

    def _require(self, step: int, row: Row, full: int) -> None:
        """Refuse with the first file that is missing, if fewer than all were found."""
        needed = [row.path(row.full, row.width)] if row.width else []
        if full < row.full:
            # One of the first full+1 is missing, so this ends soon whatever size was claimed.
            needed = [row.path(index) for index in range(full + 1)]
        for file in needed:
            if not os.path.lexists(self.path / file):
                raise Refusal(step, file, "is missing")


def _listed(path: Path) -> Iterator[os.DirEntry[str]]:
    if path.is_symlink():
        raise NotADirectoryError(errno.ENOTDIR, "a symbolic link", os.fspath(path))
    with os.scandir(path) as found:
        yield from found


def _check_length(step: int, row: Row, entry: os.DirEntry[str], file: str, width: int) -> None:
    if entry.is_symlink() or not entry.is_file(follow_symlinks=False):
        raise Refusal(step, file, "is not a regular file")
    length = entry.stat(follow_symlinks=False).st_size
    if not row.length_fits(length, width):
        raise Refusal(step, file, f"has {length:,} bytes, which {width} cannot make")


def _refuse_stranger(step: int, file: str) -> None:
    raise Refusal(step, file, "does not belong to the log", _UNEXPECTED)
