"""A database goes with one key ring: noted once, and compared ever after."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import embedded
import postgres
from seawall.adapters.db.claiming import claim_for
from seawall.app.ports import TenantKey, WrappedKey
from seawall.core.errors import Conflict

if TYPE_CHECKING:
    from pathlib import Path

    from embedded import Embedded
    from postgres import Opened, Server


def code_of(database: Embedded | Opened, ring: str) -> str:
    """Return the code with which a ring is refused, or nothing."""
    try:
        claim_for(database.keys._engine, ring)
    except Conflict as error:
        return error.code
    return ""


async def given_a_data_key(database: Embedded | Opened) -> None:
    """Keep a data key, as a build before this one left some."""
    await database.keys.keep_tenant_key(TenantKey("clinic", "data", 1, 1, b"wrapped"))
    await database.keys.keep(WrappedKey("clinic", "p-1", "a.kind", "k-1", 1, 1, b"wrapped"))


@pytest.mark.parametrize("has_keys", [False, True])
async def test_an_embedded_database_takes_one_ring(tmp_path: Path, *, has_keys: bool) -> None:
    """The first ring is taken, again too; another is refused, and so are keys of nobody."""
    async with embedded.opened(tmp_path) as database:
        if has_keys:
            await given_a_data_key(database)
        expected = ["keys-outdated"] * 3 if has_keys else ["", "", "ring-foreign"]
        assert expected == [code_of(database, ring) for ring in ("one", "one", "two")]


@pytest.mark.parametrize("has_keys", [False, True])
async def test_a_shared_database_takes_one_ring(postgres_server: Server, *, has_keys: bool) -> None:
    """As the embedded one: the keys are seen, whosever they are."""
    async with postgres.opened(postgres_server, postgres_server.new_database()) as database:
        if has_keys:
            await given_a_data_key(database)
        expected = ["keys-outdated"] * 3 if has_keys else ["", "", "ring-foreign"]
        assert expected == [code_of(database, ring) for ring in ("one", "one", "two")]
