"""How persons are shown, join, are reviewed and leave: everything about people over one writer."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from seawall.adapters.openid import DiscoveredProvider, Registration
from seawall.adapters.passkeys import WebPasskeys
from seawall.adapters.passwords import ArgonPasswords
from seawall.adapters.rates import MovingRates
from seawall.adapters.second_factor import TimeCodes
from seawall.app.access_reviews import AccessReviews
from seawall.app.emergencies import EmergencySteps, TypedTexts
from seawall.app.emergency_access import EmergencyAccess
from seawall.app.emergency_mode import EmergencyMode
from seawall.app.emergency_reviews import EmergencyHistory, EmergencyReviews
from seawall.app.enrol import Enrol
from seawall.app.factors import Accounts
from seawall.app.federate import CHECK_SECONDS, Federate, Known, ticket_key
from seawall.app.offline_factors import OfflineFactors
from seawall.app.own_factors import OwnFactors
from seawall.app.provision import Provision
from seawall.app.reset_factors import ResetFactors
from seawall.app.review_evidence import ReviewEvidence
from seawall.app.rounds import Rounds
from seawall.app.show_again import ShowAgain
from seawall.app.show_factors import ShowFactors
from seawall.app.sign_in import SignIn
from seawall.app.try_limits import Devices, TryLimits
from seawall.app.workforce import Workforce
from seawall.compose.access import subkey
from seawall.config import environment, read_provider_secret
from seawall.core.identity.network import network_digest
from seawall.core.identity.provider import Demanded

if TYPE_CHECKING:
    from seawall.compose.installation import Installation
    from seawall.compose.writer import Writer
    from seawall.config import OpenIdProvider

_REVIEWING_SECONDS: Final = 300.0


class PeopleRoom:
    """Everything about people; `origin` is where their browsers find this server."""

    def __init__(self, installation: Installation, writer: Writer, origin: str) -> None:
        self._installation = installation
        self._writer = writer
        self.origin = origin
        settings, clock, random = installation.settings, installation.clock, installation.random
        self._kept: dict[str, Any] = {"ledger": writer.ledger, "clock": clock}
        self._key = subkey(installation, "people")
        self._room = writer.access_room
        self._told: dict[str, Any] = {"notifier": writer.notifier, **self._kept}
        self.rates = MovingRates(clock)
        self.passwords = ArgonPasswords()
        self.codes = TimeCodes(random, f"Seawall {settings.name}")
        self.passkeys = WebPasskeys(name=settings.name, origin=origin)
        self.accounts = Accounts(
            store=installation.store,
            keys=writer.keys,
            documents=writer.documents,
            passwords=self.passwords,
            codes=self.codes,
            random=random,
            key=self._key,
            **self._told,
        )
        self.resets = ResetFactors(accounts=self.accounts, notifier=writer.notifier)
        self.devices = Devices(random, self._key)
        self.try_limits = TryLimits(
            rates=self.rates, accounts=self.accounts, devices=self.devices, **self._kept
        )
        self._showing = ShowFactors(
            accounts=self.accounts,
            passkeys=self.passkeys,
            codes=self.codes,
            notifier=writer.notifier,
            clock=clock,
        )

    def close(self) -> None:
        """Let go of threads."""
        self.passwords.close()

    def network_of(self, address: str) -> str:
        """Return the keyed digest of the network of a connection's address."""
        return network_digest(self._key, address)

    # --- signing in -----------------------------------------------------------------

    @cached_property
    def enrol(self) -> Enrol:
        """What gives enrolment links, and takes what is enrolled by them."""
        return Enrol(
            accounts=self.accounts,
            documents=self._writer.documents,
            limits=self.try_limits,
            passwords=self.passwords,
            passkeys=self.passkeys,
            codes=self.codes,
            random=self._installation.random,
            key=self._key,
            **self._told,
        )

    @cached_property
    def sign_in(self) -> SignIn:
        """What signs persons in by factors that they enrolled here."""
        return SignIn(
            accounts=self.accounts,
            sessions=self._room.sessions,
            limits=self.try_limits,
            devices=self.devices,
            passwords=self.passwords,
            passkeys=self.passkeys,
            showing=self._showing,
            random=self._installation.random,
            key=self._key,
            **self._told,
        )

    @cached_property
    def show_again(self) -> ShowAgain:
        """What takes a factor again for a session."""
        return ShowAgain(
            accounts=self.accounts,
            sessions=self._room.sessions,
            limits=self.try_limits,
            passkeys=self.passkeys,
            showing=self._showing,
            random=self._installation.random,
            key=self._key,
            **self._kept,
        )

    @cached_property
    def own_factors(self) -> OwnFactors:
        """What a person does about factors of their own."""
        return OwnFactors(
            accounts=self.accounts,
            passkeys=self.passkeys,
            random=self._installation.random,
            key=self._key,
            **self._told,
        )

    @cached_property
    def federate(self) -> Federate:
        """What signs persons in at their identity providers."""
        installation = self._installation
        known = {one.name: self._known(one) for one in installation.settings.providers}
        return Federate(
            providers=known,
            store=installation.store,
            documents=self._writer.documents,
            sessions=self._room.sessions,
            random=installation.random,
            rates=self.rates,
            key=ticket_key(self._key),
            **self._told,
        )

    def _known(self, provider: OpenIdProvider) -> Known:
        name = f"SEAWALL_PROVIDER_{provider.name.upper()}_SECRET"

        def secret() -> str | None:
            """Return the client's secret as it is now."""
            return read_provider_secret(environment(), name)

        registered = Registration(
            provider.issuer,
            provider.client_id,
            f"{self.origin}/sign-in/openid/{provider.name}/callback",
            tuple(provider.acr.split()),
            secret,
        )
        demanded = Demanded(frozenset(provider.acr.split()), frozenset(provider.amr.split()))
        client = DiscoveredProvider(registered, self._installation.clock, provider.authority)
        return Known(provider.tenant, provider.issuer, demanded, client)

    # --- emergencies ------------------------------------------------------------------

    @cached_property
    def _steps(self) -> EmergencySteps:
        return EmergencySteps(documents=self._writer.documents, clock=self._installation.clock)

    @cached_property
    def _emergency(self) -> dict[str, Any]:
        """What every intent about emergencies is made of."""
        typed = TypedTexts(store=self._installation.store, keys=self._writer.keys, **self._kept)
        return {
            "access": self._room.access,
            "current": self._room.emergencies,
            "documents": self._writer.documents,
            "steps": self._steps,
            "typed": typed,
            "notifier": self._writer.notifier,
            "clock": self._installation.clock,
        }

    @property
    def _hours(self) -> int:
        return self._installation.settings.access.emergency_review_hours

    @cached_property
    def emergency_access(self) -> EmergencyAccess:
        """What begins and ends emergency accesses."""
        store, keys = self._installation.store, self._writer.keys
        return EmergencyAccess(store=store, keys=keys, review_hours=self._hours, **self._emergency)

    @cached_property
    def emergency_mode(self) -> EmergencyMode:
        """What begins, renews and ends emergency mode."""
        return EmergencyMode(review_hours=self._hours, **self._emergency)

    @cached_property
    def emergency_history(self) -> EmergencyHistory:
        """What lists emergencies, with what was done under them."""
        return EmergencyHistory(
            current=self._room.emergencies,
            store=self._installation.store,
            clock=self._installation.clock,
            indexing=self._writer.indexing,
        )

    @cached_property
    def emergency_reviews(self) -> EmergencyReviews:
        """What shows and reviews emergencies."""
        return EmergencyReviews(
            history=self.emergency_history,
            readings=self._writer.readings,
            store=self._installation.store,
            **self._emergency,
        )

    @cached_property
    def offline(self) -> OfflineFactors:
        """What signs persons in while their identity provider does not answer."""
        return OfflineFactors(
            documents=self._writer.documents,
            current=self._room.emergencies,
            steps=self._steps,
            sessions=self._room.sessions,
            gate=self.try_limits,
            store=self._installation.store,
            indexing=self._writer.indexing,
            keys=self._writer.keys,
            factor=self.codes,
            random=self._installation.random,
            provider_is_down=self.federate.is_down,
            review_hours=self._hours,
            **self._told,
        )

    # --- joining, reviews, leaving ------------------------------------------------------

    @cached_property
    def workforce(self) -> Workforce:
        """The persons of every tenant."""
        return Workforce(
            documents=self._writer.documents,
            sessions=self._room.sessions,
            store=self._installation.store,
            clock=self._installation.clock,
        )

    @cached_property
    def reviews(self) -> AccessReviews:
        """What begins, answers and closes access reviews."""
        store, clock = self._installation.store, self._installation.clock
        return AccessReviews(
            documents=self._writer.documents,
            evidence=ReviewEvidence(store=store, indexing=self._writer.indexing, clock=clock),
            store=store,
            keys=self._writer.keys,
            **self._told,
        )

    @cached_property
    def provision(self) -> Provision:
        """What an identity provider may see and change of persons."""
        return Provision(documents=self._writer.documents, workforce=self.workforce)

    def rounds(self) -> list[Rounds]:
        """Return what is done again and again while the server serves."""

        async def close_reviews() -> None:
            """Close reviews whose day is past."""
            await self.reviews.close_overdue()

        told = self._writer.notifier
        asking = self.federate.check
        providers = [Rounds("providers", asking, seconds=CHECK_SECONDS, notifier=told)]
        return [
            *(providers if self._installation.settings.providers else ()),
            Rounds("emergencies", self.emergency_reviews.check, seconds=60.0, notifier=told),
            Rounds("reviews", close_reviews, seconds=_REVIEWING_SECONDS, notifier=told),
        ]
