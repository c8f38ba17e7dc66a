"""What lies in a payload store is in the backup, and comes back; row security does too."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from backup_scenes import PASSPHRASE, Scene, scene
from postgres import OWNER
from seawall.app.backup.restore import Wanted
from seawall.app.ports import KeepReference
from seawall.compose import Installation, restore_folder
from seawall.config import PayloadFolder, Settings
from seawall.core.errors import Missing
from seawall.core.seal.envelope import Context

if TYPE_CHECKING:
    from pathlib import Path

    from postgres import Server
    from seawall.core.seal.envelope import Sealed

CONTEXT: Final = Context("hillside", "exchange.request", "unattributed", "0" * 32)


async def with_a_payload(place: Path) -> tuple[Scene, Sealed]:
    """Make an installation with a payload in its store, and a backup of it."""
    made = await scene(place)
    settings = replace(made.installation.settings, payloads=PayloadFolder("payloads"))
    made = Scene(Installation.open(settings, PASSPHRASE), place)
    async with made.installation.write() as writer:
        sealed = await writer.keys.seal(b"content", CONTEXT)
        assert writer.payloads is not None
        await writer.payloads.put(sealed)
        kept = KeepReference(
            CONTEXT.tenant, CONTEXT.kind, CONTEXT.item, CONTEXT.subject, sealed.digest()
        )
        await writer.ledger.append("hillside", {"v": 1}, [kept])
    await made.back_up()
    return made, sealed


async def test_payloads_come_back(tmp_path: Path) -> None:
    """They are put into the store that the new folder's settings name."""
    made, sealed = await with_a_payload(tmp_path)
    settings = Settings(tmp_path / "new", port=0, payloads=PayloadFolder("payloads"))

    await restore_folder(made.repository, settings, PASSPHRASE, Wanted())

    async with Installation.open(settings, PASSPHRASE).write() as writer:
        assert writer.payloads is not None
        assert sealed == await writer.payloads.get(sealed.digest())


async def test_a_drill_verifies_payloads_and_puts_none(tmp_path: Path) -> None:
    """It needs no store."""
    made, _ = await with_a_payload(tmp_path)
    assert 3 == (await made.drilled()).logs


async def test_payloads_are_not_left_out_for_want_of_a_store(tmp_path: Path) -> None:
    """Restoring without a store is refused, and leaves nothing."""
    made, _ = await with_a_payload(tmp_path)

    with pytest.raises(Missing) as caught:
        await made.restore()

    assert "payload-missing" == caught.value.code
    assert not (tmp_path / "new" / "seawall.db").exists()


async def test_a_changed_payload_is_named(tmp_path: Path) -> None:
    """Its file is named, and it is not restored."""
    made, sealed = await with_a_payload(tmp_path)
    name = sealed.digest().removeprefix("sha256:")
    path = made.repository / "payloads" / name[:2] / name
    kept = path.read_bytes()
    path.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))

    assert {f"payloads/{name[:2]}/{name}": "changed"} == made.verify().damaged


@pytest.mark.parametrize("damage", [b"", b"?"])
async def test_a_changed_payload_is_copied_again(tmp_path: Path, damage: bytes) -> None:
    """Shorter or other: the next backup writes it as the store has it."""
    made, sealed = await with_a_payload(tmp_path)
    name = sealed.digest().removeprefix("sha256:")
    path = made.repository / "payloads" / name[:2] / name
    raw = path.read_bytes()
    path.write_bytes(raw[:-1] + damage)

    await made.back_up()

    assert raw == path.read_bytes()


async def test_what_restrains_the_tables_is_there_again(
    tmp_path: Path, postgres_server: Server
) -> None:
    """Filling PostgreSQL leaves triggers and row-level security as the owner made them."""
    made = await scene(tmp_path)
    await made.back_up()
    name, other = postgres_server.new_empty_database(), postgres_server.new_database()
    await made.restore("new", database=postgres_server.url(name), owner=OWNER)

    tables = "select relname, relrowsecurity, relforcerowsecurity from pg_class"
    queries = (
        f"{tables} where relnamespace = 'public'::regnamespace order by relname",
        "select tgname, tgenabled from pg_trigger where not tgisinternal order by tgname",
    )
    restored, prepared = (
        [postgres_server.ask(query, database) for query in queries] for database in (name, other)
    )
    assert prepared == restored
