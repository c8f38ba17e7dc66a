"""An archive in a folder: files that are written once, with their retention beside them.

A folder keeps no promise against its owner, who can delete what lies in it: it
is never locked. Put it on another machine, or on a mount whose server refuses
changes. What it promises itself is that a file is whole, durable, never written
over, and on another file system than the database.

    <folder>/<path>                what was put, mode 0400
    <folder>/.retention/<path>     its version (a SHA-256), until when, and whether it is held
    <folder>/.incoming/            files that are not whole yet
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import orjson

from seawall.app.ports import Lying
from seawall.core.errors import Conflict, Missing, Refused, Tampered, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from seawall.app.ports import Random

T = TypeVar("T")

_PART: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}")
_RETENTION: Final = ".retention"
_INCOMING: Final = ".incoming"
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Known:
    """What lies beside a file: which it is, until when it is kept, whether it is held."""

    version: str
    until: datetime
    is_held: bool = False


class FolderArchive:
    """The Archive port over a folder."""

    def __init__(self, name: str, folder: Path, *, apart_from: Path, random: Random) -> None:
        self._name = name
        self._folder = folder
        self._apart_from = apart_from
        self._random = random

    @property
    def name(self) -> str:
        """The name that the settings give it."""
        return self._name

    @property
    def is_locked(self) -> bool:
        """Never: whoever owns a folder can delete what lies in it."""
        return False

    async def self_test(self) -> None:
        """Check that the folder is apart from the database and keeps what it takes.

        `Refused` (`archive-untrusted`) where it is on the file system of the data folder,
        or gives back something else than it took.
        """
        await self._on_thread(self._check_apart)
        canary = self._random.bytes(16).hex()

        def try_it() -> None:
            """Write a canary, read it, take it away."""
            path = self._folder / _INCOMING / f"canary-{canary}"
            self._write(path, canary.encode())
            kept = path.read_bytes()
            path.unlink()
            if kept != canary.encode():
                raise self._untrusted("gives back something else than it took")

        await self._on_thread(try_it)

    async def now(self) -> datetime | None:
        """Return None: a folder has no clock of its own."""
        return None

    async def put(self, path: str, content: bytes, retain_until: datetime) -> str:
        """Keep a new file durably; `Conflict` if there is another content at this path."""
        target, version = self._place(path), hashlib.sha256(content).hexdigest()

        def work() -> str:
            """Write the file, then what is to be known of it."""
            # A mount that went away leaves an empty folder, on the database's own disk.
            self._check_apart()
            if target.exists():
                if target.read_bytes() != content:
                    raise Conflict(
                        "archive-conflict",
                        f"the archive {self._name} holds another content at a path of this log",
                        "keep both as they are, compare them, and treat it as an incident",
                    )
            else:
                self._write(target, content)
            known = self._known(path) or _Known(version, _LONG_AGO)
            if known.until < retain_until:
                self._remember(path, replace(known, until=retain_until))
            return version

        return await self._on_thread(work)

    async def get(self, path: str, version: str) -> bytes:
        """Return a file; `Missing` if it is not there, `Tampered` if it is not this version."""
        target = self._place(path)

        def work() -> bytes:
            """Read the file and compare its digest."""
            try:
                content = target.read_bytes()
            except FileNotFoundError:
                raise self._missing() from None
            if hashlib.sha256(content).hexdigest() != version:
                raise self._altered()
            return content

        return await self._on_thread(work)

    async def lying(self, below: str) -> AsyncIterator[Lying]:
        """Yield the files below a path, each as old as its file."""
        top = self._place(below)

        def work(target: Path) -> Lying:
            """Look at one file."""
            path = target.relative_to(self._folder).as_posix()
            known = self._known(path)
            version = known.version if known else hashlib.sha256(target.read_bytes()).hexdigest()
            return Lying(path, version, datetime.fromtimestamp(target.stat().st_mtime, UTC))

        for target in await self._on_thread(partial(self._files, top)):
            yield await self._on_thread(partial(work, target))

    async def extend(self, path: str, version: str, retain_until: datetime) -> None:
        """Note a later retention; `Refused` if it is earlier."""

        def work() -> None:
            """Change what is known."""
            known = self._must_know(path, version)
            if retain_until < known.until:
                raise Refused(
                    "retention-shortened",
                    "an archived object would be kept for less long than it was promised",
                    "retention can be raised, and never lowered",
                )
            self._remember(path, replace(known, until=retain_until))

        await self._on_thread(work)

    async def hold(self, path: str, version: str, *, is_held: bool) -> None:
        """Note that a legal hold is in force, or is not any more."""

        def work() -> None:
            """Change what is known."""
            known = self._must_know(path, version)
            if known.is_held is not is_held:
                self._remember(path, replace(known, is_held=is_held))

        await self._on_thread(work)

    async def close(self) -> None:
        """Do nothing: files are closed when they are written."""

    # --- on a thread -----------------------------------------------------------

    def _check_apart(self) -> None:
        folder, other = self._folder.resolve(), self._apart_from.resolve()
        if not folder.is_dir():
            raise Unavailable(
                "archive-unavailable",
                f"the folder of the archive {self._name} is not there",
                "mount it, or make it; nothing is marked as archived meanwhile",
            )
        is_within = folder.is_relative_to(other) or other.is_relative_to(folder)
        if is_within or folder.stat().st_dev == other.stat().st_dev:
            raise self._untrusted("is on the same file system as the data folder")

    def _files(self, top: Path) -> list[Path]:
        self._check_apart()  # a mount that went away would list nothing
        if not top.exists():
            return []
        walk = os.walk(top, onerror=_raised)
        return [Path(at, name) for at, _, names in walk for name in names]

    def _place(self, path: str) -> Path:
        parts = path.split("/")
        if not all(map(_PART.fullmatch, parts)):
            raise RuntimeError("an archive's path is relative, of plain names, none hidden")
        return self._folder.joinpath(*parts)

    def _write(self, target: Path, content: bytes) -> None:
        """Write a file that is whole or not there, and on the disk when this returns."""
        incoming = self._folder / _INCOMING
        for folder in (incoming, target.parent):
            _make_folder(folder, self._folder)
        aside = incoming / f"{self._random.bytes(16).hex()}.part"
        try:
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
            with os.fdopen(descriptor, "wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
        _sync(target.parent)

    def _known(self, path: str) -> _Known | None:
        try:
            said = orjson.loads((self._folder / _RETENTION / path).read_bytes())
            until = datetime.fromisoformat(said["until"]).astimezone(UTC)
            return _Known(str(said["version"]), until, bool(said["is_held"]))
        except FileNotFoundError:
            return None
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            raise self._altered() from None

    def _must_know(self, path: str, version: str) -> _Known:
        self._place(path)
        known = self._known(path)
        if known is None or known.version != version:
            raise self._missing()
        return known

    def _remember(self, path: str, known: _Known) -> None:
        said = asdict(known) | {"until": known.until.isoformat()}
        self._write(self._folder / _RETENTION / path, orjson.dumps(said))

    def _altered(self) -> Tampered:
        return Tampered(
            "archive-altered",
            f"the archive {self._name} holds something else than it took",
            "keep the archive as it is, and treat it as an incident",
        )

    def _missing(self) -> Missing:
        return Missing(
            "archive-object-missing",
            f"the archive {self._name} does not hold an object that it took",
            "restore the archive from its own backup, and treat it as an incident",
        )

    def _untrusted(self, why: str) -> Refused:
        return Refused(
            "archive-untrusted",
            f"the archive {self._name} {why}",
            "use a folder on another machine's or another disk's file system",
        )

    async def _on_thread(self, work: Callable[[], T]) -> T:
        def translated() -> T:
            with _foreign_errors(self._name):
                return work()

        return await asyncio.to_thread(translated)


def _raised(error: OSError) -> None:
    """Let a folder that cannot be read be an error, and not an empty folder."""
    raise error


def _make_folder(folder: Path, top: Path) -> None:
    """Make a folder below `top`, each new one durable; `top` itself must be there."""
    if folder.is_dir():
        return
    if folder != top:
        _make_folder(folder.parent, top)
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync(folder.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _foreign_errors(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            "archive-unavailable",
            f"the archive {name} cannot be used ({error.strerror})",
            "check the mount, its space and permissions; nothing more is marked as archived",
        ) from None
