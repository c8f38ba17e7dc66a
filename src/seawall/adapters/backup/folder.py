"""A backup repository in a folder: files that are whole or not there, mode 0600.

The folder may be a mount. Whatever an ended process left half is called `*.new`,
and goes with the next backup.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from seawall.core.backup.rows import MOST_BYTES
from seawall.core.errors import Conflict, Missing, Tampered, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK: Final = "lock"


class FolderPlace:
    """The BackupPlace port over a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._touched: set[Path] = set()
        self._touching = threading.Lock()

    @contextmanager
    def claim(self, *, begin: bool = False) -> Iterator[None]:
        """Hold the folder, making it first where one may begin; `Conflict` if another does.

        Where none may begin, a folder that is not there, such as a mount that is not, is
        `Unavailable` and is not made.
        """
        with _foreign_errors("claimed"):
            if begin:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            held = os.open(self._folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Conflict(
                    "backup-in-use",
                    "another process writes to this backup",
                    "wait until it has ended; an ended one holds nothing",
                ) from None
            yield
        finally:
            os.close(held)

    def size(self, path: str) -> int | None:
        """Return a file's size, or None if there is none, or something that is no file."""
        try:
            found = (self._folder / path).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unavailable("read", error) from None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def read(self, path: str, most: int = MOST_BYTES) -> bytes:
        """Return a file; `Missing` if there is none, `Tampered` if it is longer than `most`.

        What is no file, such as a pipe or a link, is `Tampered` and waited for by nobody.
        """
        try:
            held = os.open(self._folder / path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
            with os.fdopen(held, "rb") as file:
                found = os.fstat(held)
                if not stat.S_ISREG(found.st_mode) or found.st_size > most:
                    raise _no_such(path)
                raw = file.read(most + 1)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise Missing(
                "backup-file-missing",
                f"the backup has no file {path}",
                "`seawall backup verify` names all that is missing; use another copy",
            ) from None
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.ENXIO}:
                raise _no_such(path) from None
            raise _unavailable("read", error) from None
        if len(raw) > most:
            raise _no_such(path)
        return raw

    def write(self, path: str, content: bytes) -> None:
        """Write a file durably, whole or not at all."""
        target = self._folder / path
        aside = target.with_name(f"{target.name}.new")
        with _foreign_errors("written"):
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            held = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(held, "wb", buffering=0) as out:
                left = memoryview(content)
                while left:
                    left = left[out.write(left) :]
                os.fsync(out.fileno())
            aside.replace(target)
        with self._touching:
            self._touched |= {target.parent, target.parent.parent}

    def settle(self) -> None:
        """Make the names of what was written durable too."""
        with self._touching:
            folders, self._touched = self._touched, set()
        with _foreign_errors("written"):
            for folder in sorted(folders, reverse=True):
                held = os.open(folder, os.O_RDONLY)
                try:
                    os.fsync(held)
                finally:
                    os.close(held)

    def paths(self) -> Iterator[str]:
        """Yield every file that lies there but the claim's own, which is empty."""
        for place, _, names in os.walk(self._folder, onerror=_raise):
            for name in names:
                path = os.path.relpath(os.path.join(place, name), self._folder)  # noqa: PTH118  fast
                if path != LOCK or self.size(LOCK):
                    yield path

    def delete(self, path: str) -> None:
        """Delete a file; one that is not there is no error."""
        with _foreign_errors("written"):
            (self._folder / path).unlink(missing_ok=True)
            parent = (self._folder / path).parent
            with self._touching:
                self._touched.add(parent)
            if parent.parent.name == "snapshots" and not any(parent.iterdir()):
                parent.rmdir()
                with self._touching:
                    self._touched.discard(parent)


@contextmanager
def _foreign_errors(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _unavailable(what, error) from None


def _raise(error: OSError) -> None:
    raise _unavailable("read", error)


def _no_such(path: str) -> Tampered:
    return Tampered(
        "backup-tampered",
        f"something lies at {path} that a backup does not hold: no file, or one too large",
        "`seawall backup verify` names all such; use another copy, and treat it as an incident",
    )


def _unavailable(what: str, error: OSError) -> Unavailable:
    return Unavailable(
        "backup-unavailable",
        f"the backup's folder cannot be {what} ({error.strerror})",
        "check the disk, the mount and the permissions; what was there before is still whole",
    )
