"""What an identity provider says of a person, and what of it counts here.

That somebody signed in there is not enough: it must say that two factors were shown,
and when. OpenID Connect Core 1.0, sections 2 and 3.1.3.7; RFC 8176; RFC 9470.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from seawall.core.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_SECONDS: Final = 28_800
"""So long ago, at most, factors were shown at a provider by which somebody signs in."""
SKEW_SECONDS: Final = 30
"""By so much the clocks of a provider and of this machine may differ."""
_METHODS: Final = 16
_CHARACTERS: Final = 32


@dataclass(frozen=True, slots=True)
class Demanded:
    """How a provider must tell that two factors were shown."""

    acr: frozenset[str] = frozenset()
    """Classes of which it must name one; empty for none that would do."""
    amr: frozenset[str] = frozenset({"mfa"})
    """Methods that it must name all, where no class is demanded; empty means no."""


@dataclass(frozen=True, slots=True)
class SaidThere:
    """Who it is at the provider, how and when it was shown there."""

    subject: str
    methods: tuple[str, ...]
    """By RFC 8176, `mfa` among them; sorted."""
    at_ms: int


def said_there(
    claims: Mapping[str, Any],
    demanded: Demanded,
    now_ms: int,
    *,
    max_age_ms: int = LONGEST_SECONDS * 1000,
) -> SaidThere:
    """Return what counts of an ID token whose signature and standard claims were verified.

    `Refused` (`provider-factors`) unless it tells two factors as they are demanded, and
    (`provider-stale`) unless it tells when, within `max_age_ms`.
    """
    subject, when = claims.get("sub"), claims.get("auth_time")
    if not isinstance(subject, str) or not subject:
        raise _unusable()
    told = claims.get("amr")
    methods = {one for one in told if isinstance(one, str)} if isinstance(told, list) else set()
    if not _has_two(claims.get("acr"), methods, demanded):
        raise Refused(
            "provider-factors",
            "the identity provider does not say that two factors were shown",
            "let the provider ask for a second factor, and tell it by acr or amr",
        )
    if not isinstance(when, int) or isinstance(when, bool):
        raise _stale()
    at_ms = min(when * 1000, now_ms)
    if when * 1000 > now_ms + SKEW_SECONDS * 1000:
        raise _stale()
    if now_ms - at_ms > max_age_ms:
        raise _stale()
    known = {one for one in methods if one.isascii() and one.isalnum() and len(one) <= _CHARACTERS}
    return SaidThere(subject, tuple(sorted({"mfa", *sorted(known)[:_METHODS]})), at_ms)


def _has_two(acr: Any, methods: set[str], demanded: Demanded) -> bool:
    if demanded.acr:
        return isinstance(acr, str) and acr in demanded.acr
    return bool(demanded.amr) and demanded.amr <= methods


def _unusable() -> Refused:
    return Refused(
        "provider-refused",
        "the identity provider's answer cannot be used",
        "sign in again; if it happens again, tell the operator",
    )


def _stale() -> Refused:
    return Refused(
        "provider-stale",
        "the identity provider does not say when the factors were shown, or it was too long ago",
        "sign in there again; the provider must send auth_time",
    )
