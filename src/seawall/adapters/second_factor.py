"""Time-based one-time codes (RFC 6238): six digits, 30 seconds, SHA-1, as every app makes them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

import pyotp

if TYPE_CHECKING:
    from seawall.app.ports import Random

_SECRET_BYTES: Final = 20
_STEP_MS: Final = 30_000
_DIGITS: Final = 6


class TimeCodes:
    """The SecondFactor port; the clock is the caller's."""

    def __init__(self, random: Random, issuer: str) -> None:
        self._random = random
        self._issuer = issuer

    def new_secret(self) -> str:
        """Return a new secret of 160 bits (RFC 4226, section 4, R6)."""
        return base64.b32encode(self._random.bytes(_SECRET_BYTES)).decode()

    def uri(self, name: str, secret: str) -> str:
        """Return the otpauth URI that an authenticator reads."""
        return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=self._issuer)

    def step_of(self, secret: str, code: str, now_ms: int) -> int | None:
        """Return the time step that a code is of: this one, or one before or after; None if none.

        Every candidate is compared, each in constant time.
        """
        if len(code) != _DIGITS or not code.isascii() or not code.isdecimal():
            return None
        codes, now = pyotp.HOTP(secret), now_ms // _STEP_MS
        # The newest that fits: what was used is told by it.
        fitting = [
            step for step in (now - 1, now, now + 1) if step >= 0 and codes.verify(code, step)
        ]
        return max(fitting, default=None)
