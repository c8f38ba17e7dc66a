"""One family of errors, said in words that never hold a value.

Every error carries a `code` (stable, kebab-case, what programs match on), a
`message` (what is wrong, naming a field or a record id) and a `help` (what to
do next). None of the three may hold a value that could be PHI: name the field,
never what was in it. `core` knows no HTTP; `http/errors.py` holds the one map
from this family to status codes.
"""

from __future__ import annotations


class Error(Exception):
    """Something a caller, an operator or the world did that we can name.

    Not for bugs: those are `RuntimeError`, and nothing catches them.
    """

    def __init__(self, code: str, message: str, help: str = "") -> None:  # noqa: A002  the field's name in every answer
        super().__init__(code, message, help)
        self.code = code
        self.message = message
        self.help = help
        self.entry: int | None = None
        """Index of the ledger entry that recorded this, where one did."""
        self.nonce: str | None = None
        """What a proof of possession must repeat, where one is asked for (RFC 9449, section 8)."""

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]"


class Invalid(Error):
    """The caller sent something that cannot be understood."""


class Refused(Error):
    """Policy says no: 45 CFR 164.502(a), 164.312(a)(1)."""


class Missing(Error):
    """What the caller named does not exist, or is not visible to the caller."""


class Conflict(Error):
    """The request contradicts a state that already holds."""


class Unavailable(Error):
    """The world does not answer: a disk, an upstream, a key store."""


class Tampered(Error):
    """Integrity is broken (45 CFR 164.312(c)(1)); always alarms."""
