"""A token desk in memory: clients of two tenants, a person with a session, keys to sign with."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey

from fakes import FakeClock, FakeRandom, MemoryLedger, MemoryStore
from seawall.adapters.dpop import SignedProofs
from seawall.adapters.tokens import SignedTokens, make_client_key
from seawall.app.acting import Acting
from seawall.app.check_proofs import CheckProofs
from seawall.app.documents import Documents
from seawall.app.issue_token import IssueToken, Presented, Wanted
from seawall.app.ports import SYSTEM_LOG, KeepSession
from seawall.app.revocations import Revocations
from seawall.app.sessions import Sessions
from seawall.core.errors import Error
from seawall.core.identity.dpop import ShownProof
from seawall.core.identity.session import SessionLimits
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from seawall.app.caller import Caller

ORIGIN: Final = "https://seawall.example"
TOKEN_URL: Final = f"{ORIGIN}/oauth2/token"
TENANTS: Final = ("practice", "clinic")
ED: Final = make_client_key(bytes(range(32)))
OTHER_ED: Final = make_client_key(bytes(range(1, 33)))
EC: Final[dict[str, Any]] = ECKey.generate_key("P-256").as_dict(private=True)
OTHER_EC: Final[dict[str, Any]] = ECKey.generate_key("P-256").as_dict(private=True)


def public(key: dict[str, Any]) -> dict[str, str]:
    """Return the public half of a key."""
    return {name: str(key[name]) for name in ("kty", "crv", "x", "y") if name in key}


def signed(key: dict[str, Any], claims: dict[str, Any], **header: Any) -> str:
    """Return a JSON Web Token under a key, by the algorithm of its kind unless the header says."""
    if key["kty"] == "EC":
        said = {"alg": "ES256", **header}
        return jwt.encode(said, claims, ECKey.import_key(key), algorithms=["ES256"])
    said = {"alg": "Ed25519", **header}
    return jwt.encode(said, claims, OKPKey.import_key(key), algorithms=["Ed25519", "EdDSA"])


@dataclass
class Replica:
    """One process of a server: what it remembers is its own, what it reads is everybody's."""

    documents: Documents
    issue_token: IssueToken
    acting: Acting


def issuing(parts: dict[str, Any], origin: str) -> tuple[IssueToken, Acting]:
    """Return what issues tokens for a server of this origin, and what acts for persons.

    `parts` are documents, tokens, ledger, store, clock and random.
    """
    clock, random = parts["clock"], parts["random"]
    acting = Acting(limits=SessionLimits(), **parts)
    others = {name: part for name, part in parts.items() if name != "store"}
    issue_token = IssueToken(
        **others,
        token_url=f"{origin}/oauth2/token",
        proofs=CheckProofs(proofs=SignedProofs(), clock=clock, random=random, origin=origin),
        acting=acting,
        revocations=Revocations(parts["store"], clock),
    )
    return issue_token, acting


class Desk:
    """What the token endpoints are made of, over fakes."""

    def __init__(self, clock: FakeClock | None = None, origin: str = ORIGIN) -> None:
        self.clock, self.random, self.origin = clock or FakeClock(), FakeRandom(), origin
        self.ledger = MemoryLedger()
        self.store = MemoryStore(self.ledger)
        self.tokens = SignedTokens(bytes(32), self.clock)
        self.here = self.replica()

    def replica(self) -> Replica:
        """Return another process of the same server."""
        parts: dict[str, Any] = {"ledger": self.ledger, "store": self.store, "clock": self.clock}
        documents = Documents(is_shared=True, **parts)
        made = {**parts, "documents": documents, "random": self.random, "tokens": self.tokens}
        issue_token, acting = issuing(made, self.origin)
        return Replica(documents, issue_token, acting)

    async def open(self) -> Desk:
        """Open the logs, and register the client `app` of each tenant and a person."""
        for log in (SYSTEM_LOG, *TENANTS):
            await self.ledger.open_log(log, f"seawall.example/log/{log}")
        for tenant in TENANTS:
            await self.register(tenant=tenant)
            await self.apply("User", "ann", tenant, title="Ann", roles=["clinician"])
        return self

    async def apply(self, kind: str, name: str, tenant: str = "practice", **spec: Any) -> None:
        """Apply one document."""
        operator = Principal("operator", "operator", tenant)
        document = {"kind": kind, "name": name, "spec": spec}
        await self.here.documents.apply(operator, [document])

    async def register(self, name: str = "app", tenant: str = "practice", **spec: Any) -> None:
        """Register a client with the key `ED` and two use cases, unless told otherwise."""
        cases = {"use_cases": ["summary", "letters"]}
        await self.apply(
            "Client", name, tenant, **{"title": "An app", "public_key": public(ED), **cases, **spec}
        )

    def now(self) -> int:
        """Return the time in seconds."""
        return self.clock.now_ms() // 1000

    def assertion(self, key: dict[str, Any] = ED, *, header: Any = (), **changed: Any) -> str:
        """Return an assertion of the client `app`, with changed claims and header."""
        claims = {
            "iss": "practice/app",
            "sub": "practice/app",
            "aud": TOKEN_URL,
            "iat": self.now(),
            "exp": self.now() + 120,
            "jti": self.random.bytes(8).hex(),
            **changed,
        }
        return signed(key, claims, **dict(header))

    async def token(self, assertion: str | None = None, **wanted: Any) -> str:
        """Return a token for an assertion of `app`."""
        issued = await self.here.issue_token.issue(
            self.assertion() if assertion is None else assertion, None, Wanted(**wanted)
        )
        return issued.token

    async def caller(self, token: str, proof: ShownProof | None = None) -> Caller:
        """Return whom a token speaks for."""
        return await self.here.issue_token.identify(Presented(token, None, proof))

    def proof(
        self,
        key: dict[str, Any] = EC,
        *,
        token: str | None = None,
        path: str = "/v1/models",
        shown: tuple[str, str] | None = None,
        header: Any = (),
        **changed: Any,
    ) -> ShownProof:
        """Return a proof for a request; `shown` is another request than the one it is for."""
        method = "POST" if path.startswith("/oauth2") else "GET"
        claims = {
            "htm": method,
            "htu": f"{ORIGIN}{path}",
            "iat": self.now(),
            "jti": self.random.bytes(8).hex(),
            "nonce": self.here.issue_token.nonce(),
            **({} if token is None else {"ath": ath(token)}),
            **changed,
        }
        present = {name: value for name, value in claims.items() if value is not None}
        headers = {"typ": "dpop+jwt", "jwk": public(key), **dict(header)}
        said = {name: value for name, value in headers.items() if value is not None}
        return ShownProof(signed(key, present, **said), *(shown or (method, path)))

    async def bound_token(self, key: dict[str, Any] = EC) -> str:
        """Return a token that is bound to a key."""
        return await self.token(proof=self.proof(key, path="/oauth2/token"))

    async def person(self, user: str = "ann") -> Caller:
        """Return a person with a session."""
        sessions = Sessions(
            store=self.store,
            ledger=self.ledger,
            documents=self.here.documents,
            clock=self.clock,
            random=self.random,
            limits=SessionLimits(),
        )
        name, session = sessions.new("practice", user, ["hwk", "mfa", "user"], "net")
        entry = {"action": "session.begin", "v": 1}
        await self.ledger.append(SYSTEM_LOG, entry, [KeepSession(session)])
        return await sessions.identify(name, "net")


def ath(token: str) -> str:
    """Return a token's digest as a proof has it."""
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()


async def code(awaited: Any) -> str:
    """Return the code of the error that something ends with, or "done"."""
    try:
        await awaited
    except Error as error:
        return error.code
    return "done"
