"""What every Archive keeps to: whole, unchanged, found by its version, kept ever longer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from buckets import bucket_server
from fake_archives import MemoryArchive
from fakes import FakeRandom
from seawall.adapters.archive.folder import FolderArchive
from seawall.core.errors import Conflict, Missing, Refused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from seawall.app.ports import Archive

ELSEWHERE: Final = Path("/dev")
"""A folder on another file system than any that a test may write to."""

LATER: Final = datetime.now(UTC) + timedelta(days=2)
PATH: Final = "localhost/log/0123456789abcdef/tile/entries/x001/000.p/7"


def memory_archive(_folder: Path) -> Archive:
    """Return the fake."""
    return MemoryArchive("vault")


def folder_archive(folder: Path) -> Archive:
    """Return a folder on another file system than the database's."""
    return FolderArchive("shelf", folder, apart_from=ELSEWHERE, random=FakeRandom())


def s3_archive(_folder: Path) -> Archive:
    """Return a bucket of a real server."""
    return bucket_server().archive()


@pytest.fixture(params=[memory_archive, folder_archive, s3_archive])
async def archive(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Archive]:
    """Yield each Archive, empty."""
    made: Archive = request.param(tmp_path)
    yield made
    await made.close()


async def test_an_archive_that_keeps_its_promises_passes_its_own_test(archive: Archive) -> None:
    """The test raises nothing, and can be made again."""
    await archive.self_test()
    await archive.self_test()


async def test_what_was_put_is_read_back_by_its_version(archive: Archive) -> None:
    """Any bytes, none included, come back as they were."""
    contents = [b"", b"\x00\xff" * 3, b"x" * 200_000]
    for at, content in enumerate(contents):
        version = await archive.put(f"a/{at}", content, LATER)
        assert content == await archive.get(f"a/{at}", version)


async def test_the_same_again_is_the_same_version(archive: Archive) -> None:
    """Putting again what is there changes nothing, also after an answer that was lost."""
    first = await archive.put(PATH, b"entries", LATER)
    assert first == await archive.put(PATH, b"entries", LATER)


async def test_another_content_is_a_conflict(archive: Archive) -> None:
    """What is there is not written over."""
    version = await archive.put(PATH, b"entries", LATER)
    with pytest.raises(Conflict) as caught:
        await archive.put(PATH, b"others", LATER)
    assert ("archive-conflict", b"entries") == (
        caught.value.code,
        await archive.get(PATH, version),
    )


@pytest.mark.parametrize("path", [PATH, "a/never"])
async def test_what_was_never_put_is_missing(archive: Archive, path: str) -> None:
    """An object, or a version, that is not there is named as missing and is no content."""
    await archive.put(PATH, b"entries", LATER)
    other = await archive.put("a/other", b"others", LATER)
    with pytest.raises(Missing) as caught:
        await archive.get(path if path != PATH else "a/gone", other)
    assert "archive-object-missing" == caught.value.code


async def test_retention_is_raised_and_never_lowered(archive: Archive) -> None:
    """Later is taken, the same changes nothing, earlier is refused."""
    version = await archive.put(PATH, b"entries", LATER)
    for days in (3, 3, 0):
        await archive.extend(PATH, version, LATER + timedelta(days=days or 3))
    with pytest.raises(Refused) as caught:
        await archive.extend(PATH, version, LATER + timedelta(days=1))
    assert "retention-shortened" == caught.value.code


async def test_putting_again_for_longer_raises_retention(archive: Archive) -> None:
    """The same content with a later date is kept until then; with an earlier, as long as before."""
    version = await archive.put(PATH, b"entries", LATER)
    await archive.put(PATH, b"entries", LATER + timedelta(days=5))
    await archive.put(PATH, b"entries", LATER + timedelta(days=1))
    with pytest.raises(Refused):
        await archive.extend(PATH, version, LATER + timedelta(days=4))
    await archive.extend(PATH, version, LATER + timedelta(days=5))


async def test_a_hold_is_placed_and_lifted(archive: Archive) -> None:
    """Twice each is as once, and the content stays what it is."""
    version = await archive.put(PATH, b"entries", LATER)
    for is_held in (True, True, False, False):
        await archive.hold(PATH, version, is_held=is_held)
    assert b"entries" == await archive.get(PATH, version)


async def test_what_lies_below_a_path_is_listed_with_its_versions(archive: Archive) -> None:
    """All of it and nothing beside it, each as old as its putting; nothing where nothing is."""
    for path in ("a/b", "a/c/d", "ab/c", "b"):
        await archive.put(path, path.encode(), LATER)
    listed = [lying async for lying in archive.lying("a")]
    contents = {lying.path: await archive.get(lying.path, lying.version) for lying in listed}
    assert {"a/b": b"a/b", "a/c/d": b"a/c/d"} == contents
    assert all(abs(datetime.now(UTC) - lying.at) < timedelta(minutes=5) for lying in listed)
    assert [] == [lying async for lying in archive.lying("c")]


async def test_an_archive_says_the_time_by_its_own_clock_or_not_at_all(archive: Archive) -> None:
    """A locked archive has a clock, which here is this machine's; a folder has none."""
    said = await archive.now()
    assert archive.is_locked is (said is not None)
    assert said is None or abs(datetime.now(UTC) - said) < timedelta(minutes=5)
