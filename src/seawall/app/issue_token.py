"""A client proves itself by a signed assertion, and gets a token for ten minutes.

RFC 7523 (assertions), RFC 6749 section 4.4 (client credentials), 45 CFR
164.312(d). Where the connection shows a client certificate, the token is bound to
it (RFC 8705 section 3); where a proof of possession comes with the assertion, to its
key (RFC 9449). A token may be limited to use cases, to one patient, or to what a
client does for a person (RFC 8693). Every token is an entry of the system's log. What
the client may do is read from its document at each request, so a client, a key or a
use case that is withdrawn stops at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from seawall.app.acting import acted_for
from seawall.app.caller import BoundPatient, Caller
from seawall.app.client_assertions import ClientAssertions, may_show
from seawall.app.entries import entry
from seawall.app.ports import SYSTEM_LOG
from seawall.app.revocations import revoking
from seawall.core.errors import Conflict, Invalid, Refused
from seawall.core.policy.principal import Principal
from seawall.core.registers.client import ClientSpec
from seawall.core.registers.spec import NAME_PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable

    from seawall.app.acting import ActedFor, Acting
    from seawall.app.check_proofs import CheckProofs
    from seawall.app.client_assertions import Proven
    from seawall.app.documents import Documents
    from seawall.app.ports import Clock, Ledger, Random, Tokens, Write
    from seawall.app.revocations import Revocations
    from seawall.core.identity.dpop import ShownProof

TOKEN_SECONDS: Final = 600
AUDIENCE: Final = "seawall"
_CERTIFICATE: Final = "x5t#S256"
_KEY: Final = "jkt"
_SCOPE: Final = re.compile(rf"use-case:({NAME_PATTERN})")
_MOST_SCOPES: Final = 64
_STATIC_KEY: Final = re.compile(r"(sk|pk|rk|ak|key|api|apikey|gsk|hf|xai|pplx)[-_].*", re.ASCII)
"""How the long-lived keys of other services begin, which people try here."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a client asks for beside a token: limits, and a key that the token is bound to."""

    scope: str | None = None
    """`use-case:NAME`, several with a space between them (RFC 6749, section 3.3)."""
    patient: str | None = field(default=None, repr=False)
    """The one patient, as the client calls the patient."""
    subject_token: str | None = field(default=None, repr=False)
    """By which the client acts for a person (RFC 8693)."""
    proof: ShownProof | None = None
    """A proof of possession of the key to bind to (RFC 9449)."""
    client_id: str | None = None
    """Who asks, if it is said beside the assertion: then it is the same (RFC 7521, 4.2)."""


_NOTHING_MORE: Final = Wanted()


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token and how long it lives, in seconds."""

    token: str = field(repr=False)
    expires_in: int
    kind: str = "Bearer"
    """`DPoP` if it counts with a proof alone."""
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class Presented:
    """A token as it came: on a connection that showed this certificate, or none."""

    token: str = field(repr=False)
    certificate: str | None = None
    """The certificate's thumbprint, `x5t#S256` of RFC 8705, verified by the handshake."""
    proof: ShownProof | None = None
    """The proof of possession that came with it (RFC 9449)."""


class IssueToken:
    """Issues tokens, tells who a token speaks for, and takes tokens back."""

    def __init__(
        self,
        *,
        documents: Documents,
        tokens: Tokens,
        ledger: Ledger,
        clock: Clock,
        random: Random,
        token_url: str,
        proofs: CheckProofs,
        acting: Acting,
        revocations: Revocations,
    ) -> None:
        self._documents = documents
        self._tokens = tokens
        self._ledger = ledger
        self._clock = clock
        self._random = random
        self._proofs = proofs
        self._acting = acting
        self._revocations = revocations
        self._assertions = ClientAssertions(
            documents=documents, tokens=tokens, clock=clock, token_url=token_url
        )

    def nonce(self) -> str:
        """Return the nonce for the next proof."""
        return self._proofs.nonce()

    async def issue(
        self, assertion: str, certificate: str | None = None, wanted: Wanted = _NOTHING_MORE
    ) -> IssuedToken:
        """Exchange a client's assertion for a token; `Refused` unless everything holds.

        `certificate` is the thumbprint that the connection showed; the token is bound to it.
        """
        client = self._assertions.prove(assertion, certificate, wanted.client_id)
        key = self._key_of(client, wanted.proof)
        cases = _use_cases(wanted.scope, client.spec)
        acted, writes = await self._acted_for(client, wanted.subject_token)
        token_id = self._random.bytes(12).hex()
        said = {
            "certificate": certificate,
            "proof_key": key,
            "use_cases": None if cases is None else sorted(cases),
            "one_patient": wanted.patient is not None or None,
            "person": None if acted is None else acted.user,
        }
        shown = {name: value for name, value in said.items() if value is not None}
        body = entry("token.issue", client.principal, self._clock, token=token_id, **shown)
        await self._spend(body, [client.spending, *writes])
        bound = {_CERTIFICATE: certificate, _KEY: key}
        limits = _limits(cases, acted, client)
        if wanted.patient is not None:
            limits["patient"] = self._blind(client.full_name, token_id)(wanted.patient)
        token = self._token(client, token_id, bound, limits)
        scope = limits.get("scope")
        return IssuedToken(token, TOKEN_SECONDS, "DPoP" if key else "Bearer", scope)

    async def identify(self, presented: Presented) -> Caller:
        """Return who a token of ours speaks for; `Refused` if it is foreign, expired or revoked.

        `Refused` too if it is bound to another certificate than its connection showed, or to a
        key of which no proof came. This is the one way from a token to a caller, so that no
        door can leave a check out.
        """
        if _STATIC_KEY.fullmatch(presented.token):
            raise _static_key()
        claims = self._tokens.claims(presented.token)
        expires, issued = claims.get("exp"), claims.get("iat")
        if claims.get("aud") != AUDIENCE or type(expires) is not int or type(issued) is not int:
            raise _token_refusal("token-foreign", "this token was not issued for Seawall")
        if expires <= self._clock.now_ms() // 1000:
            raise _token_refusal("token-expired", "this token has expired")
        acted = acted_for(claims)
        full_name = str(claims.get("sub", "") if acted is None else claims["act"].get("sub", ""))
        tenant, _, name = full_name.partition("/")
        client = self._documents.register(tenant).find(ClientSpec, name)
        if client is None or not self._counts(claims.get("key"), issued, client.spec):
            raise _token_refusal("token-revoked", "its key or its client counts no more")
        token_id = str(claims.get("jti", ""))
        if await self._revocations.holds(token_id):
            raise _token_refusal("token-revoked", "this token was given back")
        self._check_binding(claims, client.spec, presented)
        caller = self._caller(Principal("client", name, tenant), claims, token_id)
        if acted is None:
            return caller
        session = await self._acting.require_standing(tenant, acted)
        return replace(caller, acting_user=acted.user, acting_session=session)

    async def identify_whole(self, presented: Presented) -> Caller:
        """Return who a token speaks for; `Refused` if it is limited to a part of the client's work.

        For acts that a client's own powers decide, and no use case.
        """
        caller = await self.identify(presented)
        if caller.is_limited:
            raise Refused(
                "token-limited",
                "this token is limited to use cases, a patient or a person",
                "get a token without scope, patient or subject_token for this",
            )
        return caller

    async def revoke(self, assertion: str, certificate: str | None, token: str) -> None:
        """Take a token back on the word of its own client, recorded (RFC 7009).

        One that is foreign, expired or another's is left alone, and nothing is told of it.
        """
        client = self._assertions.prove(assertion, certificate)
        token_id, writes = "", [client.spending]
        try:
            claims = self._tokens.claims(token)
        except Refused:
            claims = {}
        owner = claims["act"].get("sub") if "act" in claims else claims.get("sub")
        expires = claims.get("exp", 0)
        is_ours = claims.get("aud") == AUDIENCE and owner == client.full_name
        if is_ours and expires > self._clock.now_ms() // 1000:
            token_id = str(claims["jti"])
            if not await self._revocations.holds(token_id):
                writes.append(revoking(token_id, expires))
        said = {"token": token_id} if token_id else {}
        await self._spend(entry("token.revoke", client.principal, self._clock, **said), writes)
        self._revocations.forget()

    async def _spend(self, body: dict[str, Any], writes: list[Any]) -> None:
        try:
            await self._ledger.append(SYSTEM_LOG, body, writes)
        except Conflict as error:
            raise Refused(error.code, error.message, error.help) from None

    def _key_of(self, client: Proven, proof: ShownProof | None) -> str | None:
        """Return the thumbprint of the key that a token is to be bound to."""
        if proof is None:
            if client.spec.dpop_bound:
                raise Refused(
                    "proof-needed",
                    "this client gets tokens with a proof of possession alone",
                    "send a DPoP proof in the header DPoP (RFC 9449)",
                )
            return None
        return self._proofs.at_token_endpoint(proof)

    async def _acted_for(
        self, client: Proven, subject_token: str | None
    ) -> tuple[ActedFor | None, list[Write]]:
        if subject_token is None:
            return None, []
        acted, spending = await self._acting.take(subject_token, client.principal)
        return acted, [spending]

    def _token(
        self, client: Proven, token_id: str, bound: dict[str, str | None], limits: dict[str, Any]
    ) -> str:
        now = self._clock.now_ms() // 1000
        shown = {name: value for name, value in bound.items() if value is not None}
        return self._tokens.issue(
            {
                "iss": AUDIENCE,
                "aud": AUDIENCE,
                "sub": client.full_name,
                "iat": now,
                "exp": now + TOKEN_SECONDS,
                "jti": token_id,
                "key": client.key,
                **limits,
                **({"cnf": shown} if shown else {}),
            }
        )

    def _counts(self, key: object, issued: int, client: ClientSpec) -> bool:
        """Whether a token counts that was issued then, for an assertion under this key."""
        since = client.tokens_not_before
        if since is not None and issued < since.timestamp():
            return False
        if key == client.public_key.thumbprint:
            return True
        return any(key == held.thumbprint for held in client.keys_at(self._clock.now()))

    def _check_binding(
        self, claims: dict[str, Any], client: ClientSpec, presented: Presented
    ) -> None:
        """Refuse a token on another connection than it is bound to, or without its key."""
        bound = claims.get("cnf") or {}
        certificate = presented.certificate
        if _CERTIFICATE in bound and bound[_CERTIFICATE] != certificate:
            raise Refused(
                "token-bound",
                "this token is bound to a client certificate that the connection does not show",
                "send it over a connection with the certificate with which it was fetched "
                "(RFC 8705)",
            )
        if not may_show(client, certificate if _CERTIFICATE in bound else None):
            raise _token_refusal("token-unbound", "this client's tokens count with its certificate")
        key, proof = bound.get(_KEY), presented.proof
        if key is None and client.dpop_bound:
            raise _token_refusal("token-unbound", "this client's tokens count with a proof alone")
        if key is not None:
            self._check_proof(presented, key)
        elif proof is not None:
            raise Refused(
                "proof-unasked",
                "this token is not bound to a key, and a proof would protect nothing",
                "send it under Authorization: Bearer, or fetch a bound one with a proof (RFC 9449)",
            )

    def _check_proof(self, presented: Presented, key: str) -> None:
        if presented.proof is None:
            raise Refused(
                "proof-missing",
                "this token is bound to a key, and no proof of it came",
                "send Authorization: DPoP, and a proof in the header DPoP (RFC 9449)",
            )
        self._proofs.at_resource(presented.proof, presented.token, key)

    def _caller(self, principal: Principal, claims: dict[str, Any], token_id: str) -> Caller:
        scope, patient = claims.get("scope"), claims.get("patient")
        keyed = self._blind(f"{principal.tenant}/{principal.name}", token_id)
        return Caller(
            principal,
            use_cases=None if scope is None else _named(str(scope)),
            patient=None if patient is None else BoundPatient(str(patient), keyed),
        )

    def _blind(self, client: str, token_id: str) -> Callable[[str], str]:
        """Return how a patient is written into one token: in another way in each."""
        return lambda reference: self._tokens.blind(f"{client}\n{token_id}\n{reference}")


def _use_cases(scope: str | None, client: ClientSpec) -> frozenset[str] | None:
    """Return the use cases that a token is to be limited to; None for no limit."""
    if scope is None:
        return None
    words = scope.split(" ")
    if len(words) > _MOST_SCOPES or not all(_SCOPE.fullmatch(word) for word in words):
        raise Invalid(
            "scope-unknown",
            "the scope is not a list of use cases",
            "send use-case:NAME, several with one space between them, or no scope",
        )
    cases = _named(scope)
    if not cases <= client.use_cases:
        raise Refused(
            "scope-refused",
            "the scope names a use case that this client may not name",
            "see the client's document for its use_cases",
        )
    return cases


def _named(scope: str) -> frozenset[str]:
    return frozenset(word.partition(":")[2] for word in scope.split(" "))


def _limits(cases: frozenset[str] | None, acted: ActedFor | None, client: Proven) -> dict[str, Any]:
    """Return the claims that limit a token; a person's client is the actor (RFC 8693, 4.1)."""
    limits: dict[str, Any] = {}
    if cases is not None:
        limits["scope"] = " ".join(f"use-case:{name}" for name in sorted(cases))
    if acted is not None:
        limits["sub"] = f"{client.principal.tenant}/{acted.user}"
        limits["act"] = {"sub": client.full_name}
        limits["sid"] = acted.session
    return limits


def _static_key() -> Refused:
    return Refused(
        "static-key-refused",
        "this is a long-lived key of another kind, and Seawall takes none",
        "register the client's public key and get tokens with it, or let seawall.client do so: "
        "docs/how-to/register-a-client.md",
    )


def _token_refusal(code: str, message: str) -> Refused:
    return Refused(code, message, "get a new token with `seawall token` or at /oauth2/token")
