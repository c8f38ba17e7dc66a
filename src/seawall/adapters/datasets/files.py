"""Files of data sets: read once, written aside, placed whole, never over another.

What is written in the clear goes to a file that its owner alone can read, and that gets its
name once it is whole: until then it has none, where the file system can do that, and whatever
ends the process takes it away. Elsewhere it has its name from the beginning, and is taken away
unless the process is killed outright.
"""

from __future__ import annotations

import errno
import hashlib
import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from seawall.core.errors import Conflict, Missing, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE: Final = 1 << 20
_DESCRIPTORS: Final = Path("/proc/self/fd")


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
def writing(path: Path | None, *, by_name: bool = False) -> Iterator[IO[bytes]]:
    """Open a new file of mode 0600, or standard output; a file that was not finished is no file.

    `by_name` gives it its name from the beginning, as where no file can be without one.
    `Conflict` (`file-exists`) if there is one.
    """
    if path is None:
        yield sys.stdout.buffer
        with writable():
            sys.stdout.buffer.flush()
        return
    check_free(path)
    nameless = None if by_name else _nameless_file(path.parent)
    if nameless is not None:
        with nameless:
            yield nameless
            with writable():
                settle(nameless)
                _name(nameless, path)
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
    """Raise `Conflict` if there is a file of this name, `Unavailable` where none can be made."""
    with writable():
        if os.path.lexists(path):
            raise taken()
        if not path.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _nameless_file(folder: Path) -> IO[bytes] | None:
    """Make a file that has no name yet, and its owner alone can read; None where none can be.

    Nothing is left of it, however the process ends: open(2), O_TMPFILE.
    """
    flag = getattr(os, "O_TMPFILE", 0)
    if not flag or not _DESCRIPTORS.is_dir():
        return None
    try:
        return os.fdopen(os.open(folder, os.O_RDWR | flag, 0o600), "w+b")
    except OSError:
        # The file system, or what stands in for it, does not have them: it is made by name.
        return None


def _name(out: IO[bytes], path: Path) -> None:
    """Give a file without a name its name, durably; `Conflict` if another has it by now."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        # With a folder's descriptor the library follows the link to the open file itself.
        os.link(_DESCRIPTORS / str(out.fileno()), path.name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)
    except FileExistsError:
        raise taken() from None
    finally:
        os.close(folder)


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
