"""Passwords by argon2id: parameters, verification, and how many at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import argon2
import pytest

from people_scene import code_of
from seawall.adapters.passwords import ArgonPasswords
from seawall.core.errors import Tampered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PASSWORD = "four horses under one bridge"


@pytest.fixture
async def passwords() -> AsyncIterator[ArgonPasswords]:
    """Return a port with two cores and three places to wait."""
    made = ArgonPasswords(cores=2, waiting=3)
    yield made
    made.close()


async def test_a_hash_says_how_it_was_made(passwords: ArgonPasswords) -> None:
    """Argon2id with 19 MiB, two passes and one lane, as OWASP recommends; salted."""
    one, other = await passwords.hash(PASSWORD), await passwords.hash(PASSWORD)

    assert one.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert one != other


async def test_the_password_and_no_other_fits(passwords: ArgonPasswords) -> None:
    """One letter more or less is another."""
    kept = await passwords.hash(PASSWORD)
    given = (PASSWORD, PASSWORD + "s", PASSWORD[:-1], "")

    fits = [await passwords.verify(kept, one, is_known=True) for one in given]
    assert [True, False, False, False] == fits


async def test_an_independent_hash_is_verified_and_outdated(passwords: ArgonPasswords) -> None:
    """Hashes of other parameters are verified, and said to be made otherwise."""
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)

    assert await passwords.verify(weak, PASSWORD, is_known=False)
    assert [True, False] == [
        passwords.is_outdated(weak),
        passwords.is_outdated(await passwords.hash(PASSWORD)),
    ]


async def test_what_is_no_hash_is_tampered(passwords: ArgonPasswords) -> None:
    """It is no wrong password: somebody changed what was kept."""
    with pytest.raises(Tampered):
        await passwords.verify("$argon2id$x", PASSWORD, is_known=True)


async def test_strangers_who_are_too_many_are_sent_away_and_the_known_are_not(
    passwords: ArgonPasswords,
) -> None:
    """One is verified and three wait; who comes from a place of theirs has another line."""
    kept = await passwords.hash(PASSWORD)
    strangers = [code_of(passwords.verify(kept, "x", is_known=False)) for _ in range(50)]
    known = passwords.verify(kept, PASSWORD, is_known=True)
    *codes, fits = await asyncio.gather(*strangers, known)

    assert (4, 46, True) == (codes.count(""), codes.count("sign-in-busy"), fits)


async def test_a_place_is_free_again_once_the_work_is_done(passwords: ArgonPasswords) -> None:
    """Also of those who went away before."""
    kept = await passwords.hash(PASSWORD)
    leaving = [asyncio.create_task(passwords.verify(kept, "x", is_known=False)) for _ in range(4)]
    await asyncio.sleep(0)
    for one in leaving:
        one.cancel()
    await asyncio.gather(*leaving, return_exceptions=True)
    for _ in range(1_000):
        if "" == await code_of(passwords.verify(kept, "x", is_known=False)):
            break
        await asyncio.sleep(0.01)

    four = [code_of(passwords.verify(kept, "x", is_known=False)) for _ in range(4)]
    assert ["", "", "", ""] == await asyncio.gather(*four)
