"""What a proof of possession must say: for this request, for this token, now, and once.

RFC 9449. A token that is bound to a key is worth nothing to whoever has not the key;
a proof is worth nothing for another request. Nothing here verifies a signature.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from seawall.core.errors import Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

KIND: Final = "dpop+jwt"
"""The `typ` of a proof: no other token of anybody's passes for one (RFC 8725, section 3.11)."""
OLDEST_SECONDS: Final = 60
"""So long ago a proof may have been made."""
AHEAD_SECONDS: Final = 30
"""So far ahead a client's clock may be."""
KEPT_SECONDS: Final = OLDEST_SECONDS + AHEAD_SECONDS + 1
"""So long a used proof is remembered: after that its time is over."""
MOST_PROOFS: Final = 200_000
"""So many used proofs are remembered at once; more are refused, and none forgotten early."""

_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9._~-]")
_IDENTITY: Final = re.compile(r"[\x21-\x7e]{8,256}")


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof whose signature holds under the key that it shows."""

    kind: str
    """The header's `typ`."""
    claims: Mapping[str, Any]
    thumbprint: str
    """The key's thumbprint by RFC 7638."""


@dataclass(frozen=True, slots=True)
class ShownProof:
    """A proof as it came, and the request that it came with."""

    proof: str = field(repr=False)
    method: str
    path: str
    """The request's path as it was sent, without its query."""


def require_proof(proof: Proof, shown: ShownProof, origin: str, token: str | None, now: int) -> str:
    """Return the proof's id if it is for this request and token; `Refused` otherwise.

    `origin` is what this server is called, from its settings and never from a request;
    `now` is in seconds. It looks neither at the nonce nor for an earlier use.
    """
    claims = proof.claims
    identity, issued, url = claims.get("jti"), claims.get("iat"), claims.get("htu")
    if proof.kind != KIND:
        raise refused_proof("typ is not dpop+jwt")
    if not isinstance(identity, str) or not _IDENTITY.fullmatch(identity):
        raise refused_proof("jti is missing, short or long")
    if claims.get("htm") != shown.method:
        raise refused_proof("htm is another method than the request's")
    meant = normal_url(origin + shown.path)
    if meant is None or not isinstance(url, str) or normal_url(url) != meant:
        raise refused_proof("htu is another address than the request's")
    if type(issued) is not int or not now - OLDEST_SECONDS <= issued <= now + AHEAD_SECONDS:
        raise refused_proof("iat is not now")
    said = claims.get("ath")
    if token is not None and not (
        isinstance(said, str) and hmac.compare_digest(said.encode(), token_digest(token).encode())
    ):
        raise refused_proof("ath is not the token's digest")
    return identity


def token_digest(token: str) -> str:
    """Return `ath`: the token's SHA-256 in base64url (RFC 9449, section 4.2)."""
    digest = hashlib.sha256(token.encode(errors="surrogatepass")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def normal_url(url: str) -> str | None:
    """Return an https address in one spelling, without query and fragment; None if it is none.

    RFC 3986, sections 6.2.2 and 6.2.3, as RFC 9449 section 4.3 asks for. The port is left
    out: before a load balancer it is not the server's to know.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc:
        return None
    return f"https://{parts.hostname}{_ESCAPE.sub(_one_spelling, parts.path) or '/'}"


def _one_spelling(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if _UNRESERVED.fullmatch(character) else escape[0].upper()


class SpentProofs:
    """Remembers used proofs for as long as they would count; of one process alone.

    It never forgets one early to make room: it refuses the next instead.
    """

    __slots__ = ("_held", "_limit")

    def __init__(self, limit: int = MOST_PROOFS) -> None:
        self._held: OrderedDict[bytes, float] = OrderedDict()
        self._limit = limit

    def __repr__(self) -> str:
        return f"<SpentProofs of {len(self._held)}>"

    def spend(self, thumbprint: str, identity: str, now: float) -> None:
        """Remember a proof; `Refused` if it was used, `Unavailable` while there is no room.

        `now` is in seconds of a clock that never goes back.
        """
        while self._held and next(iter(self._held.values())) <= now:
            self._held.popitem(last=False)
        digest = hashlib.sha256(f"{thumbprint}\n{identity}".encode()).digest()
        if digest in self._held:
            raise refused_proof("it was used before")
        if len(self._held) >= self._limit:
            raise Unavailable(
                "proofs-full",
                "too many proofs were used within a minute to remember them all",
                "ask again in a minute",
            )
        self._held[digest] = now + KEPT_SECONDS


def refused_proof(why: str) -> Refused:
    """Return the refusal of a proof, which names a field of it and no value."""
    return Refused(
        "proof-refused",
        f"the DPoP proof is not accepted: {why}",
        "make a new proof for each request, with the key to which the token is bound (RFC 9449)",
    )
