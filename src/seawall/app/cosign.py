"""The witness: cosigns a checkpoint if it continues the latest one that it cosigned.

C2SP tlog-witness. The rule is `seawall.core.ledger.witness.judge`; here it is joined
with what the witness remembers. Nothing else of Seawall is needed for it: an
organisation that trusts neither us nor the log can run it.

A log's checkpoints are public, so anybody can submit them again. A checkpoint that was
cosigned a moment ago is answered from memory, without a signature or a write, and
growth is signed one request at a time for each log.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from seawall.core.errors import Invalid, Missing, Tampered, Unavailable
from seawall.core.ledger.checkpoint import parse_vkey
from seawall.core.ledger.cosignature import NAME_BYTES, cosign, cosignatures, merge
from seawall.core.ledger.note import Note, read_note
from seawall.core.ledger.witness import Latest, Stale, judge, read_submission

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from seawall.app.ports import Clock, WitnessBook
    from seawall.core.ledger.note import VerifierKey
    from seawall.core.ledger.witness import Submission

_FRESH_SECONDS: Final = 60
_WAITING: Final = 64
_WAITING_AGAIN: Final = 32
_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class CosignerKey:
    """A witness's own key: what others know of it, and what signs with it."""

    key: VerifierKey
    sign: Callable[[bytes], bytes] = field(repr=False)


@dataclass(slots=True)
class _Turn:
    """Whose turn it is to sign for one log, and how many there are with who signs."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    count: int = 0


@dataclass(frozen=True, slots=True)
class _Remembered:
    """What the book said of a log at a moment: the keys that are trusted, the latest cosigned."""

    trusted: Sequence[VerifierKey]
    before: Latest | None


class Cosign:
    """Answers what logs submit, and remembers what it said."""

    def __init__(self, *, keys: Sequence[CosignerKey], book: WitnessBook, clock: Clock) -> None:
        self._keys = tuple(keys)
        self._book = book
        self._clock = clock
        self._turns: dict[str, _Turn] = {}
        """By origin; only of those that are trusted, and only while somebody waits."""
        self._readings: dict[str, asyncio.Task[_Remembered]] = {}
        """By origin; only while the book is read."""

    async def add_checkpoint(self, body: bytes) -> str | Stale:
        """Return this witness's cosignature lines for a submitted checkpoint.

        Or the size from which it would have to be asked. The errors are those of
        `read_submission` and `judge`, and `Unavailable` where too many ask for one log at
        once. The checkpoint is durable before anyone sees a line.
        """
        submission = read_submission(body)
        origin = submission.checkpoint.origin
        # Before the queue: who submits again what was cosigned must not hold up who grows.
        known = await self._shared(origin)
        said = self._said(submission, known)
        if said:
            return said
        # Who asks for new lines of what was cosigned leaves room for who brings more.
        is_again = known.before is not None and known.before.size == submission.checkpoint.size
        async with self._turn(origin, _WAITING_AGAIN if is_again else _WAITING):
            for _ in range(_TRIES):
                known = await self._read(origin)
                said = self._said(submission, known) or await self._cosigned(submission, known)
                if said:
                    return said
        raise _busy()

    async def _read(self, origin: str) -> _Remembered:
        trusted = [parse_vkey(vkey) for vkey in await self._book.trusted(origin)]
        return _Remembered(trusted, await self._book.latest(origin))

    async def _shared(self, origin: str) -> _Remembered:
        """Read the book, together with all who ask for the same log at this moment.

        What this process kept meanwhile is never missed: `_cosigned` ends the sharing.
        """
        reading = self._readings.get(origin)
        if reading is None:
            reading = asyncio.create_task(self._read(origin))
            self._readings[origin] = reading
            reading.add_done_callback(lambda done: self._shared_no_more(origin, done))
        return await asyncio.shield(reading)

    def _shared_no_more(self, origin: str, reading: asyncio.Task[_Remembered]) -> None:
        if self._readings.get(origin) is reading:
            del self._readings[origin]
        if not reading.cancelled():
            reading.exception()  # whoever waited was told; nobody may be left

    def _said(self, submission: Submission, known: _Remembered) -> Stale | str:
        """Return what can be said without a signature; empty if it is to be cosigned."""
        stale = judge(submission, known.trusted, known.before)
        return stale or self._kept_lines(submission, known)

    def _kept_lines(self, submission: Submission, known: _Remembered) -> str:
        """Return the lines that were made for this checkpoint a moment ago; empty if none were.

        That root and proof are right where the size is, the caller has judged.
        """
        before, note = known.before, submission.note
        if before is None or before.size != submission.checkpoint.size:
            return ""
        kept = read_note(before.note)
        if kept.text != note.text:
            return ""  # extension lines are cosigned too, and these have others
        now = self._clock.now_ms() // 1000
        try:
            found = cosignatures(kept, [each.key for each in self._keys], now=now)
        except Tampered:
            return ""  # the clock was set back, or the file changed: cosigned anew
        fresh = [each for each in found if abs(now - each.at) < _FRESH_SECONDS]
        if {each.key for each in fresh} != {each.key for each in self._keys}:
            return ""
        return "".join(str(each.line) for each in fresh)

    async def _cosigned(self, submission: Submission, known: _Remembered) -> str:
        """Cosign and keep; empty if another process changed the latest one meanwhile."""
        checkpoint, note = submission.checkpoint, submission.note
        at = self._clock.now_ms() // 1000
        lines = [cosign(note, each.key, each.sign, at) for each in self._keys]
        # What is handed to monitors holds the log's trusted signatures and ours, no others.
        own = tuple(line for line in note.lines if any(line.is_of(key) for key in known.trusted))
        kept = merge(Note(note.text, own), lines)
        after = Latest(checkpoint.origin, checkpoint.size, checkpoint.root, str(kept))
        # A request that came between has changed the latest: judged anew, this one is stale.
        # The lines that were made for it are dropped, and nobody has seen them.
        is_kept = await self._book.replace(known.before, after)
        self._readings.pop(checkpoint.origin, None)
        return "".join(map(str, lines)) if is_kept else ""

    @asynccontextmanager
    async def _turn(self, origin: str, most: int) -> AsyncIterator[None]:
        """Be alone with a log in this process; `Unavailable` if `most` wait for it."""
        turn = self._turns.setdefault(origin, _Turn())
        if turn.count >= most:
            raise _busy()
        turn.count += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.count -= 1
            if not turn.count:
                del self._turns[origin]

    async def checkpoint(self, origin_hash: str) -> str:
        """Return the latest cosigned checkpoint of a log; `Missing` if there is none."""
        latest = await self._book.latest_by_hash(origin_hash)
        if latest is None:
            raise Missing(
                "witness-checkpoint-unknown",
                "this witness has cosigned no checkpoint of such a log",
                "ask by the SHA-256 of the log's origin, in lower-case hexadecimal digits",
            )
        return latest.note


def _busy() -> Unavailable:
    return Unavailable(
        "witness-busy",
        "too many ask this witness about one log at the same time",
        "ask again in the next round; nothing was cosigned",
    )


def check_log_key(vkey: str) -> VerifierKey:
    """Return a log's key that a witness may trust; `Invalid` if it cannot be cosigned for."""
    key = parse_vkey(vkey)
    if len(key.name.encode()) > NAME_BYTES:
        raise Invalid(
            "witness-log-name",
            "the log's name is too long to be cosigned",
            f"C2SP tlog-cosignature allows {NAME_BYTES} bytes",
        )
    return key
