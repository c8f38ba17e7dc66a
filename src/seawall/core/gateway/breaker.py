"""A circuit breaker as arithmetic: the time is handed in, nothing is started.

Closed, it counts failures in a row; at the limit it opens and refuses for a
while; then it lets one trial through, whose result closes or reopens it. An
open breaker refuses: it never chooses another endpoint.
45 CFR 164.306(a), 164.308(a)(7)(i).
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Breaker:
    """The state of one endpoint's breaker; times in seconds of a monotonic clock."""

    limit: int = 5
    """Failures in a row that open it."""
    rest: float = 15.0
    """Seconds for which it stays open before a trial."""
    failures: int = 0
    opened_at: float | None = None
    trial: bool = False

    def may_call(self, now: float) -> bool:
        """Whether a call may go out at `now`."""
        if self.opened_at is None:
            return True
        return not self.trial and now - self.opened_at >= self.rest

    def calling(self, now: float) -> Breaker:
        """Return the breaker after a call that may go out has gone out."""
        if not self.may_call(now):
            raise RuntimeError("the breaker is open")
        return self if self.opened_at is None else replace(self, trial=True)

    def succeeded(self) -> Breaker:
        """Return the breaker after a call that was answered."""
        return replace(self, failures=0, opened_at=None, trial=False)

    def failed(self, now: float) -> Breaker:
        """Return the breaker after a call that was not answered."""
        failures = self.failures + 1
        opened = self.trial or failures >= self.limit
        return replace(
            self,
            failures=failures,
            opened_at=now if opened else self.opened_at,
            trial=False,
        )

    def abandoned(self) -> Breaker:
        """Return the breaker after a call that ended without saying anything of the endpoint."""
        return replace(self, trial=False)
