"""What PostgreSQL's five-character SQLSTATEs mean to us: no library is needed to know them."""

from __future__ import annotations

from typing import Final

from seawall.core.errors import Error, Tampered, Unavailable

CHECK_VIOLATION: Final = "23514"
"""What our own triggers raise."""
_FULL: Final = "53100"
_CORRUPTED: Final = frozenset({"XX001", "XX002"})


def translate_state(state: str | None) -> Error:
    """Return our error for a SQLSTATE, or for a connection that broke (None)."""
    if state in _CORRUPTED:
        return Tampered(
            "database-tampered",
            "the database found its own files damaged",
            "check the database server; restore a backup; treat it as an incident",
        )
    if state == _FULL:
        return Unavailable(
            "database-full",
            "there is no space left for the database",
            "free space on the disk; nothing was recorded and nothing was sent",
        )
    return Unavailable(
        "database-unavailable",
        "the database does not answer as it should",
        "check the database server and its log; nothing was recorded and nothing was sent",
    )
