"""Files of data sets: read once, written aside, placed whole, never over another.

What is written in the clear goes straight to the file that was asked for, which its owner
alone can read; there is no other copy, and it is taken away if not all of it was written.
"""

from __future__ import annotations

import hashlib
import os
import sys
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Final

from seawall.core.errors import Conflict, Missing, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PIECE: Final = 1 << 20


@contextmanager
def reading(path: Path | None) -> Iterator[IO[bytes]]:
    """Open a file for reading, or standard input; `Missing` if it cannot be read."""
    if path is None:
        yield sys.stdin.buffer
        return
    try:
        source = path.open("rb")
    except OSError as error:
        raise Missing(
            "rows-unreadable", f"the file of rows cannot be read ({error.strerror})", "check it"
        ) from None
    with source:
        yield source


@contextmanager
def writing(path: Path | None) -> Iterator[IO[bytes]]:
    """Open a new file of mode 0600, or standard output; a file that was not finished is removed.

    `Conflict` (`file-exists`) if there is one.
    """
    if path is None:
        yield sys.stdout.buffer
        with writable():
            sys.stdout.buffer.flush()
        return
    out = new_file(path)
    try:
        with out:
            yield out
            with writable():
                settle(out)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def check_free(path: Path) -> None:
    """Raise `Conflict` if there is a file of this name already."""
    if path.exists():
        raise taken()


def new_file(path: Path) -> IO[bytes]:
    """Make a file that its owner alone can read and write; `Conflict` if there is one."""
    with writable():
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise taken() from None
    return os.fdopen(descriptor, "w+b")


def settle(out: IO[bytes]) -> None:
    """Have the disk hold what was written."""
    out.flush()
    os.fsync(out.fileno())


def place(aside: Path, target: Path) -> None:
    """Give a finished file its name, durably; `Conflict` if another has it by now."""
    with writable():
        try:
            # A link, since a rename would replace what somebody else put there meanwhile.
            os.link(aside, target)
        except FileExistsError:
            raise taken() from None
        aside.unlink()
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def remove(aside: Path) -> None:
    """Take away what was written aside, if it is still there."""
    with suppress(OSError):
        aside.unlink()


def digest(source: IO[bytes]) -> tuple[str, int]:
    """Return the SHA-256 of a file, as `sha256:` and hex, and its size; go back to its start."""
    source.seek(0)
    running, size = hashlib.sha256(), 0
    while piece := source.read(_PIECE):
        running.update(piece)
        size += len(piece)
    source.seek(0)
    return f"sha256:{running.hexdigest()}", size


@contextmanager
def writable() -> Iterator[None]:
    """Turn what a disk or a pipe answers into `Unavailable`."""
    try:
        yield
    except OSError as error:
        raise Unavailable(
            "file-unwritable",
            f"the file cannot be written ({error.strerror})",
            "check the folder, its permissions and the space on the disk; nothing was left there",
        ) from None


def taken() -> Conflict:
    """Return the error for a file that exists."""
    return Conflict(
        "file-exists", "there is a file of this name", "name a new file; none is written over"
    )
