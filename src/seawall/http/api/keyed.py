"""Requests with an idempotency key: the same one twice is done once.

draft-ietf-httpapi-idempotency-key-header. A key is a caller's own, counts for a day
and is claimed in the store, so that of two replicas one does it. Only what was done
is kept; an error that is told before anything changes lets the key go, and where it
is not known what came of a request, its key stays claimed and nothing is done twice.
What is kept holds no PHI and no secret: a route whose answer does, says so.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson
from starlette.responses import Response

from seawall.app.ports import BeginAnswer, KeepAnswer
from seawall.core.errors import Conflict, Invalid, Unavailable

if TYPE_CHECKING:
    from starlette.requests import Request

    from seawall.app.ports import Clock, KeptAnswer, Ledger, Random, Store
    from seawall.core.policy.principal import Principal

HEADER: Final = "Idempotency-Key"
_DAY_MS: Final = 86_400_000
_MOST_KEPT: Final = 65_536
_KEY: Final = re.compile(r'"?[A-Za-z0-9._~:+/=-]{8,128}"?', re.ASCII)
_HEADERS: Final = ("content-type", "etag", "location", "seawall-entry")


class Replay(Exception):
    """What was answered to the same request before."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


@dataclass(frozen=True, slots=True)
class Turn:
    """A claimed key: this request is the one that is done."""

    digest: str
    asked: str
    by: str
    until_ms: int


class Turns:
    """Claims keys, and keeps what was answered."""

    def __init__(
        self, *, store: Store, ledger: Ledger, clock: Clock, random: Random, key: bytes
    ) -> None:
        """Take a key under which requests are told apart: their bodies may name patients."""
        self._blinding = hmac.digest(key, b"seawall answers", hashlib.sha256)
        self._store = store
        self._ledger = ledger
        self._clock = clock
        self._random = random

    async def claim(
        self, request: Request, principal: Principal, body: bytes, *, is_needed: bool
    ) -> Turn | None:
        """Return the turn that a request has, None without a key; raise `Replay` if it was done.

        `Conflict` if the key was used for another request, or that one is under way.
        """
        key = _key(request, is_needed=is_needed)
        if key is None:
            return None
        whose = [principal.tenant, principal.kind, principal.name, key]
        what = [
            request.method,
            request.scope["path"],
            request.scope["query_string"].decode("latin-1"),
        ]
        asked = self._blind(orjson.dumps(what) + b"\n" + body)
        now_ms = self._clock.now_ms()
        digest = self._blind(orjson.dumps(whose))
        turn = Turn(digest, asked, self._random.bytes(16).hex(), now_ms + _DAY_MS)
        began = BeginAnswer(digest, asked, turn.by, now_ms, turn.until_ms)
        await self._ledger.remember([began])
        held = await self._store.answer(digest)
        if held is None:
            raise Unavailable("key-lost", "the key could not be claimed", "send it again")
        if held.by == turn.by:
            return turn
        raise Replay(_again(held, asked))

    def _blind(self, told: bytes) -> str:
        return hmac.new(self._blinding, told, hashlib.sha256).hexdigest()

    async def done(self, turn: Turn, response: Response, *, keeps: bool) -> None:
        """Keep what was answered, if it was done; else let the key go, if nothing was."""
        status = response.status_code
        if status < 400:  # noqa: PLR2004  RFC 9110, 15
            kept = KeepAnswer(turn.digest, turn.by, status, _packed(response, keeps=keeps))
            await self._ledger.remember([kept])
        elif status < 500:  # noqa: PLR2004  RFC 9110, 15
            # In the place of the claim comes one that has expired, which is nobody's.
            gone = BeginAnswer(turn.digest, turn.asked, turn.by, turn.until_ms, 0)
            await self._ledger.remember([gone])


def _key(request: Request, *, is_needed: bool) -> str | None:
    said = request.headers.getlist(HEADER)
    if not said and not is_needed:
        return None
    if len(said) != 1:
        raise Invalid(
            "key-needed",
            f"this needs the header {HEADER}, once",
            "send a new random key with each new request, and the same one when you repeat it",
        )
    if not _KEY.fullmatch(said[0]):
        raise Invalid(
            "key-invalid",
            f"the header {HEADER} is no key",
            "use 8 to 128 letters, digits and . _ ~ : + / = -, for example a UUID",
        )
    return said[0].strip('"')


def _packed(response: Response, *, keeps: bool) -> bytes:
    """Return an answer as it is kept: a line of headers, then the body, unless it is secret."""
    body = bytes(response.body)
    headers = {name: response.headers[name] for name in _HEADERS if name in response.headers}
    is_kept = keeps and len(body) <= _MOST_KEPT
    said = {"kept": is_kept, "headers": headers}
    return orjson.dumps(said) + b"\n" + (body if is_kept else b"")


def _again(held: KeptAnswer, asked: str) -> Response:
    if held.asked != asked:
        raise Conflict(
            "key-reused",
            f"the header {HEADER} names a key that was used for another request",
            "use a new key for a new request",
        )
    if held.status is None:
        raise Conflict(
            "key-under-way",
            "the request with this key is under way, or it is not known what came of it",
            "wait; if it stays so, look at what there is, and then use a new key",
        )
    line, _, body = held.body.partition(b"\n")
    said: dict[str, Any] = orjson.loads(line)
    if not said["kept"]:
        error = Conflict(
            "answer-not-kept",
            "the request with this key was done, and its answer was shown once alone",
            "look at what there is; the entry that this names says what was done",
        )
        entry = said["headers"].get("seawall-entry", "")
        error.entry = int(entry) if entry.isdecimal() else None
        raise error
    headers = {**said["headers"], "Idempotent-Replay": "true", "Cache-Control": "no-store"}
    return Response(body, held.status, headers)
