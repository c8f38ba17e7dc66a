"""The machine's clock and its source of randomness."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, date, datetime


class SystemClock:
    """The operating system's time."""

    def now(self) -> datetime:
        """Return the time in UTC."""
        return datetime.now(UTC)

    def now_ms(self) -> int:
        """Return milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def today(self) -> date:
        """Return the date in UTC."""
        return self.now().date()

    def monotonic(self) -> float:
        """Return seconds of a clock that never goes back."""
        return time.monotonic()


class SystemRandom:
    """The operating system's cryptographic randomness."""

    def bytes(self, count: int) -> bytes:
        """Return `count` random bytes."""
        return secrets.token_bytes(count)
