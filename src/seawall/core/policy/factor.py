"""What is remembered of a second factor: its secret, what was used; and of who sends wrong codes.

RFC 6238, section 5.2: a code is accepted once. Wrong codes are counted for each
caller apart, whosever they were said to be, and make that caller wait. So nobody
can lock an operator out of another way in, and it cannot be seen by the waiting
which operators there are. 45 CFR 164.312(d); that there are two factors is practice.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final, NoReturn

import orjson

from seawall.core.errors import Tampered

FREE: Final = 5
"""So many wrong codes in a row a caller may send before it has to wait."""
LONGEST_MS: Final = 86_400_000
"""So long a caller waits at most; so long after a waiting its wrong codes are forgotten."""
_FIRST_MS: Final = 60_000
_DOUBLINGS: Final = 16


@dataclass(frozen=True, slots=True)
class Factor:
    """A second factor as it is kept, sealed."""

    secret: str = field(repr=False)
    used: int = 0
    """The newest time step whose code was accepted: none up to it is accepted again."""

    def accepted(self, step: int) -> Factor:
        """Return the factor after a code of this step was accepted."""
        return replace(self, used=step)

    def to_json(self) -> bytes:
        """Return what is sealed."""
        return orjson.dumps({"secret": self.secret, "used": self.used})

    @classmethod
    def from_json(cls, raw: bytes) -> Factor:
        """Read what was sealed; `Tampered` if it has another form."""
        try:
            read: dict[str, Any] = orjson.loads(raw)
            return cls(str(read["secret"]), int(read["used"]))
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            _refuse()


@dataclass(frozen=True, slots=True)
class Tries:
    """The wrong codes that one caller sent in a row, as they are kept, sealed."""

    misses: dict[str, int] = field(default_factory=dict)
    """How many, by operator; those of operators that do not exist are all under ""."""
    at_ms: int = 0
    """When the last."""

    def until_ms(self) -> int:
        """Return until when the caller has to wait: twice as long after each further one."""
        count = sum(self.misses.values())
        if count < FREE:
            return 0
        wait = _FIRST_MS << min(count - FREE, _DOUBLINGS)
        return self.at_ms + min(wait, LONGEST_MS)

    def may_try(self, now_ms: int) -> bool:
        """Whether the caller need not wait."""
        return now_ms >= self.until_ms()

    def accepted(self, operator: str) -> Tries:
        """Return what is left after a right code: one operator's does not excuse another's."""
        return replace(self, misses={who: n for who, n in self.misses.items() if who != operator})

    def missed(self, operator: str, now_ms: int) -> Tries:
        """Return what is counted after a wrong code; what is long past is not."""
        is_past = now_ms >= max(self.until_ms(), self.at_ms) + LONGEST_MS
        before = {} if is_past else self.misses
        return Tries({**before, operator: before.get(operator, 0) + 1}, now_ms)

    def to_json(self) -> bytes:
        """Return what is sealed."""
        return orjson.dumps({"misses": self.misses, "at": self.at_ms})

    @classmethod
    def from_json(cls, raw: bytes) -> Tries:
        """Read what was sealed; `Tampered` if it has another form."""
        try:
            read: dict[str, Any] = orjson.loads(raw)
            misses = {str(who): int(count) for who, count in read["misses"].items()}
            return cls(misses, int(read["at"]))
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
            _refuse()


def _refuse() -> NoReturn:
    raise Tampered(
        "factor-malformed",
        "a sealed second factor does not have its form",
        "restore the database from a backup, and treat the change as an incident",
    )
