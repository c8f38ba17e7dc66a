"""Files that are whole or not there: written aside, then renamed. And zip files, as a stream."""

from __future__ import annotations

import errno
import os
import secrets
import zipfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final

from seawall.core.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NO_LINKS: Final = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The time of every file in a zip file: the earliest there is. The manifest says when."""


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file to write, for its user alone; it has its name once it is whole and durable.

    `Conflict` if there is a file of this name already.
    """
    if path.exists():
        raise _taken()
    # A name that nobody can have laid in wait, and never through a link.
    aside = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    try:
        try:
            descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w+b") as out:
                yield out
                out.flush()
                os.fsync(out.fileno())
            _name(aside, path)
        except FileExistsError:
            raise _taken() from None
        except OSError as error:
            raise Unavailable(
                "export-unwritable",
                f"the export cannot be written ({error.strerror})",
                "free space",
            ) from None
    finally:
        aside.unlink(missing_ok=True)


def _name(aside: Path, path: Path) -> None:
    """Give a whole file its name, replacing nothing that came there meanwhile."""
    try:
        os.link(aside, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # A stick that knows no links: the moment in between is all that is left open.
        if path.exists():
            raise _taken() from None
        aside.replace(path)


def _taken() -> Conflict:
    return Conflict("file-exists", "there is a file of this name already", "name a new one")


class ZipWriter:
    """A zip file that is written member by member; pieces of one name in a row are one member."""

    def __init__(self, out: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED)
        self._name = ""
        self._member: IO[bytes] | None = None

    def write(self, name: str, content: bytes) -> None:
        """Write a piece of a member."""
        if name != self._name:
            self._end_member()
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o600 << 16
            self._member = self._zip.open(info, "w", force_zip64=True)
            self._name = name
        if self._member is not None:
            self._member.write(content)

    def close(self) -> None:
        """Write what ends a zip file; whatever comes of it, nothing is written afterwards."""
        try:
            self._end_member()
            self._zip.close()
        finally:
            self._zip.fp = None

    def _end_member(self) -> None:
        if self._member is not None:
            self._member.close()
            self._member = None
