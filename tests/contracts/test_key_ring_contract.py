"""What every KeyRing keeps to: it seals freely and opens under a recorded grant alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from embedded import ORIGIN
from examples import a_context, a_granting_entry
from fake_keys import RECEIPT_KEY
from seawall.core.errors import Error, Missing, Refused, Tampered
from seawall.core.ledger.encoding import encode
from seawall.core.policy.grant import Grant, Receipt, receipt_mac
from seawall.core.seal.envelope import Sealed

if TYPE_CHECKING:
    from contracts.conftest import Ring

TEXT = b"Ms Toy is due on Monday"
HOUR_MS = 3_600_000


def receipt(entry: dict[str, Any], key: bytes = RECEIPT_KEY) -> Receipt:
    """Return the receipt that a ledger with this key gives for an entry."""
    raw = encode(entry)
    return Receipt(ORIGIN, 7, raw, receipt_mac(key, ORIGIN, 7, raw))


def granting(ring: Ring, **terms: Any) -> Receipt:
    """Return the receipt of an entry that grants, for an hour unless `terms` say otherwise."""
    return receipt(a_granting_entry(**{"until_ms": ring.clock.now_ms() + HOUR_MS, **terms}))


async def test_what_was_sealed_opens_under_its_grant(ring: Ring) -> None:
    """A sealed value comes back whole under a receipt that names its kind and subject."""
    sealed = await ring.keys.seal(TEXT, a_context())
    again = Sealed(bytes(sealed))
    assert await ring.keys.open(again, Grant(granting(ring))) == TEXT


async def test_a_sealed_value_shows_its_context_and_nothing_else(ring: Ring) -> None:
    """The envelope names the context; the plaintext is not in it, and no two are equal."""
    first, second = [await ring.keys.seal(TEXT, a_context()) for _ in range(2)]
    assert a_context() == first.context
    assert TEXT not in bytes(first)
    assert bytes(first)[-60:] != bytes(second)[-60:]


@pytest.mark.parametrize("pretended", [None, True, "grant", {"until": 2**53}])
async def test_nothing_but_a_grant_opens(ring: Ring, pretended: Any) -> None:
    """Whatever is not a Grant is a mistake of the program."""
    sealed = await ring.keys.seal(TEXT, a_context())
    with pytest.raises(TypeError):
        await ring.keys.open(sealed, pretended)


async def test_a_receipt_is_not_a_grant_by_itself(ring: Ring) -> None:
    """Not even a real receipt opens before it is made a grant."""
    sealed = await ring.keys.seal(TEXT, a_context())
    taken: Any = granting(ring)
    with pytest.raises(TypeError):
        await ring.keys.open(sealed, taken)


async def refusal(ring: Ring, given: Receipt) -> str:
    """Return the code with which opening one request under this receipt is refused."""
    sealed = await ring.keys.seal(TEXT, a_context())
    with pytest.raises(Refused) as caught:
        await ring.keys.open(sealed, Grant(given))
    return caught.value.code


async def test_a_forged_receipt_opens_nothing(ring: Ring) -> None:
    """A MAC of another key, of another place or of other words is refused."""
    true = granting(ring)
    other = granting(ring, subjects=("p-2",))
    for forged in (
        receipt(true.body(), key=bytes(32)),
        replace(true, index=8),
        replace(true, origin=f"{ORIGIN}-2"),
        replace(other, entry=true.entry),
        replace(true, mac=b""),
    ):
        assert await refusal(ring, forged) == "grant-forged"


async def test_a_grant_of_another_tenant_opens_nothing(ring: Ring) -> None:
    """A tenant's entry says nothing about another tenant's PHI."""
    await ring.keys.prepare("school")
    assert await refusal(ring, granting(ring, tenant="school")) == "grant-foreign"


async def test_an_entry_without_a_grant_opens_nothing(ring: Ring) -> None:
    """A recorded entry that grants nothing is no reason to open anything."""
    entry = granting(ring).body()
    del entry["grant"]
    assert await refusal(ring, receipt(entry)) == "grant-foreign"


@pytest.mark.parametrize(
    "terms",
    [
        {"kinds": ("exchange.answer",)},
        {"kinds": ()},
        {"subjects": ("p-2", "p-11")},
        {"subjects": ()},
    ],
)
async def test_a_grant_covers_only_what_it_names(ring: Ring, terms: Any) -> None:
    """Another kind, another subject and an empty list are refused."""
    assert await refusal(ring, granting(ring, **terms)) == "grant-exceeded"


async def test_a_grant_ends(ring: Ring) -> None:
    """A grant opens in its last millisecond, and no more when its time has come."""
    grant = Grant(granting(ring, until_ms=ring.clock.now_ms() + 60_001))
    sealed = await ring.keys.seal(TEXT, a_context())
    ring.clock.advance(60)
    assert await ring.keys.open(sealed, grant) == TEXT
    ring.clock.advance(0.001)
    assert await refusal(ring, grant.receipt) == "grant-expired"


async def test_any_changed_byte_of_a_sealed_value_is_noticed(ring: Ring) -> None:
    """Whichever byte of the envelope changes, what opens is never a different value."""
    raw = bytes(await ring.keys.seal(TEXT, a_context()))
    grant = Grant(granting(ring))
    for at in range(len(raw)):
        changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        with pytest.raises(Error):
            await ring.keys.open(Sealed(changed), grant)


async def test_a_ciphertext_moved_to_another_item_does_not_open(ring: Ring) -> None:
    """A sealed value that pretends to be another item is Tampered."""
    raw = bytes(await ring.keys.seal(TEXT, a_context("x-1")))
    moved = Sealed(raw.replace(b'"x-1"', b'"x-2"'))
    assert moved.context == a_context("x-2")
    with pytest.raises(Tampered):
        await ring.keys.open(moved, Grant(granting(ring)))


async def test_an_unprepared_tenant_has_no_keys(ring: Ring) -> None:
    """Nothing is sealed or blinded for a tenant whose keys were never made."""
    with pytest.raises(Missing):
        await ring.keys.seal(TEXT, a_context(tenant="school"))
    with pytest.raises(Missing):
        await ring.keys.blind("school", ["term"])


async def test_preparing_again_keeps_the_keys(ring: Ring) -> None:
    """What was sealed before a second preparation still opens, and terms still match."""
    sealed = await ring.keys.seal(TEXT, a_context())
    blind = await ring.keys.blind("clinic", ["toy"])
    await ring.keys.prepare("clinic")
    assert await ring.keys.open(sealed, Grant(granting(ring))) == TEXT
    assert blind == await ring.keys.blind("clinic", ["toy"])


async def test_blind_terms_match_within_one_tenant_only(ring: Ring) -> None:
    """Equal terms give equal digests; another term or another tenant gives another one."""
    await ring.keys.prepare("school")
    first, other = await ring.keys.blind("clinic", ["toy", "Toy"])
    assert [other, first] == await ring.keys.blind("clinic", ["Toy", "toy"])
    assert len({first, other, *await ring.keys.blind("school", ["toy"])}) == 3
    assert "toy" not in first


async def test_what_was_let_go_of_is_found_again(ring: Ring) -> None:
    """After a tenant's keys left the memory, what they sealed opens, and terms match."""
    sealed = await ring.keys.seal(TEXT, a_context())
    blind = await ring.keys.blind("clinic", ["toy"])
    ring.keys.forget("clinic")
    assert await ring.keys.open(sealed, Grant(granting(ring))) == TEXT
    assert blind == await ring.keys.blind("clinic", ["toy"])
