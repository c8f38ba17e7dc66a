"""For whom a client acts: a person's word, for one client and five minutes, and their standing.

RFC 8693. A person who is signed in gets a subject token for a client that is named;
the client exchanges it, once. Whoever left, has no role today or ended the session is
acted for no more from the next request on.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from seawall.app.entries import entry
from seawall.app.ports import SYSTEM_LOG, SpendAssertion
from seawall.core.errors import Missing, Refused
from seawall.core.policy.principal import Principal
from seawall.core.registers.client import ClientSpec
from seawall.core.registers.user import UserSpec

if TYPE_CHECKING:
    from seawall.app.caller import Caller
    from seawall.app.documents import Documents
    from seawall.app.ports import Clock, Ledger, Random, Store, Tokens
    from seawall.core.identity.session import Session, SessionLimits

SUBJECT_SECONDS: Final = 300
SUBJECT_ISSUER: Final = "seawall:person"


@dataclass(frozen=True, slots=True)
class ActedFor:
    """A person for whom a client acts, and the session in which they said so."""

    user: str
    session: str
    """The session's digest."""


class Acting:
    """Gives subject tokens to persons, takes them from clients, and looks at standing."""

    def __init__(
        self,
        *,
        documents: Documents,
        tokens: Tokens,
        ledger: Ledger,
        store: Store,
        clock: Clock,
        random: Random,
        limits: SessionLimits,
    ) -> None:
        self._documents = documents
        self._tokens = tokens
        self._ledger = ledger
        self._store = store
        self._clock = clock
        self._random = random
        self._limits = limits

    async def subject_token(self, caller: Caller, client: str) -> str:
        """Return a token by which one client of the person's tenant may act for them, recorded."""
        principal, session = caller.principal, caller.session
        if principal.kind != "user" or session is None:
            raise Refused(
                "person-needed",
                "only a person who is signed in can be acted for",
                "sign in, and ask again with the session's cookie",
            )
        if not session.has_second_factor:
            raise Refused(
                "second-factor-needed",
                "only a person who showed two factors can be acted for",
                "sign in with a second factor",
            )
        if self._documents.register(principal.tenant).find(ClientSpec, client) is None:
            raise Missing(
                "client-unknown",
                "there is no client of this name",
                "see what there is with `seawall get Client`",
            )
        now, token_id = self._clock.now_ms() // 1000, self._random.bytes(12).hex()
        system = Principal(principal.kind, principal.name, SYSTEM_LOG)
        said = {"for": principal.tenant, "client": client, "token": token_id}
        await self._ledger.append(SYSTEM_LOG, entry("token.person", system, self._clock, **said))
        return self._tokens.issue(
            {
                "iss": SUBJECT_ISSUER,
                "aud": f"{principal.tenant}/{client}",
                "sub": f"{principal.tenant}/{principal.name}",
                "sid": session.digest,
                "iat": now,
                "exp": now + SUBJECT_SECONDS,
                "jti": token_id,
            }
        )

    async def take(self, subject_token: str, client: Principal) -> tuple[ActedFor, SpendAssertion]:
        """Return whom a subject token lets a client act for, and what spends the token."""
        try:
            claims = self._tokens.claims(subject_token)
        except Refused:
            raise _refused() from None
        tenant, _, user = str(claims.get("sub", "")).partition("/")
        expires = claims.get("exp")
        sound = (
            claims.get("iss") == SUBJECT_ISSUER
            and claims.get("aud") == f"{client.tenant}/{client.name}"
            and tenant == client.tenant
            and isinstance(expires, int)
            and expires > self._clock.now_ms() // 1000
        )
        if not sound or not isinstance(expires, int):
            raise _refused()
        acted = ActedFor(user, str(claims.get("sid", "")))
        await self.require_standing(tenant, acted)
        digest = hashlib.sha256(f"person\n{claims.get('jti')}".encode()).hexdigest()
        return acted, SpendAssertion(digest, expires * 1000)

    async def require_standing(self, tenant: str, acted: ActedFor) -> Session:
        """Return the person's session; refuse (`person-gone`) if it has ended, or all roles have.

        Whether the person may do what is asked for, the policies say.
        """
        user = self._documents.register(tenant).find(UserSpec, acted.user)
        session = await self._store.session(acted.session) if user is not None else None
        if (
            user is None
            or session is None
            or (session.tenant, session.user) != (tenant, acted.user)
            or not session.is_live(self._clock.now_ms(), self._limits)
            or not user.spec.roles_on(self._clock.today())
        ):
            raise Refused(
                "person-gone",
                "the person for whom this token acts has no session or no role any more",
                "let the person sign in, and get a new subject token",
            )
        return session


def acted_for(claims: dict[str, Any]) -> ActedFor | None:
    """Return whom a token of ours acts for, or None."""
    if "act" not in claims:
        return None
    return ActedFor(str(claims.get("sub", "")).partition("/")[2], str(claims.get("sid", "")))


def _refused() -> Refused:
    return Refused(
        "subject-refused",
        "the subject token is not one by which this client may act for somebody",
        "send a token of POST /api/person-tokens for this client, within five minutes and once",
    )
