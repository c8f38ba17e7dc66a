"""A person's session: made at sign-in, kept at the server, ended by time or by an act.

The browser holds a random name whose digest is kept here; whoever reads the
database cannot use it. 45 CFR 164.312(a)(2)(iii) (automatic logoff, addressable);
the two limits are practice. ASVS 5.0 chapter 7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

IDLE_SECONDS: Final = 900
"""The longest that a session may idle; an installation may set less."""
ABSOLUTE_SECONDS: Final = 28_800
"""The longest that a session may last; an installation may set less."""


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How long sessions may idle and last, in seconds."""

    idle_seconds: int = IDLE_SECONDS
    absolute_seconds: int = ABSOLUTE_SECONDS

    def __post_init__(self) -> None:
        if not 0 < self.idle_seconds <= IDLE_SECONDS:
            raise ValueError("sessions idle at most 15 minutes")
        if not 0 < self.absolute_seconds <= ABSOLUTE_SECONDS:
            raise ValueError("sessions last at most 8 hours")


@dataclass(frozen=True, slots=True)
class Session:
    """One session as it is kept."""

    digest: str
    """SHA-256, in hex, of the random name that the browser holds."""
    tenant: str
    user: str
    methods: tuple[str, ...]
    """How the person was shown, by RFC 8176: `hwk`, `pwd`, `otp`, `mfa`, `user`; sorted."""
    began_ms: int
    seen_ms: int
    """When it was last used; kept to the minute."""
    factor_ms: int
    """When a factor was last shown in it."""
    network: str
    """The address class that it was begun from: IPv4 /16 or IPv6 /32, keyed digest."""

    def is_live(self, now_ms: int, limits: SessionLimits) -> bool:
        """Whether it may be used at a moment."""
        return (
            self.began_ms <= now_ms < self.began_ms + limits.absolute_seconds * 1000
            and now_ms < self.seen_ms + limits.idle_seconds * 1000
        )

    @property
    def has_second_factor(self) -> bool:
        """Whether two factors were shown, or a passkey that verified its user."""
        return "mfa" in self.methods
