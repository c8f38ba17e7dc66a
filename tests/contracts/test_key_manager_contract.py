"""What every key manager keeps to: it opens what it wrapped, as it was wrapped, until destroyed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import pytest

from contracts.key_managers import KEY_MANAGERS
from seawall.app.ports import ROOT_NAME, Secret, tenant_root
from seawall.core.errors import Error, Missing, Refused, Tampered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contracts.key_managers import Keys

NAME: Final = tenant_root("clinic")
SECRET: Final = bytes(range(32))
CONTEXT: Final = "clinic\ndata\n1"


@pytest.fixture(params=KEY_MANAGERS, ids=lambda made: made.__name__)
def keys(request: pytest.FixtureRequest) -> Iterator[Keys]:
    """Yield each key manager, without a root key."""
    with request.param(request) as made:
        yield made


async def wrapped(keys: Keys, name: str = NAME) -> Secret:
    """Make a root key and wrap under it."""
    await keys.operator.make(name)
    return await keys.manager.wrap(name, SECRET, CONTEXT)


async def refusal(keys: Keys, secret: Secret, name: str = NAME, context: str = CONTEXT) -> Error:
    """Return the error in which unwrapping ends."""
    with pytest.raises(Error) as caught:
        await keys.manager.unwrap(name, secret, context)
    return caught.value


@pytest.mark.parametrize("name", [NAME, ROOT_NAME, tenant_root("a.b-c_d")])
async def test_what_was_wrapped_is_unwrapped(keys: Keys, name: str) -> None:
    """The same 32 bytes come back, under the first version of the key."""
    secret = await wrapped(keys, name)
    assert (1, SECRET) == (
        secret.version,
        await keys.manager.unwrap(name, secret, CONTEXT),
    )


async def test_wrapping_twice_is_not_the_same(keys: Keys) -> None:
    """Whoever sees two wrapped keys cannot tell that they are equal."""
    first = await wrapped(keys)
    assert first.blob != (await keys.manager.wrap(NAME, SECRET, CONTEXT)).blob


async def test_another_context_does_not_open(keys: Keys) -> None:
    """What was wrapped for one thing is unwrapped for no other."""
    secret = await wrapped(keys)
    for other in ("clinic\ndata\n2", "clinic\ndata", f"{CONTEXT}\n", "x"):
        assert "wrapped-key-tampered" == (await refusal(keys, secret, context=other)).code


async def test_no_changed_bit_opens(keys: Keys) -> None:
    """A sample of bits from all over, the first and the last ones included, is each noticed."""
    secret = await wrapped(keys)
    blob = secret.blob
    for place in {0, 1, 6, 7, 8, 9, 10, *range(11, len(blob), 9), len(blob) - 2, len(blob) - 1}:
        for bit in (0, 1, 4, 7):
            changed = bytearray(blob)
            changed[place] ^= 1 << bit
            error = await refusal(keys, Secret(secret.version, bytes(changed)))
            assert isinstance(error, (Tampered, Missing)), (place, bit)


@pytest.mark.parametrize("cut", [0, 1, 12, 28, -1])
async def test_a_part_does_not_open(keys: Keys, cut: int) -> None:
    """What was cut short, or has something behind it, is noticed."""
    secret = await wrapped(keys)
    for blob in (secret.blob[:cut], secret.blob + b"\n", secret.blob + b"="):
        error = await refusal(keys, Secret(secret.version, blob))
        assert "wrapped-key-tampered" == error.code


async def test_another_name_does_not_open(keys: Keys) -> None:
    """A wrapped key of one tenant opens under no other's root key."""
    secret = await wrapped(keys)
    await keys.operator.make(tenant_root("other"))
    error = await refusal(keys, secret, name=tenant_root("other"))
    assert "wrapped-key-tampered" == error.code


async def test_another_version_does_not_open(keys: Keys) -> None:
    """A wrapped key that claims to be of another version is noticed."""
    secret = await wrapped(keys)
    await keys.operator.rotate(NAME)
    assert isinstance(await refusal(keys, Secret(2, secret.blob)), Tampered)
    for version in (0, -1, 3):
        error = await refusal(keys, Secret(version, secret.blob))
        assert isinstance(error, (Tampered, Missing))


async def test_without_a_root_key_there_is_nothing(keys: Keys) -> None:
    """To wrap, to rotate or to look at a key that is not there makes none."""
    for asked in (
        keys.manager.wrap(NAME, SECRET, CONTEXT),
        keys.operator.rotate(NAME),
        keys.manager.versions(NAME),
    ):
        with pytest.raises(Missing) as caught:
            await asked
        assert "root-key-missing" == caught.value.code


async def test_what_another_key_wrapped_is_missing_its_key(keys: Keys) -> None:
    """A wrapped key whose root key is not there says so."""
    secret = await wrapped(keys)
    error = await refusal(keys, secret, name=tenant_root("never"))
    assert "root-key-missing" == error.code


async def test_making_again_changes_nothing(keys: Keys) -> None:
    """A second `make` leaves the key and its version as they are."""
    secret = await wrapped(keys)
    await keys.operator.make(NAME)
    assert ([1], SECRET) == (
        [one.version for one in await keys.manager.versions(NAME)],
        await keys.manager.unwrap(NAME, secret, CONTEXT),
    )


async def test_after_a_rotation_old_and_new_open(keys: Keys) -> None:
    """New wrapping is under the new version; what the old one wrapped still opens."""
    old = await wrapped(keys)
    made = await keys.operator.rotate(NAME)
    new = await keys.manager.wrap(NAME, SECRET, CONTEXT)
    assert (2, 2) == (made, new.version)
    assert [SECRET, SECRET] == [
        await keys.manager.unwrap(NAME, secret, CONTEXT) for secret in (old, new)
    ]


async def test_versions_are_told_oldest_first(keys: Keys) -> None:
    """Each has its state, and the time it was made where that is known."""
    await wrapped(keys)
    await keys.operator.rotate(NAME)
    await keys.operator.rotate(NAME)
    versions = await keys.manager.versions(NAME)
    assert [(1, "enabled"), (2, "enabled"), (3, "enabled")] == [
        (one.version, one.state) for one in versions
    ]
    assert [] == [one for one in versions if one.made and one.made.utcoffset() != timedelta(0)]


async def test_versions_below_one_are_destroyed(keys: Keys) -> None:
    """What they wrapped opens no more; what later ones wrapped does, and wrapping goes on."""
    olds = [await wrapped(keys)]
    await keys.operator.rotate(NAME)
    olds.append(await keys.manager.wrap(NAME, SECRET, CONTEXT))
    await keys.operator.rotate(NAME)
    new = await keys.manager.wrap(NAME, SECRET, CONTEXT)

    gone = await keys.operator.destroy(NAME, below=3)

    assert (NAME, (1, 2)) == (gone.name, gone.versions)
    for old in olds:
        assert isinstance(await refusal(keys, old), (Missing, Refused))
    assert SECRET == await keys.manager.unwrap(NAME, new, CONTEXT)
    assert 3 == (await keys.manager.wrap(NAME, SECRET, CONTEXT)).version


async def test_destroying_again_destroys_nothing_more(keys: Keys) -> None:
    """After an answer that was lost it can be asked again."""
    await wrapped(keys)
    await keys.operator.rotate(NAME)
    await keys.operator.destroy(NAME, below=2)
    await keys.operator.destroy(NAME, below=2)
    kept = [one.version for one in await keys.manager.versions(NAME) if one.state == "enabled"]
    assert [2] == kept


async def test_versions_that_are_destroyed_do_not_come_back(keys: Keys) -> None:
    """The next version has a number that none had before."""
    await wrapped(keys)
    await keys.operator.rotate(NAME)
    await keys.operator.destroy(NAME, below=2)
    assert 3 == await keys.operator.rotate(NAME)


async def test_a_whole_key_is_destroyed(keys: Keys) -> None:
    """Nothing opens, nothing is wrapped, and no version is enabled any more."""
    old = await wrapped(keys)
    await keys.operator.rotate(NAME)
    new = await keys.manager.wrap(NAME, SECRET, CONTEXT)

    gone = await keys.operator.destroy(NAME)

    assert (1, 2) == gone.versions
    for secret in (old, new):
        assert isinstance(await refusal(keys, secret), (Missing, Refused))
    with pytest.raises((Missing, Refused)):
        await keys.manager.wrap(NAME, SECRET, CONTEXT)


async def test_a_destruction_says_when_it_is_final(keys: Keys) -> None:
    """The time has a zone; where destruction is at once, it is not in the future."""
    await wrapped(keys)
    gone = await keys.operator.destroy(NAME)
    assert gone.final_at.tzinfo is not None
    assert gone.method
    assert gone.final_at < datetime.now(UTC) + timedelta(days=31)


async def test_the_destroyed_key_of_one_tenant_is_not_anothers(keys: Keys) -> None:
    """Other tenants' keys open as before."""
    await wrapped(keys)
    other = await wrapped(keys, tenant_root("clinic-2"))
    await keys.operator.destroy(NAME)
    assert SECRET == await keys.manager.unwrap(tenant_root("clinic-2"), other, CONTEXT)


async def test_nothing_secret_is_shown(keys: Keys) -> None:
    """Neither a wrapped key's repr, nor the key manager's, nor an error holds a key."""
    secret = await wrapped(keys)
    error = await refusal(keys, secret, context="another")
    shown = " ".join(map(repr, (secret, keys, error, error.__cause__, error.args)))
    forms = {SECRET.hex(), repr(SECRET)[2:-1], repr(secret.blob)[2:-1], CONTEXT, "another"}
    assert set() == {form for form in forms if form in shown}
