"""A backup is one moment: what an entry says of a patient is in it, and so are its keys."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from backup_scenes import Scene, rows_of, scene
from seawall.core.ledger.encoding import decode
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from pathlib import Path

    from seawall.compose import Installation

CLIENTS = 64
HILLSIDE = Principal("operator", "operator", "hillside")


def patient(client: int, number: int) -> dict[str, Any]:
    """Return a patient whom nobody has seen yet."""
    return {
        "resourceType": "Patient",
        "id": f"p-{client}-{number}",
        "identifier": [
            {"type": {"coding": [{"code": "MR"}]}, "value": f"MRN{client:03}{number:05}"}
        ],
        "name": [{"family": f"Fam{client}x{number}", "given": ["Zed"]}],
    }


async def backed_up_while_importing(made: Scene) -> int:
    """Make a backup while 64 clients import; return how many imports ended meanwhile."""
    is_begun, is_over, imported = asyncio.Event(), asyncio.Event(), [0]
    async with made.installation.write() as writer:

        async def client(number: int) -> None:
            """Import until it is over."""
            for at in range(1_000):
                if is_over.is_set():
                    return
                await writer.import_patient.import_patient(HILLSIDE, patient(number, at))
                imported[0] += 1
                if imported[0] == CLIENTS:
                    is_begun.set()

        clients = [asyncio.create_task(client(number)) for number in range(CLIENTS)]
        await is_begun.wait()
        before = imported[0]
        await made.back_up()
        meanwhile = imported[0] - before
        is_over.set()
        await asyncio.gather(*clients)
    return meanwhile


def subjects_of(installation: Installation, table: str, column: str) -> set[str]:
    """Return whom the rows of a table are of."""
    with installation.database.dump_source().reading() as dump:
        found = next(
            one for one in [*dump.tables(), *dump.key_tables()] if one.shape.table == table
        )
        at = [name for name, _ in found.shape.columns].index(column)
        return {row[at] for batch in dump.rows(found, "hillside") for row in batch}


async def test_no_patient_of_an_entry_is_missing(tmp_path: Path) -> None:
    """Whoever was being imported is in the backup whole, with a key and index terms, or not."""
    made = await scene(tmp_path)
    assert 0 < await backed_up_while_importing(made)

    restored = await made.restored()

    told = {
        one
        for raw in rows_of(restored)["log hillside"][1:]
        if (said := decode(raw))["action"] == "patient.import"
        for one in said["patients"]
    }
    assert len(told) >= CLIENTS
    for table, column in (("sealed", "subject"), ("data_keys", "subject"), ("patients", "patient")):
        assert set() == told - subjects_of(restored, table, column)
