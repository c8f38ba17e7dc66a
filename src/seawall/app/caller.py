"""Who calls, once it was shown: by a token, by a session, or at the terminal."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from collections.abc import Callable

    from seawall.core.identity.session import Session


@dataclass(frozen=True, slots=True)
class BoundPatient:
    """A patient by a keyed digest, so that a token shows nobody who it is."""

    digest: str
    keyed: Callable[[str], str] = field(repr=False, compare=False)
    """Returns the digest of a reference."""

    def is_it(self, reference: str) -> bool:
        """Whether a reference is the patient's."""
        return hmac.compare_digest(self.digest.encode(), self.keyed(reference).encode())


@dataclass(frozen=True, slots=True)
class Caller:
    """An identified caller, and what the identification itself says of it."""

    principal: Principal
    session: Session | None = None
    """A person's session; None for clients."""
    acting_user: str | None = None
    """The person of the same tenant for whom a client acts, by token exchange (RFC 8693)."""
    acting_session: Session | None = None
    """The session in which that person said so; without it they have shown no factor."""
    use_cases: frozenset[str] | None = None
    """The use cases that a token is limited to; None for all of its client's."""
    patient: BoundPatient | None = None
    """The one patient to whom a token is bound; ask `is_for_patient`."""

    @property
    def person(self) -> Caller | None:
        """The person for whom a client acts, as who would call themselves; None for nobody."""
        if self.acting_user is None:
            return None
        named = Principal("user", self.acting_user, self.principal.tenant)
        return Caller(named, self.acting_session)

    @property
    def is_limited(self) -> bool:
        """Whether a token speaks for a part of its client's work, and not for its powers."""
        return any(limit is not None for limit in (self.use_cases, self.patient, self.acting_user))

    def is_for_patient(self, reference: str | None) -> bool:
        """Whether the caller may act on a patient, as the client calls the patient.

        A caller that is bound to no patient may act on any, and without one; a bound
        one may not act without naming the patient.
        """
        if self.patient is None:
            return True
        return reference is not None and self.patient.is_it(reference)
