"""The key ring: what it keeps where, for how long, how often it uses a key, what it never shows."""

from __future__ import annotations

import asyncio
import base64
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NoReturn

import pytest

from embedded import DATABASE_KEY, ORIGIN, opened
from examples import a_context, a_granting_entry, an_entry
from fake_keys import RECEIPT_KEY, MemoryKeyManager, MemoryKeys
from fakes import FakeClock, FakeRandom
from seawall.adapters.keys.file import FileKeys
from seawall.adapters.keys.guarded import GuardedKeyManager, GuardedKeyOperator
from seawall.adapters.keys.ring import USES_AT_ONCE, EnvelopeKeyRing
from seawall.adapters.keys.ring_file import RingFile
from seawall.app.ports import (
    DropTenantKeys,
    KeepSealed,
    ReserveUses,
    ShredSubjects,
    ShredTenant,
)
from seawall.core.errors import Missing, Refused, Tampered, Unavailable
from seawall.core.ledger.encoding import encode
from seawall.core.policy.grant import Grant, Receipt, receipt_mac

if TYPE_CHECKING:
    from pathlib import Path

    from seawall.app.ports import KeyManager, KeyOperator, WrappedKeys

TEXT = b"Ms Toy is due on Monday"
PASSPHRASE = b"correct horse battery staple"


@dataclass(frozen=True)
class Held:
    """A key ring over keys in memory, and what a test moves or changes about it."""

    keys: EnvelopeKeyRing
    kept: MemoryKeys
    clock: FakeClock
    manager: MemoryKeyManager


async def key_ring(
    kept: WrappedKeys,
    clock: FakeClock,
    manager: KeyManager,
    operator: KeyOperator | None,
    random: FakeRandom | None = None,
) -> EnvelopeKeyRing:
    """Return a key ring with the tenant `clinic`, whose data keys seal at most 4,096 times."""
    keys = EnvelopeKeyRing(
        manager=manager,
        operator=operator,
        keys=kept,
        receipt_key=RECEIPT_KEY,
        clock=clock,
        random=random or FakeRandom("key ring"),
        most_uses=4 * USES_AT_ONCE,
    )
    await keys.prepare("clinic")
    return keys


@pytest.fixture
async def held() -> Held:
    """Return a key ring of one tenant."""
    clock, kept, manager = FakeClock(), MemoryKeys(), MemoryKeyManager()
    return Held(await key_ring(kept, clock, manager, manager), kept, clock, manager)


def grant(*subjects: str) -> Grant:
    """Return a grant for these subjects' requests that does not end within a test."""
    raw = encode(a_granting_entry(subjects=subjects, until_ms=2**52))
    return Grant(Receipt(ORIGIN, 0, raw, receipt_mac(RECEIPT_KEY, ORIGIN, 0, raw)))


async def test_each_subject_and_kind_has_a_data_key_of_its_own(held: Held) -> None:
    """Items of one subject and kind share a key; another subject, kind or tenant has its own."""
    await held.keys.prepare("school")
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


async def test_the_current_key_is_looked_up_again_after_half_a_minute(held: Held) -> None:
    """Within half a minute sealing asks the store no more; afterwards it does."""
    await held.keys.seal(TEXT, a_context())
    reads = held.kept.reads
    held.clock.advance(29)
    await held.keys.seal(TEXT, a_context())
    assert reads == held.kept.reads
    held.clock.advance(1)
    await held.keys.seal(TEXT, a_context())
    assert reads < held.kept.reads


async def test_an_unwrapped_key_is_forgotten_after_five_minutes(held: Held) -> None:
    """An unwrapped key serves for five minutes; afterwards the wrapped one is opened again."""
    sealed = await held.keys.seal(TEXT, a_context())
    held.kept.held[sealed.key_id] = replace(held.kept.held[sealed.key_id], wrapped=bytes(60))
    held.clock.advance(299)
    assert await held.keys.open(sealed, grant("p-1")) == TEXT
    held.clock.advance(1)
    with pytest.raises(Tampered):
        await held.keys.open(sealed, grant("p-1"))


async def test_another_process_opens_what_was_sealed(held: Held) -> None:
    """A new process with the same key manager and stored keys opens what the first one sealed."""
    sealed = await held.keys.seal(TEXT, a_context())
    again = await key_ring(held.kept, held.clock, held.manager, None)
    assert await again.open(sealed, grant("p-1")) == TEXT
    assert await held.keys.blind("clinic", ["toy"]) == await again.blind("clinic", ["toy"])


def shapes(secret: bytes) -> tuple[bytes, ...]:
    """Return the ways in which a secret might be written down."""
    plain = base64.b64encode(secret).rstrip(b"=")
    return secret, secret.hex().encode(), plain, base64.urlsafe_b64encode(secret).rstrip(b"=")


async def test_no_file_holds_key_material_or_plaintext(tmp_path: Path) -> None:
    """No file of the folder holds a key, the passphrase or what was sealed, in any spelling."""
    ring = RingFile.create(tmp_path / "ring.json", PASSPHRASE, FakeRandom())
    async with opened(tmp_path) as database:
        await database.ledger.open_log("clinic", ORIGIN)
        files = FileKeys(ring, FakeClock(), FakeRandom("file"))
        manager = GuardedKeyManager(files, FakeClock())
        operator = GuardedKeyOperator(files, FakeClock())
        keys = await key_ring(database.keys, FakeClock(), manager, operator)
        sealed = await keys.seal(TEXT, a_context())
        await database.ledger.append("clinic", an_entry(), [KeepSealed(sealed)])
        row = (await database.keys.by_id("clinic", sealed.key_id)) or fail()
        data_key = await keys._unwrap(row)
        tenant_key = await keys._tenants.of_version("clinic", 1)
        secrets = [PASSPHRASE, TEXT, DATABASE_KEY, ring._root, data_key, tenant_key]
        secrets += [ring.key(name) for name in ring.names()]
        assert len(secrets) == 7
        names = os.listdir(tmp_path)  # noqa: PTH208  a test may wait for its own folder
        written = b"".join([(tmp_path / name).read_bytes() for name in names])
    for secret in secrets:
        assert [shape for shape in shapes(secret) if shape in written] == []


def fail() -> NoReturn:
    """Say that a key that must be there is not."""
    raise RuntimeError("the data key is not in the store")


async def test_no_repr_shows_key_material(held: Held, tmp_path: Path) -> None:
    """Neither the ring, nor its file, nor a wrapped key shows a byte of a key."""
    ring_file = RingFile.create(tmp_path / "ring.json", PASSPHRASE, FakeRandom(), ["database"])
    sealed = await held.keys.seal(TEXT, a_context())
    wrapped = held.kept.held[sealed.key_id]
    secrets = [ring_file._root, await held.keys._unwrap(wrapped), wrapped.wrapped]
    secrets += [ring_file.key(name) for name in ring_file.names()]
    shown = "".join(map(repr, (held.keys, ring_file, wrapped, held.keys._unwrapped, sealed)))
    for secret in secrets:
        assert repr(secret)[2:-1] not in shown
        assert [shape for shape in shapes(secret)[1:] if shape.decode() in shown] == []


# --- how often a data key seals -------------------------------------------------


async def test_sealings_are_counted_before_they_are_made(held: Held) -> None:
    """A data key is known to have sealed as often as may be, also by what never came back."""
    sealed = await held.keys.seal(TEXT, a_context())
    assert USES_AT_ONCE == held.kept.held[sealed.key_id].uses
    for at in range(USES_AT_ONCE):
        await held.keys.seal(TEXT, a_context(f"x-{at}"))
    assert 2 * USES_AT_ONCE == held.kept.held[sealed.key_id].uses


async def test_a_data_key_that_sealed_often_enough_is_followed_by_the_next(held: Held) -> None:
    """Before its limit is passed a new version takes over; what the old one sealed still opens."""
    first = await held.keys.seal(TEXT, a_context())
    for _ in range(3):
        held.kept.remember(ReserveUses("clinic", first.key_id, USES_AT_ONCE))
    held.clock.advance(601)
    later = await held.keys.seal(TEXT, a_context("x-2"))
    assert (1, 2) == (first.key_version, later.key_version)
    for sealed in (first, later):
        assert await held.keys.open(sealed, grant("p-1")) == TEXT


async def test_each_process_counts_for_itself(held: Held) -> None:
    """Many processes that start and seal once use the key up, block by block."""
    versions = []
    for at in range(6):
        again = await key_ring(
            held.kept, held.clock, held.manager, None, FakeRandom(f"process {at}")
        )
        versions.append((await again.seal(TEXT, a_context())).key_version)
    assert [1, 1, 1, 1, 2, 2] == versions


async def test_many_at_once_never_pass_what_was_reserved(held: Held) -> None:
    """However many seal at the same time, no more sealings happen than were counted."""
    count = 2 * USES_AT_ONCE + 100
    await asyncio.gather(*(held.keys.seal(TEXT, a_context(f"x-{n}")) for n in range(count)))
    assert 3 * USES_AT_ONCE == sum(key.uses for key in held.kept.held.values())


# --- the key manager and the tenant's keys ----------------------------------------


async def test_the_key_manager_is_asked_once_per_tenant(held: Held) -> None:
    """A hundred patients cost one question; five minutes later there is another one."""
    again = await key_ring(held.kept, held.clock, held.manager, None, FakeRandom("again"))
    held.manager.calls.clear()
    contexts = [a_context(subject=f"p-{at}") for at in range(100)]
    await asyncio.gather(*(again.seal(TEXT, context) for context in contexts))
    assert {"unwrap": 1} == dict(held.manager.calls)
    held.clock.advance(601)
    await again.seal(TEXT, contexts[0])
    assert {"unwrap": 2} == dict(held.manager.calls)


async def test_a_key_manager_that_is_down_is_no_reason_for_plain_text(held: Held) -> None:
    """While what is held lasts, sealing goes on; afterwards it is refused, and so is opening."""
    sealed = await held.keys.seal(TEXT, a_context())
    held.manager.down = Unavailable("key-manager-unavailable", "no answer", "try again")
    await held.keys.seal(TEXT, a_context("x-2"))
    held.clock.advance(601)
    with pytest.raises(Unavailable):
        await held.keys.seal(TEXT, a_context("x-3"))
    with pytest.raises(Unavailable):
        await held.keys.open(sealed, grant("p-1"))


async def test_a_new_tenant_needs_an_operator(held: Held) -> None:
    """A service that may not make root keys says so, and makes no half tenant."""
    service = await key_ring(held.kept, held.clock, held.manager, None)
    with pytest.raises(Refused) as caught:
        await service.prepare("school")
    assert ("key-operator-needed", []) == (
        caught.value.code,
        await held.kept.tenant_keys("school"),
    )


async def test_rotation_wraps_anew_and_loses_nothing(held: Held) -> None:
    """Under a new root and a new tenant key all data keys are wrapped; everything opens."""
    sealed = [await held.keys.seal(TEXT, a_context(subject=f"p-{at}")) for at in range(5)]
    terms = await held.keys.blind("clinic", ["toy"])
    assert 2 == await held.manager.rotate("tenant/clinic")
    assert 2 == (await held.keys.new_tenant_key("clinic")).version
    older = await held.kept.wrapped_below("clinic", 2, limit=100)
    assert 5 == await held.keys.rewrap("clinic", older)
    assert 1 == await held.keys.rewrap_tenant_keys("clinic")
    held.kept.drop(DropTenantKeys("clinic", 2))
    await held.manager.destroy("tenant/clinic", 2)
    held.keys.forget("clinic")
    assert {2: 5} == await held.kept.counts("clinic")
    assert terms == await held.keys.blind("clinic", ["toy"])
    for at, each in enumerate(sealed):
        assert await held.keys.open(each, grant(f"p-{at}")) == TEXT


async def test_a_process_that_slept_follows_a_rotation(held: Held) -> None:
    """What another process holds of a dropped tenant key is replaced on its own."""
    sleeper = await key_ring(held.kept, held.clock, held.manager, None, FakeRandom("sleeper"))
    sealed = await sleeper.seal(TEXT, a_context())
    await held.keys.new_tenant_key("clinic")
    await held.keys.rewrap("clinic", await held.kept.wrapped_below("clinic", 2, limit=100))
    held.kept.drop(DropTenantKeys("clinic", 2))
    later = await sleeper.seal(TEXT, a_context(subject="p-2"))
    held.clock.advance(601)
    assert await sleeper.open(sealed, grant("p-1")) == TEXT
    assert await held.keys.open(later, grant("p-2")) == TEXT


async def test_ten_minutes_after_the_root_is_gone_nothing_is_held(held: Held) -> None:
    """However busy a process is, what it holds of a destroyed root ends after ten minutes."""
    sealed = await held.keys.seal(TEXT, a_context())
    await held.manager.destroy("tenant/clinic")
    for _ in range(20):
        held.clock.advance(30)
        with suppress(Missing):
            await held.keys.seal(TEXT, a_context())
            await held.keys.open(sealed, grant("p-1"))
    with pytest.raises(Missing):
        await held.keys.open(sealed, grant("p-1"))
    with pytest.raises(Missing):
        await held.keys.seal(TEXT, a_context())


async def test_another_process_seals_no_more_under_a_key_that_was_shredded(held: Held) -> None:
    """Half a minute after a data key was deleted, whoever held it makes a new one."""
    sleeper = await key_ring(held.kept, held.clock, held.manager, None, FakeRandom("sleeper"))
    before = await sleeper.seal(TEXT, a_context())
    held.kept.shred(ShredSubjects("clinic", ("p-1",)))
    held.clock.advance(30)
    after = await sleeper.seal(TEXT, a_context())
    assert before.key_id != after.key_id
    assert await held.keys.open(after, grant("p-1")) == TEXT


async def test_a_damaged_data_key_keeps_no_other_from_moving(held: Held) -> None:
    """A row that does not open is left where it is, and the others are wrapped anew."""
    sealed = [await held.keys.seal(TEXT, a_context(subject=f"p-{at}")) for at in range(3)]
    broken = sealed[1].key_id
    held.kept.held[broken] = replace(held.kept.held[broken], wrapped=bytes(60))
    await held.keys.new_tenant_key("clinic")
    older = await held.kept.wrapped_below("clinic", 2, limit=10)
    assert 2 == await held.keys.rewrap("clinic", older)
    assert [broken] == [key.key_id for key in await held.kept.wrapped_below("clinic", 2, limit=9)]


async def test_what_was_shredded_opens_from_no_copy(held: Held) -> None:
    """With every row as it was before, and the root destroyed, nothing opens."""
    sealed = await held.keys.seal(TEXT, a_context())
    before = MemoryKeys()
    before.held, before.tenants = dict(held.kept.held), dict(held.kept.tenants)
    await held.manager.destroy("tenant/clinic")
    thief = await key_ring(before, held.clock, held.manager, held.manager)
    with pytest.raises(Missing):
        await thief.open(sealed, grant("p-1"))


async def test_a_shredded_tenant_gets_no_keys_again(held: Held) -> None:
    """Preparing, sealing and blinding for it are refused by name."""
    held.kept.shred(ShredTenant("clinic"))
    held.keys.forget("clinic")
    for act in (
        held.keys.prepare("clinic"),
        held.keys.seal(TEXT, a_context()),
        held.keys.blind("clinic", ["toy"]),
    ):
        with pytest.raises(Refused) as caught:
            await act
        assert "tenant-shredded" == caught.value.code


async def test_a_key_part_opens_by_its_own_tenant_key_alone(held: Held) -> None:
    """A copy of keys opens while its tenant key's root lasts; a changed one is Tampered."""
    key, part = await held.keys.seal_key_part("clinic", b"wrapped keys")
    assert b"wrapped keys" == await held.keys.open_key_part(key, part)
    with pytest.raises(Tampered):
        await held.keys.open_key_part(key, part[:-1] + bytes([part[-1] ^ 1]))
    await held.manager.destroy("tenant/clinic")
    with pytest.raises(Missing):
        await held.keys.open_key_part(key, part)
