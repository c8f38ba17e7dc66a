"""What every entry of the ledger says first: which form, when, what, whose log, who."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from seawall.app.ports import Clock
    from seawall.core.policy.principal import Principal

FORM: Final = 1
"""The version of the entries' form."""


def entry(action: str, principal: Principal, clock: Clock, **fields: Any) -> dict[str, Any]:
    """Return an entry; `fields` hold names, ids, counts and digests, and never PHI."""
    at = clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "v": FORM,
        "at": at,
        "action": action,
        "tenant": principal.tenant,
        "actor": principal.fields(),
        **fields,
    }
