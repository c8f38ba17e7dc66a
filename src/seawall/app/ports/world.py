"""The rest of the world: models, detection, tokens, people, archives, witnesses, time, chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import date, datetime

    from seawall.app.ports.reading import Lying
    from seawall.core.identity.dpop import Proof
    from seawall.core.ledger.witness import Latest
    from seawall.core.phi.clinical import ClinicalTerm
    from seawall.core.phi.known import KnownIdentifiers
    from seawall.core.phi.spans import Span
    from seawall.core.registers.endpoint import EndpointSpec


class Answer(Protocol):
    """What an upstream answers: a status, then bytes."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    async def read(self) -> bytes:
        """Return the whole body, bounded; `Unavailable` if it breaks off or is too large."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes; `Unavailable` if it breaks off or stalls."""
        ...


class ModelClient(Protocol):
    """Sends a request to a model's endpoint; follows no redirect, reads no proxy environment."""

    def send(
        self, endpoint: EndpointSpec, path: str, body: bytes
    ) -> AbstractAsyncContextManager[Answer]:
        """Post `body` below the endpoint's URL; `Unavailable` if no answer comes."""
        ...


class Detector(Protocol):
    """Finds identifiers and clinical content in a text."""

    def find(self, text: str, known: Sequence[KnownIdentifiers] = ()) -> list[Span]:
        """Return ordered spans that do not overlap, in code points."""
        ...

    def clinical_terms(self, text: str) -> list[ClinicalTerm]:
        """Return the clinical content of a text."""
        ...


class Tokens(Protocol):
    """Signs access tokens and checks what clients sign."""

    def issue(self, claims: Mapping[str, Any]) -> str:
        """Return a signed token."""
        ...

    def claims(self, token: str) -> dict[str, Any]:
        """Return the claims of a token of ours whose signature holds; `Refused` otherwise."""
        ...

    def assertion(self, assertion: str, public_key: Mapping[str, str]) -> dict[str, Any]:
        """Return the claims of a client's assertion whose signature holds; `Refused` otherwise."""
        ...

    def issuer(self, assertion: str) -> str:
        """Return who an assertion says it is from, unverified; `Invalid` if unreadable."""
        ...

    def blind(self, text: str) -> str:
        """Return a keyed digest of a text: the same everywhere, and no way back."""
        ...


class Proofs(Protocol):
    """Reads proofs of possession of a key (RFC 9449)."""

    def read(self, proof: str) -> Proof:
        """Return a proof whose signature holds under its own key; `Refused` otherwise."""
        ...


class Notifier(Protocol):
    """Tells people that something must be looked at."""

    def alarm(self, code: str, tenant: str, entry: int | None) -> None:
        """Raise an alarm by a code, whose log, and an entry's index; never fails."""
        ...


@dataclass(frozen=True, slots=True)
class Posted:
    """What one place answered to a post: an HTTP status, the body's type, the whole body."""

    status: int
    content_type: str
    body: bytes


class Post(Protocol):
    """Posts to one place of the world; follows no redirect, reads no proxy environment."""

    async def __call__(self, body: bytes) -> Posted:
        """Post a body; `Unavailable` unless a whole answer comes in time and is not too large."""
        ...


class TimeStamps(Protocol):
    """An RFC 3161 authority that says when something existed."""

    async def stamp(self, signed: bytes) -> bytes:
        """Return a TimeStampResp (DER) over these bytes that was verified.

        `Unavailable` if none comes, `Tampered` if it is not what was asked for or not trusted.
        """
        ...


class Archive(Protocol):
    """Keeps what it took, unchanged, for as long as it was told: a folder or a bucket.

    Paths are relative, and those of one log's tlog-tiles folder below its origin.
    """

    @property
    def name(self) -> str:
        """The name that the settings give it."""
        ...

    @property
    def is_locked(self) -> bool:
        """Whether nobody can delete or shorten what it took, its owner included."""
        ...

    async def self_test(self) -> None:
        """Try to break its promises; `Refused` (`archive-untrusted`) if it lets us."""
        ...

    async def now(self) -> datetime | None:
        """Return the time by the archive's own clock; None if it has none but this machine's."""
        ...

    async def put(self, path: str, content: bytes, retain_until: datetime) -> str:
        """Keep a new object durably; return the archive's own word for this very object.

        The same content again changes nothing but a retention that was shorter; another
        content is a `Conflict` (`archive-conflict`). `Unavailable` if it cannot.
        """
        ...

    async def get(self, path: str, version: str) -> bytes:
        """Return an object by its version; `Missing` if it is not there."""
        ...

    def lying(self, below: str) -> AsyncIterator[Lying]:
        """Yield what lies below a path, every version of it, in no order; nothing is no error."""
        ...

    async def extend(self, path: str, version: str, retain_until: datetime) -> None:
        """Keep an object longer; `Refused` (`retention-shortened`) if that is earlier."""
        ...

    async def hold(self, path: str, version: str, *, is_held: bool) -> None:
        """Place or lift a legal hold, which keeps an object whatever its retention says."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class WitnessBook(Protocol):
    """What a witness remembers: whose logs it trusts, and the latest checkpoint of each."""

    async def trusted(self, origin: str) -> list[str]:
        """Return the verifier keys that are trusted for a log; none if it is unknown."""
        ...

    async def latest(self, origin: str) -> Latest | None:
        """Return the latest checkpoint of a log that was cosigned, or None."""
        ...

    async def latest_by_hash(self, origin_hash: str) -> Latest | None:
        """Return it by the SHA-256 of the origin, in hex."""
        ...

    async def replace(self, before: Latest | None, after: Latest) -> bool:
        """Keep `after` durably if `before` is still the latest, both as one; say whether it was."""
        ...


class Clock(Protocol):
    """The time, handed in so that nothing below reads it."""

    def now(self) -> datetime:
        """Return the time in UTC."""
        ...

    def now_ms(self) -> int:
        """Return milliseconds since 1970."""
        ...

    def today(self) -> date:
        """Return the date in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds of a clock that never goes back."""
        ...


class Random(Protocol):
    """Randomness for ids, keys and nonces; cryptographic."""

    def bytes(self, count: int) -> bytes:
        """Return `count` random bytes."""
        ...


class SecondFactor(Protocol):
    """Codes that only somebody's own device makes, each for a short time."""

    def new_secret(self) -> str:
        """Return a new secret, which is shown to its owner once."""
        ...

    def uri(self, name: str, secret: str) -> str:
        """Return what a device reads a secret from."""
        ...

    def step_of(self, secret: str, code: str, now_ms: int) -> int | None:
        """Return the time step that a code is of; None unless it is fresh and right."""
        ...
