"""Sending a log to a receiver: at least once each, going on where it was left."""

from __future__ import annotations

import json

import pytest

from fakes import MemoryLedger, MemoryStore
from seawall.app import send_audit
from seawall.app.ports import Archived, KeepArchived
from seawall.app.send_audit import SendAudit
from seawall.core.errors import Conflict, Missing, Unavailable
from strict_syslog import frames, parse

LOG, ORIGIN = "clinic", "localhost/log/clinic"


class MemoryReceiver:
    """The receiver in memory: what each delivery brought, and faults on demand."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.lost: list[bool] = []
        """For each delivery to come: whether it is taken, and its confirmation lost."""

    async def deliver(self, content: bytes) -> None:
        """Take the messages, or raise."""
        self.taken.append(content)
        if self.lost and self.lost.pop(0):
            raise Unavailable("syslog-unreachable", "the connection broke", "")

    def indexes(self) -> list[int]:
        """Return the entries that were received, in order of arrival."""
        texts = [parse(raw).text for content in self.taken for raw in frames(content)]
        return [int(json.loads(text)["meta"]["source"].split("#")[1]) for text in texts]


class MemoryPosition:
    """The position in memory."""

    def __init__(self) -> None:
        self.held: tuple[str, int] | None = None

    def load(self) -> tuple[str, int] | None:
        """Return it."""
        return self.held

    def save(self, origin: str, upto: int) -> None:
        """Keep it."""
        self.held = (origin, upto)


class Room:
    """A log with entries, and what sends it."""

    def __init__(self) -> None:
        self.ledger = MemoryLedger()
        self.receiver = MemoryReceiver()
        self.position = MemoryPosition()

    async def fill(self, count: int, patients: int = 0) -> Room:
        """Append entries."""
        await self.ledger.open_log(LOG, ORIGIN)
        for number in range(count):
            entry = {
                "at": "2026-03-02T09:30:00.000Z",
                "action": "x.y",
                "patients": [f"{one:024x}" for one in range(patients)],
                "n": number,
            }
            await self.ledger.append(LOG, entry)
        return self

    async def send(self, size: int) -> list[int]:
        """Send by a program that was just started; return how far it was after each piece."""
        sending = SendAudit(
            store=MemoryStore(self.ledger),
            receiver=self.receiver,
            position=self.position,
            version="1",
        )
        return [at async for at in sending.send(LOG, size)]


@pytest.fixture
def room() -> Room:
    """Return the room, empty."""
    return Room()


async def test_every_entry_is_sent_once_in_order(room: Room) -> None:
    """Piece by piece; the next program goes on after the last that was confirmed."""
    count = send_audit.PIECE + 3
    await room.fill(count)

    assert [2] == await room.send(2)
    assert [send_audit.PIECE + 2, count] == await room.send(count)
    assert [] == await room.send(count)
    assert list(range(count)) == room.receiver.indexes()
    assert (ORIGIN, count) == room.position.held


async def test_a_piece_that_was_not_confirmed_is_sent_again(room: Room) -> None:
    """At least once: a lost confirmation makes duplicates, never a gap."""
    await room.fill(5)
    await room.send(2)
    room.receiver.lost = [True]
    with pytest.raises(Unavailable):
        await room.send(5)
    await room.send(5)

    assert [0, 1, 2, 3, 4, 2, 3, 4] == room.receiver.indexes()


async def test_messages_are_numbered_from_one(room: Room) -> None:
    """RFC 5424's sequenceId counts what this program sent; each patient is a message."""
    await room.fill(2, patients=2)
    await room.send(2)

    read = [parse(raw) for content in room.receiver.taken for raw in frames(content)]
    assert ["1", "2", "3", "4"] == [one.structured["meta"]["sequenceId"] for one in read]
    assert 4 == len({json.loads(one.text)["id"] for one in read})


@pytest.mark.parametrize("held", [("localhost/log/other", 1), (ORIGIN, 6)])
async def test_a_position_of_another_log_is_refused(held: tuple[str, int], room: Room) -> None:
    """Another log's, or one beyond the log's end, is told and nothing is sent."""
    await room.fill(5)
    room.position.held = held
    with pytest.raises(Conflict) as caught:
        await room.send(5)

    assert ("position-of-another-log", []) == (caught.value.code, room.receiver.taken)


async def test_entries_that_were_pruned_unsent_are_told(room: Room) -> None:
    """Going on in silence would hide a gap; with a new position it begins at what is there."""
    await room.fill(258)
    store = MemoryStore(room.ledger)
    for archive in "ab":
        made = Archived(LOG, 0, archive, "1", "sha256:00", 0)
        await room.ledger.remember([KeepArchived(made)])
    await room.ledger.prune(LOG, 256)
    room.position.held = (ORIGIN, 200)
    with pytest.raises(Missing) as caught:
        await room.send(258)
    room.position.held = None
    sending = SendAudit(store=store, receiver=room.receiver, position=room.position, version="1")

    assert ("entry-pruned", 256) == (caught.value.code, await sending.start(LOG))
    assert [258] == await room.send(258)


async def test_an_entry_that_is_not_there_is_no_gap(room: Room) -> None:
    """A size beyond the log's end sends nothing and keeps the position."""
    await room.fill(1)
    with pytest.raises(Missing):
        await room.send(3)

    assert ([], None) == (room.receiver.taken, room.position.held)
