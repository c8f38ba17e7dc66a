"""What every ledger keeps to when keys are wrapped anew and shredded, whatever else happens."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from embedded import ORIGIN
from examples import a_context, an_entry
from seawall.app.ports import (
    DropDataKeys,
    DropTenantKeys,
    KeepPatient,
    KeepSealed,
    Rewrapped,
    ShredSubjects,
    ShredTenant,
    TenantKey,
    WrappedKey,
)
from seawall.core.errors import Conflict, Refused
from seawall.core.seal.envelope import seal

if TYPE_CHECKING:
    from contracts.conftest import Books
    from seawall.app.ports import TenantKeyUse, Write
    from seawall.core.seal.envelope import Sealed

KIND = "exchange.request"


def tenant_key(version: int = 1, tenant: str = "clinic", use: TenantKeyUse = "data") -> TenantKey:
    """Return a wrapped tenant key."""
    return TenantKey(tenant, use, version, version, f"{tenant} {use} {version}".encode(), 5)


def data_key(subject: str, over: int = 1, tenant: str = "clinic", version: int = 1) -> WrappedKey:
    """Return a wrapped data key of a subject's requests."""
    key_id = f"{tenant}-{subject}-{version}"
    return WrappedKey(tenant, subject, KIND, key_id, version, over, b"under %d" % over, 1_024, 7)


def sealed(subject: str, tenant: str = "clinic") -> Sealed:
    """Return something sealed of a subject."""
    context = a_context(f"item of {subject}", subject=subject, tenant=tenant)
    return seal(b"x", key=bytes(32), key_id="k", key_version=1, nonce=bytes(12), context=context)


async def filled(books: Books) -> None:
    """Give two tenants keys, and two patients each a data key, a sealed value and a term."""
    await books.ledger.open_log("school", f"{ORIGIN}/school")
    uses: tuple[TenantKeyUse, ...] = ("data", "index")
    for tenant in ("clinic", "school"):
        for use in uses:
            await books.keys.keep_tenant_key(tenant_key(tenant=tenant, use=use))
        for subject in ("p-1", "p-2"):
            await books.keys.keep(data_key(subject, tenant=tenant))
            writes: list[Write] = [
                KeepSealed(sealed(subject, tenant)),
                KeepPatient(tenant, subject, (f"term of {subject}",)),
            ]
            await books.ledger.append(tenant, an_entry(), writes)


async def what_is_left(books: Books, tenant: str) -> list[str]:
    """Return which subjects of a tenant have a data key, a sealed value and a term."""
    left = []
    for subject in ("p-1", "p-2"):
        key = await books.keys.current(tenant, subject, KIND)
        kept = await books.store.sealed(tenant, KIND, f"item of {subject}")
        term = await books.store.patients(tenant, [f"term of {subject}"])
        assert (key is None) == (kept is None) == (not term)
        left += [subject] if key else []
    return left


async def test_a_shredded_patient_leaves_no_key_no_value_and_no_term(books: Books) -> None:
    """One patient of one tenant goes; the other patient and the other tenant stay whole."""
    await filled(books)
    await books.ledger.append("clinic", an_entry(), [ShredSubjects("clinic", ("p-1", "unknown"))])
    assert ["p-2"] == await what_is_left(books, "clinic")
    assert ["p-1", "p-2"] == await what_is_left(books, "school")


async def test_a_shredded_tenant_leaves_a_mark_and_nothing_else(books: Books) -> None:
    """All of its keys and values go, it gets no key again, and the other tenant stays whole."""
    await filled(books)
    await books.keys.keep_tenant_key(tenant_key(2))
    await books.ledger.append("clinic", an_entry(), [ShredTenant("clinic")])
    assert [] == await what_is_left(books, "clinic")
    assert [("data", 2, b""), ("index", 1, b"")] == [
        (key.use, key.version, key.wrapped) for key in await books.keys.tenant_keys("clinic")
    ]
    for act in (
        books.keys.keep_tenant_key(tenant_key(3)),
        books.keys.keep_tenant_key(tenant_key(2)),
    ):
        with pytest.raises(Refused) as caught:
            await act
        assert "tenant-shredded" == caught.value.code
    with pytest.raises(Conflict):
        await books.keys.keep(data_key("p-3", 2))
    assert ["p-1", "p-2"] == await what_is_left(books, "school")


async def test_shredding_that_is_not_recorded_does_not_happen(books: Books) -> None:
    """If another write of the entry conflicts, every key is still there."""
    await filled(books)
    impossible = KeepSealed(sealed("p-1"), replaces="sha256:another")
    with pytest.raises(Conflict):
        await books.ledger.append(
            "clinic", an_entry(), [ShredSubjects("clinic", ("p-1",)), impossible]
        )
    assert ["p-1", "p-2"] == await what_is_left(books, "clinic")


async def test_data_keys_are_wrapped_anew_once(books: Books) -> None:
    """A row moves to the new tenant key; one that moved meanwhile, or is gone, is left alone."""
    await filled(books)
    await books.keys.keep_tenant_key(tenant_key(2))
    older = await books.keys.wrapped_below("clinic", 2, limit=10)
    assert ["clinic-p-1-1", "clinic-p-2-1"] == [key.key_id for key in older]
    moves = [Rewrapped("clinic", key.key_id, 1, 2, b"under 2") for key in older]
    gone = Rewrapped("clinic", "unknown", 1, 2, b"under 2")
    await books.keys.replace([*moves, gone])
    await books.keys.replace([replace(move, wrapped=b"too late") for move in moves])
    assert {2: 2} == await books.keys.counts("clinic")
    assert [] == await books.keys.wrapped_below("clinic", 2, limit=10)
    moved = await books.keys.by_id("clinic", "clinic-p-1-1")
    assert replace(older[0], tenant_key_version=2, wrapped=b"under 2") == moved


async def test_data_keys_do_not_move_under_a_key_that_is_not_there(books: Books) -> None:
    """Neither an unknown tenant key nor another tenant's row is touched."""
    await filled(books)
    await books.keys.keep_tenant_key(tenant_key(2))
    await books.keys.replace([Rewrapped("clinic", "clinic-p-1-1", 1, 9, b"under 9")])
    await books.keys.replace([Rewrapped("clinic", "school-p-1-1", 1, 2, b"under 2")])
    assert {1: 2} == await books.keys.counts("clinic") == await books.keys.counts("school")


async def test_tenant_keys_in_use_are_not_dropped(books: Books) -> None:
    """While one data key is wrapped under it, a tenant key stays; afterwards it goes for good."""
    await filled(books)
    await books.keys.keep_tenant_key(tenant_key(2))
    drop = DropTenantKeys("clinic", 2)
    with pytest.raises(Conflict) as caught:
        await books.ledger.append("clinic", an_entry(), [drop])
    assert "keys-in-use" == caught.value.code
    older = await books.keys.wrapped_below("clinic", 2, limit=10)
    await books.keys.replace([Rewrapped("clinic", key.key_id, 1, 2, b"u2") for key in older])
    await books.ledger.append("clinic", an_entry(), [drop])
    assert [("data", 2), ("index", 1)] == [
        (key.use, key.version) for key in await books.keys.tenant_keys("clinic")
    ]
    with pytest.raises(Conflict) as caught:
        await books.keys.keep(data_key("p-9", 1))
    assert "tenant-key-gone" == caught.value.code


async def test_damaged_data_keys_are_dropped_by_their_ids(books: Books) -> None:
    """Of this tenant alone, and none that was moved meanwhile."""
    await filled(books)
    await books.keys.keep_tenant_key(tenant_key(2))
    await books.keys.replace([Rewrapped("clinic", "clinic-p-2-1", 1, 2, b"under 2")])
    named = ("clinic-p-1-1", "clinic-p-2-1", "school-p-1-1", "unknown")
    await books.ledger.append("clinic", an_entry(), [DropDataKeys("clinic", named, 2)])
    assert ({2: 1}, {1: 2}) == (
        await books.keys.counts("clinic"),
        await books.keys.counts("school"),
    )


async def test_damaged_data_keys_are_dropped_with_their_entry_or_not(books: Books) -> None:
    """If another write of the entry conflicts, they are still there."""
    await filled(books)
    impossible = KeepSealed(sealed("p-1"), replaces="sha256:another")
    with pytest.raises(Conflict):
        await books.ledger.append(
            "clinic", an_entry(), [DropDataKeys("clinic", ("clinic-p-1-1",), 2), impossible]
        )
    assert {1: 2} == await books.keys.counts("clinic")


@pytest.mark.parametrize("pause", [0, 0.002])
async def test_no_data_key_is_ever_left_under_a_key_that_was_dropped(
    books: Books, pause: float
) -> None:
    """Many make data keys while the older tenant key is dropped: each is kept or refused."""
    await filled(books)
    await books.keys.keep_tenant_key(tenant_key(2))
    older = await books.keys.wrapped_below("clinic", 2, limit=10)
    await books.keys.replace([Rewrapped("clinic", key.key_id, 1, 2, b"u2") for key in older])

    async def dropped() -> object:
        """Drop the older key."""
        await asyncio.sleep(pause)
        return await books.ledger.append("clinic", an_entry(), [DropTenantKeys("clinic", 2)])

    async def kept(at: int) -> object:
        """Keep a data key under the older key."""
        await asyncio.sleep(at * pause / 4)
        return await books.keys.keep(data_key(f"q-{at}"))

    # What comes while the writer is busy lands in one batch.
    busy = [books.ledger.append("clinic", an_entry()) for _ in range(3)]
    acts = [*(kept(at) for at in range(5)), dropped(), *(kept(at) for at in range(5, 10))]
    made = (await asyncio.gather(*busy, *acts, return_exceptions=True))[len(busy) :]
    versions = {key.version for key in await books.keys.tenant_keys("clinic") if key.use == "data"}
    assert (await books.keys.counts("clinic")).keys() <= versions
    assert all(isinstance(each, WrappedKey | Conflict) for each in (*made[:5], *made[6:]))


async def test_a_tenant_key_is_replaced_by_itself_once(books: Books) -> None:
    """It moves from the root version that was read, and from no other."""
    await filled(books)
    moved = replace(tenant_key(), root_version=4, wrapped=b"under root 4")
    await books.keys.replace_tenant_key(1, moved)
    await books.keys.replace_tenant_key(1, replace(moved, root_version=5, wrapped=b"late"))
    assert moved in await books.keys.tenant_keys("clinic")
    assert 4 == len(await books.keys.tenant_keys())


async def test_uses_are_counted(books: Books) -> None:
    """Reservations add up, for the tenant's own key alone."""
    await filled(books)
    await asyncio.gather(
        *(books.keys.reserve("clinic", "clinic-p-1-1", 1_024) for _ in range(4)),
        books.keys.reserve("school", "clinic-p-1-1", 1_024),
    )
    key = await books.keys.by_id("clinic", "clinic-p-1-1")
    assert key is not None
    assert (5 * 1_024, 7) == (key.uses, key.made_ms)
