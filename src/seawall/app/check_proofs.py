"""Proofs of possession of a key: for this request, once, at this process alone.

RFC 9449. A used proof is remembered in memory, since a write of the ledger for each
request would cost more than the request. That is sound with several replicas because
each hands out a nonce of its own (section 8) and takes no other's: a proof that was
stolen on the way to one replica is worth nothing at the next. A client that is moved
to another replica is told that one's nonce, and asks again.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING, Final

from seawall.core.errors import Refused
from seawall.core.identity.dpop import SpentProofs, refused_proof, require_proof

if TYPE_CHECKING:
    from seawall.app.ports import Clock, Proofs, Random
    from seawall.core.identity.dpop import ShownProof

NONCE_SECONDS: Final = 300
"""A nonce is new so often; the one before it is taken as well."""


class CheckProofs:
    """Checks proofs for one process."""

    def __init__(self, *, proofs: Proofs, clock: Clock, random: Random, origin: str) -> None:
        """Begin with a key of this process; `origin` is what clients call it: `https://NAME`."""
        self._proofs = proofs
        self._clock = clock
        self._key = random.bytes(32)
        self._origin = origin
        self._spent = SpentProofs()

    def nonce(self) -> str:
        """Return the nonce of now."""
        return self._nonce(self._period())

    def at_token_endpoint(self, shown: ShownProof) -> str:
        """Return the thumbprint of the key that a token is to be bound to; `Refused` otherwise.

        It asks for no nonce: the assertion that comes with it works once, everywhere.
        """
        return self._checked(shown, None, None, needs_nonce=False)

    def at_resource(self, shown: ShownProof, token: str, bound: str) -> None:
        """Accept the proof that came with a token bound to a key; `Refused` otherwise."""
        self._checked(shown, token, bound, needs_nonce=True)

    def _checked(
        self, shown: ShownProof, token: str | None, bound: str | None, *, needs_nonce: bool
    ) -> str:
        proof = self._proofs.read(shown.proof)
        identity = require_proof(proof, shown, self._origin, token, self._clock.now_ms() // 1000)
        if bound is not None and not hmac.compare_digest(bound, proof.thumbprint):
            raise refused_proof("it shows another key than the token is bound to")
        if needs_nonce:
            self._require_nonce(proof.claims.get("nonce"))
        self._spent.spend(proof.thumbprint, identity, self._clock.monotonic())
        return proof.thumbprint

    def _require_nonce(self, said: object) -> None:
        period = self._period()
        known = (self._nonce(period), self._nonce(period - 1))
        if isinstance(said, str) and any(
            hmac.compare_digest(said.encode(), one.encode()) for one in known
        ):
            return
        error = Refused(
            "proof-nonce-needed",
            "the DPoP proof has not the nonce of this server's process",
            "make a proof with the nonce of the answer's header DPoP-Nonce, and send it again",
        )
        error.nonce = known[0]
        raise error

    def _period(self) -> int:
        return self._clock.now_ms() // 1000 // NONCE_SECONDS

    def _nonce(self, period: int) -> str:
        made = hmac.digest(self._key, str(period).encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(made[:18]).decode()
