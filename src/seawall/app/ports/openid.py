"""What signing in at an OpenID provider asks of the world."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class AskedThere:
    """What is asked of a provider for one sign-in: none of it is secret but the verifier."""

    state: str
    nonce: str
    verifier: str = field(repr=False)
    """RFC 7636: its digest goes with the request, itself with the code."""
    is_fresh: bool = False
    """Whether the person must show factors anew, also with a session at the provider."""


class OpenIdProvider(Protocol):
    """One OpenID provider, as a relying party sees it (OpenID Connect Core 1.0)."""

    async def address(self, asked: AskedThere) -> str:
        """Return where the browser goes; `Unavailable` (`provider-down`) if it does not answer."""
        ...

    async def check(self) -> None:
        """Ask the provider itself whether it answers; `Unavailable` (`provider-down`) if not."""
        ...

    async def claims(self, code: str, asked: AskedThere, issuer: str | None) -> Mapping[str, Any]:
        """Return the claims of the ID token that a code is exchanged for.

        Its signature, issuer, audience, times and nonce are verified. `issuer` is what the
        provider's answer names (RFC 9207). `Refused` (`provider-refused`) if anything is wrong,
        `Unavailable` (`provider-down`) if the provider does not answer.
        """
        ...
