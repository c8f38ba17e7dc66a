"""How a log is kept, as the documents say today; and where its objects lie in an archive."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from seawall.app.ports import SYSTEM_LOG, whose
from seawall.core.errors import Missing, Tampered
from seawall.core.ledger.retention import Keeping
from seawall.core.ledger.tiles import TILE_WIDTH, decode_bundle
from seawall.core.registers.register import Register

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from seawall.app.ports import Archive, Archived, Head, Store

_NAMED: Final = 100
"""How many holds an entry names; all of them are in the digest."""


async def keeping_of(store: Store, log: str, today: date) -> Keeping:
    """Return what a log is kept by, read from the store, so that no replica's memory decides.

    The system's log is kept by what every tenant's documents say.
    """
    is_system = whose(log) == SYSTEM_LOG
    tenants = await store.tenants() if is_system else [whose(log)]
    registers = {tenant: Register(await store.documents(tenant)) for tenant in tenants}
    return Keeping.of(registers, today, is_system=is_system)


def keeping_fields(keeping: Keeping) -> dict[str, Any]:
    """Return a keeping as entries say it: years, the first hundred holds, a digest of all."""
    holds = [f"{hold.tenant}/{hold.reference}" for hold in keeping.holds]
    return {"years": keeping.years, "holds": holds[:_NAMED], "keeping": keeping.digest()}


def place(head: Head, path: str) -> str:
    """Return an object's path in an archive: below the log's origin."""
    return f"{head.origin}/{path}"


async def read_bundle(
    store: Store, head: Head, bundle: int, copies: Sequence[tuple[Archive, Archived, str]] = ()
) -> list[bytes]:
    """Return the entries of a full bundle: from the store, or if they were pruned from a copy.

    `copies` are archives with what they hold of this bundle, and its path. `Missing` if it
    is nowhere, `Tampered` if the store lacks what it should have.
    """
    first = bundle * TILE_WIDTH
    if first >= head.minimum:
        raw = await store.entries(head.log, first, first + TILE_WIDTH)
        if len(raw) != TILE_WIDTH:
            raise changed(f"entries between {first} and {first + TILE_WIDTH} are not there")
        return raw
    for archive, copy, path in copies:
        with suppress(Missing):
            return decode_bundle(await archive.get(path, copy.version), TILE_WIDTH)
    raise Missing(
        "entry-pruned",
        "the log was pruned here, and no archive of the settings has it",
        "put the archive that holds it back into the settings",
    )


def changed(message: str) -> Tampered:
    """Return the error of a log that is not what it was."""
    return Tampered(
        "ledger-tampered",
        message,
        "keep the data folder as it is, restore a backup elsewhere, and treat it as an incident",
    )
