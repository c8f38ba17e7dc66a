"""What is remembered of an operator's second factor: its secret, what was used, what failed.

RFC 6238, section 5.2: a code is accepted once. Wrong codes are counted for each
caller apart, and make that caller wait; so nobody can lock an operator out of
another way in. 45 CFR 164.312(d); that there are two factors is practice.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

from seawall.core.errors import Tampered

FREE: Final = 5
"""So many wrong codes in a row a caller may send before it has to wait."""
_FIRST_MS: Final = 60_000
_LONGEST_MS: Final = 86_400_000
_CALLERS: Final = 50
_DOUBLINGS: Final = 16


@dataclass(frozen=True, slots=True)
class Misses:
    """How many wrong codes a caller sent in a row, and when the last."""

    count: int
    at_ms: int

    def until_ms(self) -> int:
        """Return until when the caller has to wait: twice as long after each further one."""
        if self.count < FREE:
            return 0
        wait = _FIRST_MS << min(self.count - FREE, _DOUBLINGS)
        return self.at_ms + min(wait, _LONGEST_MS)


@dataclass(frozen=True, slots=True)
class Factor:
    """A second factor as it is kept, sealed."""

    secret: str = field(repr=False)
    used: int = 0
    """The newest time step whose code was accepted: none up to it is accepted again."""
    misses: dict[str, Misses] = field(default_factory=dict)

    def may_try(self, caller: str, now_ms: int) -> bool:
        """Whether a caller need not wait."""
        missed = self.misses.get(caller)
        return missed is None or now_ms >= missed.until_ms()

    def accepted(self, caller: str, step: int) -> Factor:
        """Return the factor after a code of this step was accepted."""
        left = {name: missed for name, missed in self.misses.items() if name != caller}
        return replace(self, used=step, misses=left)

    def missed(self, caller: str, now_ms: int) -> Factor:
        """Return the factor after a wrong code; of many callers the oldest are let go of."""
        before = self.misses.get(caller, Misses(0, 0))
        others = {name: missed for name, missed in self.misses.items() if name != caller}
        newest = sorted(others.items(), key=lambda one: one[1].at_ms)[-(_CALLERS - 1) :]
        return replace(self, misses={**dict(newest), caller: Misses(before.count + 1, now_ms)})

    def to_json(self) -> bytes:
        """Return what is sealed."""
        misses = {name: [missed.count, missed.at_ms] for name, missed in self.misses.items()}
        return orjson.dumps({"secret": self.secret, "used": self.used, "misses": misses})

    @classmethod
    def from_json(cls, raw: bytes) -> Factor:
        """Read what was sealed; `Tampered` if it has another form."""
        try:
            read: dict[str, Any] = orjson.loads(raw)
            misses = {name: Misses(*pair) for name, pair in read["misses"].items()}
            return cls(str(read["secret"]), int(read["used"]), misses)
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
            raise Tampered(
                "factor-malformed",
                "a sealed second factor does not have its form",
                "restore the database from a backup, and treat the change as an incident",
            ) from None
