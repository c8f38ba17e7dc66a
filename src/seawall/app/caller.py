"""Who calls, once it was shown: by a token, by a session, or at the terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seawall.core.identity.session import Session
    from seawall.core.policy.principal import Principal


@dataclass(frozen=True, slots=True)
class Caller:
    """An identified caller, and what the identification itself says of it."""

    principal: Principal
    session: Session | None = None
    """A person's session; None for clients."""
    acting_user: str | None = None
    """The person of the same tenant for whom a client acts, by token exchange (RFC 8693)."""
    use_cases: frozenset[str] | None = None
    """The use cases that a token is limited to; None for all of its client's."""
    patient: str | None = None
    """The one patient, as the client calls the patient, to whom a token is bound."""
