"""The embedded key ring: what it keeps where, for how long, and what it never shows."""

from __future__ import annotations

import asyncio
import base64
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NoReturn

import pytest

from embedded import DATABASE_KEY, ORIGIN, opened
from examples import a_context, a_granting_entry, an_entry
from fakes import RECEIPT_KEY, FakeClock, FakeRandom, MemoryKeys
from seawall.adapters.keys.file import FileKeyRing
from seawall.adapters.keys.ring_file import RingFile
from seawall.app.ports import KeepSealed
from seawall.core.errors import Conflict, Missing, Tampered, Unavailable
from seawall.core.ledger.encoding import encode
from seawall.core.policy.grant import Grant, Receipt, receipt_mac

if TYPE_CHECKING:
    from pathlib import Path

    from seawall.app.ports import WrappedKeys

TEXT = b"Ms Toy is due on Monday"
PASSPHRASE = b"correct horse battery staple"


@dataclass(frozen=True)
class Held:
    """A key ring over keys in memory, and what a test moves or changes about it."""

    keys: FileKeyRing
    kept: MemoryKeys
    clock: FakeClock


def key_ring(ring: RingFile, kept: WrappedKeys, clock: FakeClock) -> FileKeyRing:
    """Return a key ring with the tenant `clinic`."""
    random = FakeRandom("key ring")
    keys = FileKeyRing(ring=ring, keys=kept, receipt_key=RECEIPT_KEY, clock=clock, random=random)
    keys.prepare("clinic")
    return keys


@pytest.fixture
def ring_file(tmp_path: Path) -> RingFile:
    """Make a ring file."""
    return RingFile.create(tmp_path / "ring.json", PASSPHRASE, FakeRandom())


@pytest.fixture
def held(ring_file: RingFile) -> Held:
    """Return a key ring of one tenant."""
    clock, kept = FakeClock(), MemoryKeys()
    return Held(key_ring(ring_file, kept, clock), kept, clock)


def grant(*subjects: str) -> Grant:
    """Return a grant for these subjects' requests that does not end within a test."""
    raw = encode(a_granting_entry(subjects=subjects, until_ms=2**52))
    return Grant(Receipt(ORIGIN, 0, raw, receipt_mac(RECEIPT_KEY, ORIGIN, 0, raw)))


async def test_each_subject_and_kind_has_a_data_key_of_its_own(held: Held) -> None:
    """Items of one subject and kind share a key; another subject, kind or tenant has its own."""
    held.keys.prepare("school")
    contexts = [
        a_context("x-1"),
        a_context("x-2"),
        a_context(subject="p-2"),
        a_context(kind="exchange.answer"),
        a_context(tenant="school"),
    ]
    ids = [(await held.keys.seal(TEXT, context)).key_id for context in contexts]
    assert ids[0] == ids[1]
    assert len(set(ids)) == len(held.kept.held) == 4


async def test_first_uses_at_once_make_one_key(held: Held) -> None:
    """Many first seals of one subject at once lead to one data key."""
    sealed = await asyncio.gather(*(held.keys.seal(TEXT, a_context(f"x-{n}")) for n in range(20)))
    assert len({item.key_id for item in sealed}) == len(held.kept.held) == 1


async def test_swapped_wrapped_keys_are_tampered(held: Held) -> None:
    """A wrapped key in another's row does not open under that row's name."""
    first = await held.keys.seal(TEXT, a_context())
    second = await held.keys.seal(TEXT, a_context(subject="p-2"))
    one, two = held.kept.held[first.key_id], held.kept.held[second.key_id]
    held.kept.held[first.key_id] = replace(one, wrapped=two.wrapped)
    held.kept.held[second.key_id] = replace(two, wrapped=one.wrapped)
    held.clock.advance(601)
    for sealed, subject in ((first, "p-1"), (second, "p-2")):
        with pytest.raises(Tampered) as caught:
            await held.keys.open(sealed, grant(subject))
        assert caught.value.code == "data-key-tampered"


@pytest.mark.parametrize("wrapped", [b"", b"short", bytes(60)])
async def test_a_wrapped_key_that_is_none_is_tampered(held: Held, wrapped: bytes) -> None:
    """Bytes that no key ring wrote are an error of ours, not of the library."""
    sealed = await held.keys.seal(TEXT, a_context())
    held.kept.held[sealed.key_id] = replace(held.kept.held[sealed.key_id], wrapped=wrapped)
    held.clock.advance(601)
    with pytest.raises(Tampered):
        await held.keys.open(sealed, grant("p-1"))


async def test_a_data_key_that_is_gone_is_missing(held: Held) -> None:
    """Without its data key a sealed value cannot be opened, once the key is in no cache."""
    sealed = await held.keys.seal(TEXT, a_context())
    held.kept.held.clear()
    held.clock.advance(600)
    with pytest.raises(Missing) as caught:
        await held.keys.open(sealed, grant("p-1"))
    assert caught.value.code == "data-key-missing"


async def test_the_current_key_is_looked_up_again_after_ten_minutes(held: Held) -> None:
    """Within ten minutes sealing asks the store no more; afterwards it does."""
    await held.keys.seal(TEXT, a_context())
    reads = held.kept.reads
    held.clock.advance(599)
    await held.keys.seal(TEXT, a_context())
    assert reads == held.kept.reads
    held.clock.advance(1)
    await held.keys.seal(TEXT, a_context())
    assert reads + 1 == held.kept.reads


async def test_an_unwrapped_key_is_forgotten_after_ten_minutes(held: Held) -> None:
    """An unwrapped key serves for ten minutes; afterwards the wrapped one is opened again."""
    sealed = await held.keys.seal(TEXT, a_context())
    held.kept.held[sealed.key_id] = replace(held.kept.held[sealed.key_id], wrapped=bytes(60))
    held.clock.advance(599)
    assert await held.keys.open(sealed, grant("p-1")) == TEXT
    held.clock.advance(1)
    with pytest.raises(Tampered):
        await held.keys.open(sealed, grant("p-1"))


async def test_another_unlocking_of_the_ring_opens_what_was_sealed(
    held: Held, tmp_path: Path
) -> None:
    """A new process with the passphrase and the stored keys opens what the first one sealed."""
    sealed = await held.keys.seal(TEXT, a_context())
    ring = RingFile.unlock(tmp_path / "ring.json", PASSPHRASE, FakeRandom())
    again = key_ring(ring, held.kept, held.clock)
    assert await again.open(sealed, grant("p-1")) == TEXT
    assert held.keys.blind("clinic", "toy") == again.blind("clinic", "toy")


def shapes(secret: bytes) -> tuple[bytes, ...]:
    """Return the ways in which a secret might be written down."""
    plain = base64.b64encode(secret).rstrip(b"=")
    return secret, secret.hex().encode(), plain, base64.urlsafe_b64encode(secret).rstrip(b"=")


async def test_no_file_holds_key_material_or_plaintext(tmp_path: Path) -> None:
    """No file of the folder holds a key, the passphrase or what was sealed, in any spelling."""
    ring = RingFile.create(tmp_path / "ring.json", PASSPHRASE, FakeRandom())
    async with opened(tmp_path) as database:
        await database.ledger.open_log("clinic", ORIGIN)
        keys = key_ring(ring, database.keys, FakeClock())
        sealed = await keys.seal(TEXT, a_context())
        await database.ledger.append("clinic", an_entry(), [KeepSealed(sealed)])
        data_key = keys._unwrap((await database.keys.by_id("clinic", sealed.key_id)) or fail())
        secrets = [PASSPHRASE, TEXT, DATABASE_KEY, ring._root, data_key]
        secrets += [ring.key(name) for name in ring.names()]
        assert len(secrets) == 7
        names = os.listdir(tmp_path)  # noqa: PTH208  a test may wait for its own folder
        written = b"".join([(tmp_path / name).read_bytes() for name in names])
    for secret in secrets:
        assert [shape for shape in shapes(secret) if shape in written] == []


def fail() -> NoReturn:
    """Say that a key that must be there is not."""
    raise RuntimeError("the data key is not in the store")


async def test_no_repr_shows_key_material(held: Held, ring_file: RingFile) -> None:
    """Neither the ring, nor its file, nor a wrapped key shows a byte of a key."""
    sealed = await held.keys.seal(TEXT, a_context())
    wrapped = held.kept.held[sealed.key_id]
    secrets = [ring_file._root, held.keys._unwrap(wrapped), wrapped.wrapped]
    secrets += [ring_file.key(name) for name in ring_file.names()]
    shown = "".join(map(repr, (held.keys, ring_file, wrapped, held.keys._unwrapped, sealed)))
    for secret in secrets:
        assert repr(secret)[2:-1] not in shown
        assert [shape for shape in shapes(secret)[1:] if shape.decode() in shown] == []


def test_a_ring_is_never_made_over_another(ring_file: RingFile, tmp_path: Path) -> None:
    """Making a ring where one is conflicts, and the old one stays."""
    before = ring_file.ensure("database")
    with pytest.raises(Conflict):
        RingFile.create(tmp_path / "ring.json", PASSPHRASE, FakeRandom())
    unlocked = RingFile.unlock(tmp_path / "ring.json", PASSPHRASE, FakeRandom())
    assert before == unlocked.key("database")


def test_a_missing_ring_is_missing(tmp_path: Path) -> None:
    """Without a ring file there is nothing to unlock."""
    with pytest.raises(Missing) as caught:
        RingFile.unlock(tmp_path / "ring.json", PASSPHRASE, FakeRandom())
    assert caught.value.code == "ring-missing"


def test_the_ring_file_is_for_its_owner_alone(ring_file: RingFile, tmp_path: Path) -> None:
    """The file has mode 0600, and no half-written one stays beside it."""
    ring_file.ensure("database")
    assert ["ring.json"] == [path.name for path in tmp_path.iterdir()]
    assert (tmp_path / "ring.json").stat().st_mode & 0o777 == 0o600


def test_a_ring_that_cannot_be_written_or_read_is_unavailable(tmp_path: Path) -> None:
    """A file where the folder should be is an error with a code, not the system's own."""
    (tmp_path / "keys").write_bytes(b"")
    for act in (RingFile.create, RingFile.unlock):
        with pytest.raises(Unavailable):
            act(tmp_path / "keys" / "ring.json", PASSPHRASE, FakeRandom())
