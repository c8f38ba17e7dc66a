"""Who somebody is and what they may do: policies, sessions, tokens, emergencies."""

from __future__ import annotations

import hashlib
import hmac
from functools import cached_property
from typing import TYPE_CHECKING, Final

from seawall.adapters.dpop import SignedProofs
from seawall.adapters.policies import load_policies
from seawall.adapters.tokens import SignedTokens
from seawall.app.access import Access
from seawall.app.acting import Acting
from seawall.app.check_proofs import CheckProofs
from seawall.app.emergencies import CurrentEmergencies
from seawall.app.explain_access import ExplainAccess
from seawall.app.issue_token import IssueToken
from seawall.app.policies import TenantPolicies
from seawall.app.revocations import Revocations
from seawall.app.rounds import Rounds
from seawall.app.sessions import Sessions
from seawall.core.identity.session import SessionLimits

if TYPE_CHECKING:
    from seawall.compose.installation import Installation
    from seawall.compose.writer import Writer
    from seawall.core.access.engine import ShippedPolicies

_FORGETTING_SECONDS: Final = 3_600.0


def subkey(installation: Installation, use: str) -> bytes:
    """Return 32 bytes for one use, which follow from the ring's key of tokens."""
    named = f"seawall {use}".encode()
    return hmac.digest(installation.ring.key("tokens"), named, hashlib.sha256)


class AccessRoom:
    """What every door asks: who calls, and may it be done."""

    def __init__(self, installation: Installation, writer: Writer) -> None:
        settings, clock, random = installation.settings, installation.clock, installation.random
        store, ledger, documents = installation.store, writer.ledger, writer.documents
        self._writer = writer
        self._clock = clock
        self.limits = SessionLimits(
            settings.access.idle_minutes * 60, settings.access.session_minutes * 60
        )
        self.sessions = Sessions(
            store=store,
            ledger=ledger,
            documents=documents,
            clock=clock,
            random=random,
            limits=self.limits,
        )
        self.emergencies = CurrentEmergencies(documents=documents, clock=clock)
        tokens = SignedTokens(installation.ring.key("tokens"), clock)
        self.acting = Acting(
            documents=documents,
            tokens=tokens,
            ledger=ledger,
            store=store,
            clock=clock,
            random=random,
            limits=self.limits,
        )
        self.issue_token = IssueToken(
            documents=documents,
            tokens=tokens,
            ledger=ledger,
            clock=clock,
            random=random,
            token_url=settings.token_url,
            proofs=CheckProofs(
                proofs=SignedProofs(),
                clock=clock,
                random=random,
                origin=settings.token_url.removesuffix("/oauth2/token"),
            ),
            acting=self.acting,
            revocations=Revocations(store, clock),
        )

    @cached_property
    def shipped(self) -> ShippedPolicies:
        """The policies that the product ships, read on first use."""
        return load_policies()

    @cached_property
    def policies(self) -> TenantPolicies:
        """The policies of every tenant: the shipped ones, and what each forbids besides."""
        return TenantPolicies(self.shipped, self._writer.documents)

    @cached_property
    def access(self) -> Access:
        """The one way to ask whether an act is allowed."""
        return Access(
            documents=self._writer.documents,
            policies=self.policies,
            emergencies=self.emergencies,
            ledger=self._writer.ledger,
            clock=self._clock,
            notifier=self._writer.notifier,
            preparing=self.policies,
        )

    @cached_property
    def explaining(self) -> ExplainAccess:
        """What explains the policies' answers."""
        return ExplainAccess(
            registers=self._writer.documents,
            policies=self.policies,
            clock=self._clock,
            emergencies=self.emergencies,
            provisioners=self._writer.documents.provisioners,
        )

    def rounds(self) -> list[Rounds]:
        """Return what is done again and again while the server serves."""
        told = self._writer.notifier
        forget = self.sessions.forget_expired
        return [Rounds("forgetting", forget, seconds=_FORGETTING_SECONDS, notifier=told)]
