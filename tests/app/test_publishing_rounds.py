"""A log on SQLCipher, three real witnesses over TLS of whom two must sign, a real authority."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest

from authority import Authority, verified_by_openssl
from embedded import ORIGIN, opened
from fakes import PUBLIC_KEY, RecordingNotifier
from seawall.adapters.clock import SystemClock
from seawall.adapters.posting import HttpPost
from seawall.adapters.timestamps import QUERY_TYPE, TimeStampAuthority
from seawall.app.ports import SYSTEM_LOG
from seawall.app.publish_checkpoints import PublishCheckpoints, latest_witnessed
from seawall.app.read_ledger import ReadLedger
from seawall.core.ledger.checkpoint import format_vkey
from seawall.core.ledger.cosignature import is_witnessed, parse_cosigner
from seawall.core.ledger.note import read_note
from seawall.core.ledger.proofs import verify_witnessed_proof
from seawall.core.ledger.witness import origin_hash
from seawall.verifier.__main__ import main as verify
from witnesses import Running, made, witnessing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from embedded import Embedded

LOG: Final = "clinic"
SYSTEM: Final = "localhost/log/00000000000000ff"
VKEYS: Final = tuple(format_vkey(origin, PUBLIC_KEY) for origin in (ORIGIN, SYSTEM))
NAMES: Final = ("w1", "w2", "w3")


@dataclass
class Outside:
    """The world around a log: its witnesses, and what was told."""

    witnesses: list[Running]
    notifier: RecordingNotifier = field(default_factory=RecordingNotifier)
    stamps: TimeStampAuthority | None = None

    def publisher(self, database: Embedded) -> PublishCheckpoints:
        """Return what publishes a database's logs: two of these witnesses must cosign."""
        return PublishCheckpoints(
            store=database.store,
            ledger=database.ledger,
            clock=SystemClock(),
            notifier=self.notifier,
            witnesses=[one.outside(number % 2) for number, one in enumerate(self.witnesses)],
            required=2,
            stamps=self.stamps,
        )

    def codes(self) -> set[str]:
        """Return the codes of the alarms."""
        return {code for code, _, _ in self.notifier.alarms}


@asynccontextmanager
async def outside(place: Path, down: int | None = None) -> AsyncIterator[Outside]:
    """Run three witnesses, of whom the one with this number is down."""
    async with AsyncExitStack() as stack:
        running = []
        for number, name in enumerate(NAMES):
            folder = place / name
            if number == down:
                vkeys = made(folder, f"localhost/{name}", *VKEYS)
                running.append(Running(folder, 1, vkeys))
            else:
                serving = witnessing(folder, f"localhost/{name}", *VKEYS)
                running.append(await stack.enter_async_context(serving))
        yield Outside(running)


async def grow(database: Embedded, count: int, text: str = "entry") -> None:
    """Open the logs if they are not, and append entries."""
    await database.ledger.open_log(SYSTEM_LOG, SYSTEM)
    await database.ledger.open_log(LOG, ORIGIN)
    for number in range(count):
        await database.ledger.append(LOG, {"action": "test", "text": f"{text} {number}"})


async def alarms_of(database: Embedded) -> list[dict[str, Any]]:
    """Return the alarms that the system's log holds."""
    head = await database.store.head(SYSTEM_LOG)
    found = await ReadLedger(database.store).entries(SYSTEM_LOG, 0, head.size)
    return [entry for _, entry in found if entry["action"] == "ledger.alarm"]


async def test_two_of_three_witnesses_are_enough(tmp_path: Path) -> None:
    """With one witness down a log is witnessed, by keys of both kinds, again as it grows."""
    async with outside(tmp_path, down=2) as world, opened(tmp_path) as database:
        publisher = world.publisher(database)
        for count in (3, 300):
            await grow(database, count)
            await publisher.all()
        made = await database.store.published(LOG)
        head = await database.store.head(LOG)

    keys = [parse_cosigner(one.vkeys[number % 2]) for number, one in enumerate(world.witnesses)]
    assert [(3, True), (303, True)] == [(one.size, one.is_witnessed) for one in made]
    assert {4, 6} == {key.algorithm for key in keys[:2]}
    now = SystemClock().now_ms() // 1000
    assert all(is_witnessed(one.note, head.vkey, keys, 2, now=now) for one in made)
    assert set() == world.codes()


async def test_one_of_three_witnesses_is_not_enough(tmp_path: Path) -> None:
    """With two witnesses down nothing counts as witnessed, and that is told."""
    async with outside(tmp_path, down=2) as world, opened(tmp_path) as database:
        world.witnesses[1] = Running(world.witnesses[1].folder, 1, world.witnesses[1].vkeys)
        await grow(database, 3)
        await world.publisher(database).all()

        assert await latest_witnessed(database.store, LOG) is None
    assert {"witnesses-missing"} == world.codes()


async def test_a_proof_and_a_monitor_see_the_same_checkpoint(tmp_path: Path) -> None:
    """What a proof rests on is what a witness shows to monitors."""
    async with outside(tmp_path) as world, opened(tmp_path) as database:
        await grow(database, 20)
        await world.publisher(database).all()
        text = await ReadLedger(database.store).proof(LOG, 7)
        raw = (await database.store.entries(LOG, 7, 8))[0]
        path = f"/{origin_hash(ORIGIN)}/checkpoint"
        shown = [await _get(one, path) for one in world.witnesses]

    keys = [parse_cosigner(one.vkeys[number % 2]) for number, one in enumerate(world.witnesses)]
    now = SystemClock().now_ms() // 1000
    proved = verify_witnessed_proof(text, raw, VKEYS[0], keys, 3, now=now)
    assert {proved.body()} == {read_note(one).text for one in shown}


async def _get(witness: Running, path: str) -> str:
    """Ask a witness that runs on this very loop."""
    return (await asyncio.to_thread(witness.send, "GET", path)).body


async def test_a_database_restored_from_an_older_copy_is_found_out(tmp_path: Path) -> None:
    """A log that lost what witnesses cosigned is told, loudly and in the system's log."""
    here, copy = tmp_path / "here", tmp_path / "copy"
    here.mkdir()
    async with outside(tmp_path) as world:
        async with opened(here) as database:
            await grow(database, 5)
        shutil.copytree(here, copy)
        async with opened(here) as database:
            await grow(database, 4)
            await world.publisher(database).all()
        assert set() == world.codes()

        async with opened(copy) as database:
            await world.publisher(database).all()
            alarms = await alarms_of(database)
            published = await database.store.published(LOG)

    assert {"log-forked", "witnesses-missing"} == world.codes()
    assert {"localhost/w1", "localhost/w2", "localhost/w3"} == {
        alarm["witness"] for alarm in alarms
    }
    assert {(5, 9)} == {(alarm["size"], alarm["cosigned"]) for alarm in alarms}
    assert [False] == [one.is_witnessed for one in published]


async def test_a_restored_log_that_grew_over_its_past_is_found_out(tmp_path: Path) -> None:
    """Growing past the size that witnesses know hides nothing: the proof from there fails."""
    here, copy = tmp_path / "here", tmp_path / "copy"
    here.mkdir()
    async with outside(tmp_path) as world:
        async with opened(here) as database:
            await grow(database, 5)
        shutil.copytree(here, copy)
        async with opened(here) as database:
            await grow(database, 4)
            await world.publisher(database).all()
        async with opened(copy) as database:
            await grow(database, 50, "rewritten")
            await world.publisher(database).all()
            alarms = await alarms_of(database)

    assert "log-forked" in world.codes()
    assert {("log-forked", 55)} == {(alarm["code"], alarm["size"]) for alarm in alarms}


async def test_a_checkpoint_is_stamped_by_a_real_authority(tmp_path: Path) -> None:
    """The stamp that is kept is one that openssl verifies over the checkpoint's text."""
    authority = Authority.make(tmp_path / "tsa")
    with authority.serving() as url:
        async with outside(tmp_path) as world, opened(tmp_path) as database:
            post = HttpPost(url, QUERY_TYPE, plain=True)
            world.stamps = TimeStampAuthority(post, authority.root)
            await grow(database, 3)
            await world.publisher(database).all()
            (made,) = await database.store.published(LOG)

    assert made.stamp is not None
    text = read_note(made.note).text.encode()
    assert verified_by_openssl(authority.root, made.stamp, text, tmp_path)
    assert set() == world.codes()


async def test_a_stranger_verifies_witnesses_and_stamp(tmp_path: Path) -> None:
    """The stand-alone verifier, which shares no code with us, finds an export as we say it is."""
    authority = Authority.make(tmp_path / "tsa")
    with authority.serving() as url:
        async with outside(tmp_path, down=2) as world, opened(tmp_path) as database:
            post = HttpPost(url, QUERY_TYPE, plain=True)
            world.stamps = TimeStampAuthority(post, authority.root)
            await grow(database, 300)
            await world.publisher(database).all()
            files = [pair async for pair in ReadLedger(database.store).export(LOG)]
    for name, content in files:
        path = tmp_path / "copy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    keys = [one.vkeys[number % 2] for number, one in enumerate(world.witnesses)]
    brought = ["--vkey", VKEYS[0], "--timestamp-authority", str(authority.root)]
    brought += [part for key in keys for part in ("--witness", key)]

    def verified(required: str) -> int:
        """Run the verifier; return its exit status."""
        return verify([str(tmp_path / "copy"), *brought, "--witnesses-required", required])

    assert (0, 1) == (verified("2"), verified("3"))


@pytest.mark.parametrize("fault", ["down", "untrusted"])
async def test_an_authority_that_fails_stops_no_publishing(tmp_path: Path, fault: str) -> None:
    """Without its stamp a log is witnessed all the same, and the missing stamp is told."""
    authority, other = (Authority.make(tmp_path / name) for name in ("tsa", "other"))
    with authority.serving() as url:
        async with outside(tmp_path) as world, opened(tmp_path) as database:
            where = "http://127.0.0.1:1/" if fault == "down" else url
            post = HttpPost(where, QUERY_TYPE, plain=True)
            world.stamps = TimeStampAuthority(post, other.root)
            await grow(database, 3)
            await world.publisher(database).all()
            (made,) = await database.store.published(LOG)

    assert (True, None) == (made.is_witnessed, made.stamp)
    assert {"time-stamp-missing"} == world.codes()
