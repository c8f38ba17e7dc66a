"""Publishing: a checkpoint that has grown is shown to witnesses and stamped, then kept.

The client of C2SP tlog-witness. What witnesses say is verified before it is kept, and a
checkpoint counts as witnessed only when the policy is met. A witness that remembers
more of a log than the log, or other things, is evidence that it was rolled back or
forked: that is an alarm, and an entry of the system's log. A database restored from
a backup holds a witnessed checkpoint and looks well by itself, so every process asks
each witness about each log once, and once a day. Nothing here stops an exchange: who
cannot be reached now is asked again in the next round.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from seawall.app.entries import entry
from seawall.app.ports import SYSTEM_LOG, KeepPublished, Published
from seawall.core.errors import Error, Tampered, Unavailable
from seawall.core.ledger.checkpoint import read_size
from seawall.core.ledger.cosignature import cosignatures, is_witnessed, merge
from seawall.core.ledger.note import Note, read_lines, read_note
from seawall.core.ledger.proofs import consistency_proof
from seawall.core.ledger.tree import TILE_BYTES
from seawall.core.ledger.witness import SIZE_TYPE, write_submission
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seawall.app.ports import Clock, Head, Ledger, Notifier, Post, Posted, Store, TimeStamps
    from seawall.core.ledger.note import SignatureLine, VerifierKey

_OK: Final = 200
_CONFLICT: Final = 409
_UNPROCESSABLE: Final = 422
_REFUSING: Final = (403, 404)
_AT_ONCE: Final = 4
_ASK_AGAIN_SECONDS: Final = 86_400.0
_PATIENCE_SECONDS: Final = 8.0
_SLOW_SECONDS: Final = 2.0
_SLOW_ANSWERS: Final = 5


@dataclass(frozen=True, slots=True)
class OutsideWitness:
    """A witness as we know it: the key that must cosign, and where it takes checkpoints."""

    key: VerifierKey
    post: Post


@dataclass(slots=True)
class _Memory:
    """What is remembered of a log between rounds; a new process asks again."""

    published: Published | None = None
    cosigned: dict[VerifierKey, int] = field(default_factory=dict)
    """The size that each witness last cosigned, as far as we know."""
    heard: dict[VerifierKey, float] = field(default_factory=dict)
    """When each witness last cosigned, by the clock that never goes back."""


@dataclass(slots=True)
class _Round:
    """Who answers too slowly in this round: all logs wait for a slow one a bounded time."""

    slow: dict[VerifierKey, int] = field(default_factory=dict)
    has_stamps: bool = True

    def is_left_out(self, key: VerifierKey) -> bool:
        """Whether a witness is not asked any more in this round."""
        return self.slow.get(key, 0) >= _SLOW_ANSWERS

    def took(self, key: VerifierKey, seconds: float) -> None:
        """Note how long a witness took."""
        if seconds > _SLOW_SECONDS:
            self.slow[key] = self.slow.get(key, 0) + 1

    def hung(self, key: VerifierKey) -> None:
        """Note that a witness did not answer in time: once is enough."""
        self.slow[key] = _SLOW_ANSWERS


class _OncePerRow:
    """Tells of a failure once, and again only after it has been well in between."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._told: set[tuple[str, str, str]] = set()

    def alarm(self, code: str, head: Head, witness: OutsideWitness | None, *, well: bool) -> None:
        """Raise an alarm about a log and a witness, unless it is well or was told."""
        place = (code, head.log, witness.key.name if witness else "")
        if well:
            self._told.discard(place)
        elif place not in self._told:
            self._told.add(place)
            self._notifier.alarm(code, head.log, None)


class PublishCheckpoints:
    """Publishes every log that has grown, once a round."""

    def __init__(
        self,
        *,
        store: Store,
        ledger: Ledger,
        clock: Clock,
        notifier: Notifier,
        witnesses: Sequence[OutsideWitness] = (),
        required: int = 0,
        stamps: TimeStamps | None = None,
        patience: float = _PATIENCE_SECONDS,
    ) -> None:
        """Take the ports and the policy; `patience` is how long one answer may take, in seconds."""
        self._store = store
        self._ledger = ledger
        self._clock = clock
        self._notifier = notifier
        self._witnesses = tuple(witnesses)
        self._required = required
        self._stamps = stamps
        self._patience = patience
        self._memories: dict[str, _Memory] = {}
        self._once = _OncePerRow(notifier)
        self._accused: set[tuple[str, VerifierKey]] = set()

    async def all(self) -> None:
        """Publish every log that has grown, or that lacks cosignatures or a stamp: one round.

        What is wrong with one log stops no other; the first error is raised in the end. A
        witness that hung once is left out of the rest of the round, and counts as missing.
        """
        errors: list[Error] = []
        this, heads = _Round(), iter(await self._store.logs())

        async def publish_some() -> None:
            """Publish one log after the other, as long as there are any that nobody took."""
            for head in heads:
                try:
                    if head.size:
                        await self._publish(head, this)
                except Error as error:
                    errors.append(error)

        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(publish_some())
        if errors:
            raise errors[0]

    async def publish(self, head: Head) -> Published:
        """Show one log's checkpoint to the witnesses, have it stamped, and keep the outcome."""
        return await self._publish(head, _Round())

    async def _publish(self, head: Head, this: _Round) -> Published:
        memory = self._memories.setdefault(head.log, _Memory())
        note = read_note(head.checkpoint)
        same = await self._published_before(head, note, memory)
        if same is not None:
            note = merge(read_note(same.note), note.lines)
        note = await self._shown(head, note, memory, this, is_new=same is None)
        made = Published(
            log=head.log,
            size=head.size,
            at_ms=self._clock.now_ms(),
            note=str(note),
            is_witnessed=self._is_witnessed(head, note),
            stamp=await self._stamp(head, note, same, this),
        )
        self._once.alarm("witnesses-missing", head, None, well=self._is_enough(head, note))
        if same is not None and made == replace(same, at_ms=made.at_ms):
            memory.published = same
            return same
        await self._ledger.remember([KeepPublished(made)])
        memory.published = made
        return made

    async def _shown(
        self, head: Head, note: Note, memory: _Memory, this: _Round, *, is_new: bool
    ) -> Note:
        """Return the note with what the witnesses say who are to be asked now.

        Where cosignatures are wanted these are all. Where there are enough, those who did not
        cosign for this process within a day: they may hold more of the log than it does.
        """
        is_enough = not is_new and self._is_enough(head, note)
        asked = [one for one in self._witnesses if not is_enough or self._is_due(head, one, memory)]
        known = {(line.name, line.key_id) for line in note.lines} if is_enough else set()
        # Who cosigned this very checkpoint is asked from there: the proof is empty.
        olds = [
            head.size
            if any(line.is_of(one.key) for line in note.lines)
            else memory.cosigned.get(one.key, 0)
            for one in asked
        ]
        found = await asyncio.gather(
            *(self._ask(head, one, old, memory, this) for one, old in zip(asked, olds, strict=True))
        )
        lines = (line for several in found for line in several)
        # An earlier cosignature says more than one that repeats it.
        return merge(note, (line for line in lines if (line.name, line.key_id) not in known))

    def _is_due(self, head: Head, witness: OutsideWitness, memory: _Memory) -> bool:
        """Whether to ask a witness although there are enough cosignatures.

        It was not heard of this log for a day, or never by this process, or it
        cosigned more than the log holds now: a database was restored under us.
        """
        heard = memory.heard.get(witness.key)
        if heard is None or memory.cosigned.get(witness.key, 0) > head.size:
            return True
        return self._clock.monotonic() - heard >= _ASK_AGAIN_SECONDS

    async def _published_before(self, head: Head, note: Note, memory: _Memory) -> Published | None:
        """Return what was published of this very checkpoint, here or by another process."""
        before = memory.published
        if before is None or before.size != head.size or not before.is_witnessed:
            # A replica that was quicker must not be overwritten by who reached fewer witnesses.
            before = await self._store.newest_witnessed(head.log, head.size) or before
        if before is None or before.size != head.size or read_note(before.note).text != note.text:
            return None
        return before

    def _is_enough(self, head: Head, note: Note) -> bool:
        """Whether no further cosignature is wanted; by today's policy, whatever was kept."""
        return not self._witnesses or self._is_witnessed(head, note)

    def _is_witnessed(self, head: Head, note: Note) -> bool:
        keys = [one.key for one in self._witnesses]
        now = self._clock.now_ms() // 1000
        return is_witnessed(str(note), head.vkey, keys, self._required, now=now)

    async def _ask(
        self, head: Head, witness: OutsideWitness, old: int, memory: _Memory, this: _Round
    ) -> list[SignatureLine]:
        """Return the lines of one witness; none if it gives none, for whatever reason."""
        try:
            answer = await self._submit(head, witness, old, this)
            told = _told_size(answer)
            if told is not None and told <= head.size:
                # It remembers another size than we: once more, from that one.
                answer = await self._submit(head, witness, told, this)
            return await self._read(head, witness, answer, memory)
        except Unavailable:
            return []
        except Tampered as error:
            # Our own tiles: the witnesses are not to blame, and the others are still asked.
            self._once.alarm(error.code, head, witness, well=False)
            return []

    async def _submit(self, head: Head, witness: OutsideWitness, old: int, this: _Round) -> Posted:
        """Return a witness's answer; `Unavailable` if it is not there, or slow in this round."""
        proof = await self._proof(head, old) if 0 < old <= head.size else []
        if this.is_left_out(witness.key):
            raise _too_slow()
        begun = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._patience):
                body = write_submission(old, proof, head.checkpoint).encode()
                answer = await witness.post(body)
        except TimeoutError:
            this.hung(witness.key)
            raise _too_slow() from None
        this.took(witness.key, self._clock.monotonic() - begun)
        return answer

    async def _read(
        self, head: Head, witness: OutsideWitness, answer: Posted, memory: _Memory
    ) -> list[SignatureLine]:
        """Judge a witness's last answer; return its lines if they verify."""
        told = _told_size(answer)
        if told is not None:
            # Another replica may have published more meanwhile: then it is no rollback.
            if told > (await self._store.head(head.log)).size:
                await self._accuse(head, witness, told)
            return []
        if answer.status == _UNPROCESSABLE:
            await self._accuse(head, witness, None)
            return []
        well = answer.status not in _REFUSING
        self._once.alarm("witness-refuses", head, witness, well=well)
        if answer.status != _OK:
            return []
        lines = self._verified(head, witness, answer)
        if lines:
            memory.cosigned[witness.key] = head.size
            memory.heard[witness.key] = self._clock.monotonic()
            self._accused.discard((head.log, witness.key))
        return lines

    def _verified(self, head: Head, witness: OutsideWitness, answer: Posted) -> list[SignatureLine]:
        """Return the lines of the witness's known key; others are ignored, a bad one is alarming.

        tlog-witness: the client must ignore cosignatures from unknown keys.
        """
        now = self._clock.now_ms() // 1000
        try:
            text = read_note(head.checkpoint).text
            note = Note(text, read_lines(answer.body.decode("utf-8", "surrogateescape")))
            good = [each.line for each in cosignatures(note, [witness.key], now=now)]
        except Tampered:
            good = []
        self._once.alarm("witness-cosignature-bad", head, witness, well=bool(good))
        return good

    async def _accuse(self, head: Head, witness: OutsideWitness, told: int | None) -> None:
        """Record and tell that a witness holds evidence against this log, once.

        `told` is the larger size that it cosigned, or None where it is the proof that fails.
        """
        place = (head.log, witness.key)
        if place in self._accused:
            return
        said = {} if told is None else {"cosigned": told}
        alarm = entry(
            "ledger.alarm",
            Principal("system", "seawall", SYSTEM_LOG),
            self._clock,
            code="log-forked",
            log=head.origin,
            size=head.size,
            witness=witness.key.name,
            **said,
        )
        index: int | None = None
        try:
            index = (await self._ledger.append(SYSTEM_LOG, alarm)).index
            self._accused.add(place)
        finally:
            # Whether or not it could be recorded, somebody must look.
            self._notifier.alarm("log-forked", head.log, index)

    async def _proof(self, head: Head, old: int) -> list[bytes]:
        """Return the consistency proof from an older size; `Unavailable` if pruning took a tile."""
        places: set[tuple[int, int]] = set()

        def note(level: int, index: int) -> bytes:
            """Note that a tile is needed, and give a blank one."""
            places.add((level, index))
            return bytes(TILE_BYTES)

        # Making a proof is pure: a first pass over blank tiles tells which to read.
        consistency_proof(old, head.size, note)
        tiles = {place: await self._store.tile(head.log, *place) for place in sorted(places)}
        try:
            return consistency_proof(old, head.size, lambda level, index: tiles[level, index])
        except Tampered:
            if old >= head.minimum:
                raise
            raise Unavailable(
                "proof-pruned",
                "the log was pruned beyond what a witness last cosigned",
                "have the witness's operator begin a new record of this log",
            ) from None

    async def _stamp(
        self, head: Head, note: Note, same: Published | None, this: _Round
    ) -> bytes | None:
        """Return a time stamp of the checkpoint's text; None if there is none this time."""
        if self._stamps is None or (same is not None and same.stamp is not None):
            return same.stamp if same is not None else None
        stamp: bytes | None = None
        if this.has_stamps:
            try:
                async with asyncio.timeout(self._patience):
                    stamp = await self._stamps.stamp(note.text.encode())
            except TimeoutError:
                this.has_stamps = False
            except Error:
                pass
        self._once.alarm("time-stamp-missing", head, None, well=stamp is not None)
        return stamp


async def latest_witnessed(store: Store, log: str) -> Published | None:
    """Return a log's newest checkpoint that enough witnesses cosigned, or None."""
    return await store.newest_witnessed(log, 0)


def _too_slow() -> Unavailable:
    return Unavailable(
        "outside-unreachable",
        "a witness or a time-stamp authority does not answer as it should",
        "check its url and authority, and that it runs",
    )


def _told_size(answer: Posted) -> int | None:
    """Return the size that a 409 names: tlog-witness, "add-checkpoint"."""
    if answer.status != _CONFLICT or answer.content_type != SIZE_TYPE:
        return None
    text = answer.body.decode("ascii", "replace")
    return read_size(text.removesuffix("\n"))
