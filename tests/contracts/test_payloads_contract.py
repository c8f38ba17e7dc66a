"""What every Payloads keeps to: whole, found by the digest of the ciphertext, gone when deleted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from buckets import PLAIN, bucket_server, new_prefix
from fake_payloads import OWNER, MemoryPayloads, a_payload
from fakes import FakeClock, FakeRandom
from seawall.adapters.payloads.folder import FolderPayloads
from seawall.adapters.payloads.objects import PAYLOAD_BYTES
from seawall.adapters.payloads.s3 import S3Payloads
from seawall.core.errors import Error, Invalid, Missing, Refused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from seawall.app.ports import Payloads


def memory_payloads(_folder: Path) -> Callable[[], Payloads]:
    """Return what opens the fake."""
    held = MemoryPayloads(FakeClock(datetime.now(UTC)))
    return lambda: held


def folder_payloads(folder: Path) -> Callable[[], Payloads]:
    """Return what opens a folder."""
    return lambda: FolderPayloads(folder / "payloads", random=FakeRandom(new_prefix()))


def s3_payloads(_folder: Path) -> Callable[[], Payloads]:
    """Return what opens a bucket of a real server."""
    server, prefix = bucket_server(), new_prefix()
    return lambda: S3Payloads(
        server.client(), bucket=PLAIN, prefix=prefix, random=FakeRandom(new_prefix())
    )


@pytest.fixture(params=[memory_payloads, folder_payloads, s3_payloads])
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Payloads]:
    """Return what opens each Payloads, the same place each time."""
    made: Callable[[], Payloads] = request.param(tmp_path)
    return made


@pytest.fixture
async def payloads(opening: Callable[[], Payloads]) -> AsyncIterator[Payloads]:
    """Yield each Payloads, claimed and empty."""
    made = opening()
    await made.self_test(OWNER)
    yield made
    await made.close()


async def test_what_was_put_is_found_by_its_digest(payloads: Payloads) -> None:
    """A value comes back as it was, small or large."""
    for item, plaintext in enumerate([b"", b"\x00\xff", b"x" * 300_000]):
        sealed = a_payload(str(item), plaintext)
        await payloads.put(sealed)
        assert sealed == await payloads.get(sealed.digest())


async def test_the_same_again_changes_nothing(payloads: Payloads) -> None:
    """Putting again what is there is no error, as after an answer that was lost."""
    for _ in range(2):
        await payloads.put(a_payload())
    assert [a_payload().digest()] == [held.digest async for held in payloads.held()]


async def test_what_was_never_put_is_missing(payloads: Payloads) -> None:
    """A digest that nothing has is named as missing."""
    with pytest.raises(Missing) as caught:
        await payloads.get(a_payload().digest())
    assert "payload-missing" == caught.value.code


async def test_what_is_deleted_is_gone(payloads: Payloads) -> None:
    """The others stay, and deleting again is no error."""
    first, second = a_payload("x1"), a_payload("x2")
    for sealed in (first, second):
        await payloads.put(sealed)
    for _ in range(2):
        await payloads.delete([first.digest()])
    assert [second.digest()] == [held.digest async for held in payloads.held()]
    with pytest.raises(Missing):
        await payloads.get(first.digest())


async def test_what_was_deleted_may_be_put_again(payloads: Payloads) -> None:
    """As a restore does."""
    sealed = a_payload()
    await payloads.put(sealed)
    await payloads.delete([sealed.digest()])
    await payloads.put(sealed)
    assert sealed == await payloads.get(sealed.digest())


async def test_deleting_nothing_is_no_error(payloads: Payloads) -> None:
    """An empty list asks for nothing."""
    await payloads.put(a_payload())
    await payloads.delete([])
    assert 1 == len([held async for held in payloads.held()])


async def test_what_lies_there_is_listed_with_its_size_and_age(payloads: Payloads) -> None:
    """The store's own notes and canaries are not among it."""
    sealed = a_payload()
    await payloads.put(sealed)
    held = [found async for found in payloads.held()]
    assert [(sealed.digest(), len(bytes(sealed)))] == [(one.digest, one.size) for one in held]
    assert abs(held[0].at - datetime.now(UTC)) < timedelta(minutes=5)


async def test_a_store_that_keeps_its_promises_passes_its_own_test(
    opening: Callable[[], Payloads], payloads: Payloads
) -> None:
    """The test leaves nothing, and may be made again by the same installation."""
    await payloads.put(a_payload())
    again = opening()
    await again.self_test(OWNER)
    assert [a_payload().digest()] == [held.digest async for held in again.held()]
    await again.close()


async def test_another_installations_store_is_refused(
    opening: Callable[[], Payloads], payloads: Payloads
) -> None:
    """Two that shared one would sweep away each other's payloads."""
    await payloads.put(a_payload())
    another = opening()
    with pytest.raises(Refused) as caught:
        await another.self_test("sha256:" + "2" * 64)
    assert "payloads-untrusted" == caught.value.code
    await another.close()


async def test_a_value_beyond_all_bounds_is_refused(payloads: Payloads) -> None:
    """Nothing is kept of it."""
    with pytest.raises(Invalid) as caught:
        await payloads.put(a_payload(plaintext=bytes(PAYLOAD_BYTES)))
    assert "payload-too-large" == caught.value.code
    assert [] == [held async for held in payloads.held()]


@pytest.mark.parametrize("digest", ["", "../owner", "sha256:../owner", "sha256:" + "A" * 64])
async def test_what_is_no_digest_reaches_no_path(payloads: Payloads, digest: str) -> None:
    """A word that is no digest is a mistake of the program, not a file's name."""
    with pytest.raises((RuntimeError, Error)):
        await payloads.get(digest)
