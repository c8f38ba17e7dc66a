"""A payload store in a folder: one file a payload, whole or not there, mode 0600.

    <folder>/ab/abcdef…     a sealed value, named by the SHA-256 of its ciphertext
    <folder>/owner          whose installation's it is
    <folder>/.incoming/     files that are not whole yet

The folder may be a mount that several replicas share. What a process that was
ended left in `.incoming` is ciphertext too, and goes with the next self-test.
"""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from seawall.adapters.payloads.objects import (
    OWNER,
    PAYLOAD_BYTES,
    altered,
    digest_at,
    fitting,
    missing,
    path_of,
    unavailable,
    untrusted,
    verified,
)
from seawall.app.ports import HeldPayload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from pathlib import Path

    from seawall.app.ports import Random
    from seawall.core.seal.envelope import Sealed

T = TypeVar("T")

_INCOMING: Final = ".incoming"
_LEFT_SECONDS: Final = 3600
"""After so long nobody is still writing a file that is not whole."""
_THREADS: Final = 8


class FolderPayloads:
    """The Payloads port over a folder."""

    def __init__(self, folder: Path, *, random: Random) -> None:
        self._folder = folder
        self._random = random
        # Threads of their own: a disk that hangs must not hold up those that others wait for.
        self._threads = ThreadPoolExecutor(_THREADS, "payloads")

    async def self_test(self, owner: str) -> None:
        """Make the folder if need be, claim it, try to keep and to delete; tidy what was left."""

        def work() -> None:
            """Test on a thread."""
            self._claim(owner)
            canary = self._random.bytes(32)
            path = self._folder / f"canary-{canary.hex()}"
            self._write(path, canary)
            kept = path.read_bytes()
            path.unlink()
            if kept != canary or path.exists():
                raise untrusted("gives back something else than it took, or deletes nothing")
            self._tidy()

        await self._on_thread(work)

    async def put(self, sealed: Sealed) -> None:
        """Keep a sealed value in a file that is on the disk when this returns."""
        raw, path = fitting(sealed), self._folder / path_of(sealed.digest())

        def work() -> None:
            """Write the file, unless it is there."""
            if not path.exists():
                self._write(path, raw)
            elif self._read(path) != raw:
                raise altered()

        await self._on_thread(work)

    async def get(self, digest: str) -> Sealed:
        """Return the value that has this digest."""
        path = self._folder / path_of(digest)
        return await self._on_thread(lambda: verified(self._read(path), digest))

    async def delete(self, digests: Sequence[str]) -> None:
        """Delete files, durably; one that is not there is no error."""
        paths = [self._folder / path_of(digest) for digest in digests]

        def work() -> None:
            """Unlink each, then make each folder durable once."""
            for path in paths:
                path.unlink(missing_ok=True)
            for folder in {path.parent for path in paths}:
                if folder.exists():
                    _sync(folder)

        await self._on_thread(work)

    async def held(self) -> AsyncIterator[HeldPayload]:
        """Yield what lies there, one fanned-out folder at a time."""
        if not self._folder.is_dir():
            raise unavailable("is a folder that is not there")
        for first in range(256):
            for held in await self._on_thread(partial(self._listed, f"{first:02x}")):
                yield held

    async def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False)

    # --- on a thread -----------------------------------------------------------

    def _claim(self, owner: str) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        note = self._folder / OWNER
        if not note.exists():
            if any(item.name != _INCOMING for item in self._folder.iterdir()):
                raise untrusted("is a folder that holds other things")
            self._write(note, owner.encode())
        if note.read_bytes() != owner.encode():
            raise untrusted("is another installation's")

    def _listed(self, first: str) -> list[HeldPayload]:
        try:
            found = list(os.scandir(self._folder / first))
        except FileNotFoundError:
            return []
        held = []
        for item in found:
            digest = digest_at(f"{first}/{item.name}")
            if digest is not None:
                seen = item.stat()
                at = datetime.fromtimestamp(seen.st_mtime, UTC)
                held.append(HeldPayload(digest, seen.st_size, at))
        return held

    def _read(self, path: Path) -> bytes:
        try:
            with path.open("rb") as file:
                raw = file.read(PAYLOAD_BYTES + 1)
        except FileNotFoundError:
            raise missing() from None
        if len(raw) > PAYLOAD_BYTES:
            raise altered()
        return raw

    def _write(self, target: Path, content: bytes) -> None:
        incoming = self._folder / _INCOMING
        for folder in (incoming, target.parent):
            if not folder.is_dir():
                # Not its parents: a mount that went away must not become a folder.
                folder.mkdir(mode=0o700, exist_ok=True)
                _sync(folder.parent)
        aside = incoming / self._random.bytes(16).hex()
        try:
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
        _sync(target.parent)

    def _tidy(self) -> None:
        """Delete what a process left that was ended while it wrote."""
        for left in (self._folder / _INCOMING).iterdir():
            if left.stat().st_mtime < time.time() - _LEFT_SECONDS:
                left.unlink(missing_ok=True)

    async def _on_thread(self, work: Callable[[], T]) -> T:
        def translated() -> T:
            with _foreign_errors():
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._threads, translated)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _foreign_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unavailable(f"cannot be used ({error.strerror})") from None
