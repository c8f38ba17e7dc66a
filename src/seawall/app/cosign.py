"""The witness: cosigns a checkpoint if it continues the latest one that it cosigned.

C2SP tlog-witness. The rule is `seawall.core.ledger.witness.judge`; here it is joined
with what the witness remembers. Nothing else of Seawall is needed for it: an
organisation that trusts neither us nor the log can run it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from seawall.core.errors import Invalid, Missing
from seawall.core.ledger.checkpoint import parse_vkey
from seawall.core.ledger.cosignature import NAME_BYTES, cosign, merge
from seawall.core.ledger.note import Note
from seawall.core.ledger.witness import Latest, Stale, judge, read_submission

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from seawall.app.ports import Clock, WitnessBook
    from seawall.core.ledger.note import VerifierKey


@dataclass(frozen=True, slots=True)
class CosignerKey:
    """A witness's own key: what others know of it, and what signs with it."""

    key: VerifierKey
    sign: Callable[[bytes], bytes] = field(repr=False)


class Cosign:
    """Answers what logs submit, and remembers what it said."""

    def __init__(self, *, keys: Sequence[CosignerKey], book: WitnessBook, clock: Clock) -> None:
        self._keys = tuple(keys)
        self._book = book
        self._clock = clock

    async def add_checkpoint(self, body: bytes) -> str | Stale:
        """Return this witness's cosignature lines for a submitted checkpoint.

        Or the size from which it would have to be asked. The errors are those of
        `read_submission` and `judge`. The checkpoint is durable before anyone sees a line.
        """
        submission = read_submission(body)
        checkpoint, note = submission.checkpoint, submission.note
        while True:
            trusted = [parse_vkey(vkey) for vkey in await self._book.trusted(checkpoint.origin)]
            before = await self._book.latest(checkpoint.origin)
            stale = judge(submission, trusted, before)
            if stale is not None:
                return stale
            at = self._clock.now_ms() // 1000
            lines = [cosign(note, each.key, each.sign, at) for each in self._keys]
            # What is handed to monitors holds the log's trusted signatures and ours, no others.
            own = tuple(line for line in note.lines if any(line.is_of(key) for key in trusted))
            kept = merge(Note(note.text, own), lines)
            after = Latest(checkpoint.origin, checkpoint.size, checkpoint.root, str(kept))
            # A request that came between has changed the latest: judged anew, this one is stale.
            # The lines that were made for it are dropped, and nobody has seen them.
            if await self._book.replace(before, after):
                return "".join(map(str, lines))

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
