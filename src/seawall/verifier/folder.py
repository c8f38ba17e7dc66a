"""Which files a log of a given size has, and reading them without trust: C2SP tlog-tiles.

Nothing here follows a symbolic link, opens what is not a regular file, or
reads more than a file of that place may hold. What is remembered of a folder
is two bits for each tile, so that no log is too long.
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
LEAVES: Final = (ENTRIES, "0")
"""The kinds of files that a pruned log has no more of, below its minimum."""

_LONGEST_ENTRY: Final = 2 + 65_535
_BRANCH: Final = 1_000
"""So many places a folder of tiles has."""

_NAME: Final = re.compile("(x?)([0-9]{3})([.]p)?")
_LEVEL: Final = re.compile("[1-5]?[0-9]|6[0-3]")
_PARTIAL_WIDTH: Final = re.compile("[1-9][0-9]{0,2}")
_OPEN: Final = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a pipe must not keep us waiting
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_UNEXPECTED: Final = (
    "a log of the checkpoint's size has no such file: remove it if it was put there by mistake; "
    "if the log grew while it was copied, copy the tiles first and the checkpoint after them"
)
_CHANGED: Final = "changed while it was read"
_PRUNED: Final = "lies before the minimum that the copy itself names"


@dataclass(frozen=True)
class Row:
    """One level of tiles, or the entry bundles: `full` files of 256, then one of `width` if any."""

    kind: str
    full: int
    width: int

    def path(self, index: int, width: int = WIDTH) -> str:
        """Return the file's path below the log's folder."""
        above, last = divmod(index, _BRANCH)
        path = f"{last:03d}"
        while above:
            above, part = divmod(above, _BRANCH)
            path = f"x{part:03d}/{path}"
        return f"tile/{self.kind}/{path}" + ("" if width == WIDTH else f".p/{width}")

    def width_at(self, index: int) -> int:
        """Return how many hashes or entries the file of this place holds."""
        return WIDTH if index < self.full else self.width

    def longest(self, width: int) -> int:
        """Return how many bytes a file of `width` hashes or entries may have."""
        return width * (_LONGEST_ENTRY if self.kind == ENTRIES else HASH)

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


class _Places:
    """A set of places of a log: one number of a thousand bits for each folder of tiles."""

    def __init__(self) -> None:
        self._bits: dict[tuple[str, int], int] = {}

    def add(self, kind: str, index: int) -> None:
        above, at = divmod(index, _BRANCH)
        self._bits[kind, above] = self._bits.get((kind, above), 0) | 1 << at

    def has(self, kind: str, index: int) -> bool:
        above, at = divmod(index, _BRANCH)
        return bool(self._bits.get((kind, above), 0) >> at & 1)

    def branch(self, kind: str, above: int) -> int:
        return self._bits.get((kind, above), 0)


class Folder:
    """A copy of a log on disk, or a part of one.

    `minimum` is the first entry that it says to hold. With `may_be_later` it may hold
    files of a larger size than the one that is verified; they are counted, and not read.
    """

    def __init__(self, path: Path, *, minimum: int = 0, may_be_later: bool = False) -> None:
        self.path = path
        self.minimum = minimum
        self.later = 0
        self.full = _Places()
        self._stale = _Places()
        self.may_be_later = may_be_later

    def read(self, step: int, file: str, limit: int) -> bytes:
        """Return a regular file's bytes; a refusal if it is none or longer than `limit`."""
        try:
            opened = os.open(f"{self.path}/{file}", _OPEN)
        except FileNotFoundError:
            raise Refusal(step, file, "is missing") from None
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.ENXIO}:
                raise Refusal(step, file, "is not a regular file") from None
            raise Refusal(step, file, f"cannot be read ({error.strerror})") from None
        try:
            return _contents(step, file, opened, limit)
        except OSError as error:
            raise Refusal(step, file, f"cannot be read ({error.strerror})") from None
        finally:
            os.close(opened)

    def read_row(self, step: int, row: Row, index: int, width: int) -> bytes:
        """Return the tile or bundle of a place, which has the length that its width allows."""
        file = row.path(index, width)
        raw = self.read(step, file, row.longest(width))
        if not row.length_fits(len(raw), width):
            raise Refusal(step, file, f"has {len(raw):,} bytes, which {width} cannot make")
        return raw

    def is_there(self, file: str) -> bool:
        """Whether the folder holds something of this name, of whatever kind."""
        return os.path.lexists(self.path / file)

    def holds(self, row: Row, index: int, width: int) -> bool:
        """Whether the folder had this tile or bundle when its files were checked."""
        if width == WIDTH:
            return self.full.has(row.kind, index)
        return self.is_there(row.path(index, width))

    def stale_widths(self, step: int, row: Row, index: int) -> list[int]:
        """Return the widths of the partial files of a place, smallest first.

        Those that were there when the files were checked, and none that a log of
        this size cannot have had.
        """
        if not self._stale.has(row.kind, index):
            return []
        file = f"{row.path(index)}.p"
        try:
            widths = [int(entry.name) for entry in self.listed(file)]
        except (OSError, ValueError):
            raise Refusal(step, file, _CHANGED) from None
        return sorted(width for width in widths if width <= _widest(row, index))

    def listed(self, file: str) -> Iterator[os.DirEntry[str]]:
        """Yield what a folder holds, which must not be reached by a symbolic link."""
        path = self.path / file
        if path.is_symlink():
            raise NotADirectoryError(errno.ENOTDIR, "a symbolic link", os.fspath(path))
        with os.scandir(path) as found:
            yield from found

    def check_files(self, step: int, size: int) -> int:
        """Check that `tile/` holds nothing that a log of the size has not; count the files.

        Partial files of earlier sizes are no strangers: they are counted here,
        and their content is checked with that of their place.
        """
        rows = {row.kind: row for row in rows_of(size)}
        try:
            kinds = list(self._kinds(step, set(rows)))
            return sum(self._check_row(step, rows[kind]) for kind in kinds)
        except OSError as error:
            file = os.path.relpath(error.filename, self.path) if error.filename else "tile"
            raise Refusal(step, file, f"cannot be listed ({error.strerror})") from None

    def _kinds(self, step: int, known: set[str]) -> Iterator[str]:
        """Yield the rows that `tile/` holds; bundles and level 0 are no more than 65 names."""
        if not self.is_there("tile"):
            return
        for entry in self.listed("tile"):
            if entry.name in known and entry.is_dir(follow_symlinks=False):
                yield entry.name
            elif entry.name in known or not (entry.name == ENTRIES or _LEVEL.fullmatch(entry.name)):
                _refuse_stranger(step, f"tile/{entry.name}")
            else:
                self._count_later(step, f"tile/{entry.name}")

    def _check_row(self, step: int, row: Row) -> int:
        """Walk one row's folder and count its files; what is strange there ends the walk."""
        count = 0
        last = row.full if row.width else row.full - 1
        branches = [(f"tile/{row.kind}", 0)]
        while branches:
            branch, above = branches.pop()
            for entry in self.listed(branch):
                file = f"{branch}/{entry.name}"
                name = _NAME.fullmatch(entry.name)
                index = above * _BRANCH + int(name[2]) if name else -1
                form = (name[1] or name[3] or "") if name and not (name[1] and name[3]) else "?"
                is_folder = entry.is_dir(follow_symlinks=False)
                if form == "" and index < row.full:
                    self._check_full(step, row, index, entry, file)
                    count += 1
                elif form == "x" and is_folder and 0 < index <= last // _BRANCH:
                    branches.append((file, index))
                elif form == ".p" and is_folder and index <= last:
                    count += self._check_partials(step, row, index, file)
                elif form == "?" or (form == "x" and index == 0) or is_folder is (form == ""):
                    _refuse_stranger(step, file)
                else:
                    self._count_later(step, file)
        return count

    def _check_full(
        self, step: int, row: Row, index: int, entry: os.DirEntry[str], file: str
    ) -> None:
        self._require_kept(step, row, index, file)
        _check_length(step, row, entry, file, WIDTH)
        self.full.add(row.kind, index)

    def _check_partials(self, step: int, row: Row, index: int, file: str) -> int:
        count = 0
        for entry in self.listed(file):
            name = f"{file}/{entry.name}"
            width = int(entry.name) if _PARTIAL_WIDTH.fullmatch(entry.name) else WIDTH
            if width >= WIDTH:
                _refuse_stranger(step, name)
            elif width > _widest(row, index):
                self._count_later(step, name)
            else:
                self._require_kept(step, row, index, file)
                _check_length(step, row, entry, name, width)
                self._stale.add(row.kind, index)
                count += 1
        return count

    def _require_kept(self, step: int, row: Row, index: int, file: str) -> None:
        """Refuse files below the minimum: nothing would read them, nor compare them."""
        if row.kind in LEAVES and index < self.minimum // WIDTH:
            raise Refusal(step, file, _PRUNED)

    def _count_later(self, step: int, file: str) -> None:
        if not self.may_be_later:
            _refuse_stranger(step, file)
        self.later += 1


class Copy:
    """The folders that hold a log's files together; of two files of one place the first counts."""

    def __init__(self, *folders: Folder) -> None:
        self.folders = folders
        self.minimum = min(folder.minimum for folder in folders)
        """The first entry that they hold together."""

    def check_files(self, step: int, size: int) -> int:
        """Check that nothing is strange and that nothing is missing; count the files."""
        count = sum(folder.check_files(step, size) for folder in self.folders)
        for row in rows_of(size):
            self._require(step, row, self.minimum // WIDTH if row.kind in LEAVES else 0)
        return count

    def read_row(self, step: int, row: Row, index: int, width: int) -> bytes:
        """Return the tile or bundle of a place, from the first folder that has it."""
        holder = self.folders[0]
        if len(self.folders) > 1:
            having = (each for each in self.folders if each.holds(row, index, width))
            holder = next(having, holder)
        return holder.read_row(step, row, index, width)

    def stale(self, step: int, row: Row, index: int) -> Iterator[tuple[str, int, bytes]]:
        """Yield name, width and content of each partial file of a place."""
        for folder in self.folders:
            for width in folder.stale_widths(step, row, index):
                yield row.path(index, width), width, folder.read_row(step, row, index, width)

    def _require(self, step: int, row: Row, first: int) -> None:
        """Refuse with the first file that is missing: soon, whatever size was claimed."""
        for above in range(first // _BRANCH, -(-row.full // _BRANCH)):
            start = max(first - above * _BRANCH, 0)
            stop = min(row.full - above * _BRANCH, _BRANCH)
            missing = (1 << stop) - (1 << start)
            for folder in self.folders:
                missing &= ~folder.full.branch(row.kind, above)
            if missing:
                at = (missing & -missing).bit_length() - 1
                self._refuse_missing(step, row, row.path(above * _BRANCH + at))
        if row.width and first <= row.full:
            holding = (each.holds(row, row.full, row.width) for each in self.folders)
            if not any(holding):
                self._refuse_missing(step, row, row.path(row.full, row.width))

    def _refuse_missing(self, step: int, row: Row, file: str) -> None:
        """Name the whole folder where all of it is missing."""
        for named in ("tile", f"tile/{row.kind}", file):
            if not any(folder.is_there(named) for folder in self.folders):
                raise Refusal(step, named, "is missing")
        raise Refusal(step, file, _CHANGED)


def _contents(step: int, file: str, opened: int, limit: int) -> bytes:
    status = os.fstat(opened)
    if not stat.S_ISREG(status.st_mode):
        raise Refusal(step, file, "is not a regular file")
    if status.st_size > limit:
        raise Refusal(step, file, f"is longer than the {limit:,} bytes it may have")
    raw = os.read(opened, status.st_size + 1)
    if len(raw) != status.st_size:
        raise Refusal(step, file, _CHANGED)
    return raw


def _widest(row: Row, index: int) -> int:
    """Return the width of the widest partial file that a place may have."""
    return WIDTH - 1 if index < row.full else row.width


def _check_length(step: int, row: Row, entry: os.DirEntry[str], file: str, width: int) -> None:
    if entry.is_symlink() or not entry.is_file(follow_symlinks=False):
        raise Refusal(step, file, "is not a regular file")
    length = entry.stat(follow_symlinks=False).st_size
    if not row.length_fits(length, width):
        raise Refusal(step, file, f"has {length:,} bytes, which {width} cannot make")


def _refuse_stranger(step: int, file: str) -> None:
    raise Refusal(step, file, "does not belong to the log", _UNEXPECTED)
