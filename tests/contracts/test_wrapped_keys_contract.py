"""What every WrappedKeys keeps to: one current data key per subject and kind, the first wins."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from seawall.app.ports import WrappedKey

if TYPE_CHECKING:
    from seawall.app.ports import WrappedKeys

PLACE = ("clinic", "p-1", "exchange.request")


def a_key(key_id: str, version: int = 1, tenant: str = "clinic") -> WrappedKey:
    """Return a wrapped key of one patient's requests."""
    return WrappedKey(tenant, *PLACE[1:], key_id, version, 1, f"wrapped {key_id}".encode())


async def test_there_is_no_key_before_one_is_kept(wrapped_keys: WrappedKeys) -> None:
    """An unknown subject has no key, and an unknown id names none."""
    assert await wrapped_keys.current(*PLACE) is None
    assert await wrapped_keys.by_id("clinic", "k-1") is None


async def test_a_kept_key_is_found_by_place_and_by_id(wrapped_keys: WrappedKeys) -> None:
    """A kept key comes back whole, for its own tenant, subject and kind only."""
    key = a_key("k-1")
    assert key == await wrapped_keys.keep(key)
    assert key == await wrapped_keys.current(*PLACE)
    assert key == await wrapped_keys.by_id("clinic", "k-1")
    assert await wrapped_keys.by_id("school", "k-1") is None
    assert await wrapped_keys.current("school", *PLACE[1:]) is None
    assert await wrapped_keys.current("clinic", "p-2", PLACE[2]) is None
    assert await wrapped_keys.current(*PLACE[:2], "exchange.answer") is None


async def test_the_first_key_of_a_version_wins(wrapped_keys: WrappedKeys) -> None:
    """Of many that keep a first key at once, all get the same one back."""
    kept = await asyncio.gather(*(wrapped_keys.keep(a_key(f"k-{at}")) for at in range(8)))
    assert [kept[0]] * 8 == list(kept)
    assert kept[0] == await wrapped_keys.current(*PLACE)


async def test_the_newest_version_is_current(wrapped_keys: WrappedKeys) -> None:
    """A key of a higher version becomes the current one; the older one stays readable."""
    older, newer = a_key("k-1"), a_key("k-2", version=2)
    for key in (older, newer):
        await wrapped_keys.keep(key)
    assert newer == await wrapped_keys.keep(a_key("k-3", version=1))
    assert newer == await wrapped_keys.current(*PLACE)
    assert older == await wrapped_keys.by_id("clinic", "k-1")
