"""What decides by a history reads the logs too that were succeeded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backup_scenes import append, scene
from seawall.app.entries import entry
from seawall.app.key_history import KeyHistory
from seawall.app.may_shred import MayShred
from seawall.app.ports import SYSTEM_LOG
from seawall.app.successions import line_of
from seawall.core.errors import Refused
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from pathlib import Path

    from seawall.compose import Installation
    from seawall.compose.writer import Writer

HILLSIDE = Principal("operator", "operator", "hillside")
PATIENT = "0123456789abcdef01234567"


async def succeeded(place: Path) -> Installation:
    """Restore behind what is known, after something about a patient was sent; the log is new."""
    made = await scene(place)
    async with made.installation.write() as writer:
        sent = {"patients": [PATIENT], "item": "one", "request": "sha256:0"}
        intent = entry("exchange.intent", HILLSIDE, made.installation.clock, **sent)
        await writer.ledger.append("hillside", intent)
        await writer.ledger.append(SYSTEM_LOG, {**intent, "action": "keys.claim", "claim": "c"})
        await writer.ledger.append(
            SYSTEM_LOG,
            {
                **intent,
                "action": "operator.verified",
                "outcome": "waiting",
                "for": "hillside",
                "until_ms": made.installation.clock.now_ms() + 60_000,
            },
        )
    older = (await made.back_up()).snapshot
    await append(made.installation, 3)
    await made.back_up()
    return await made.restored(snapshot=older, is_successor=True)


def history_of(installation: Installation, writer: Writer) -> KeyHistory:
    """Return what is asked."""
    return KeyHistory(store=installation.store, indexing=writer.indexing)


@pytest.mark.parametrize("patients", [[PATIENT], None])
async def test_the_floor_of_retention_holds_after_a_successor(
    tmp_path: Path, patients: list[str] | None
) -> None:
    """What was sent before must be accounted for as well."""
    installation = await succeeded(tmp_path)
    async with installation.write() as writer:
        may_shred = MayShred(
            store=installation.store,
            history=history_of(installation, writer),
            clock=installation.clock,
        )
        with pytest.raises(Refused) as caught:
            await may_shred.check("hillside", patients, "patient-request")

    assert "retention-floor" == caught.value.code


async def test_what_a_certificate_says_of_a_patient_counts_what_was_before(tmp_path: Path) -> None:
    """Exchanges of the succeeded log are found."""
    installation = await succeeded(tmp_path)
    async with installation.write() as writer:
        history = history_of(installation, writer)
        found = [
            said["item"] async for said in history.about("hillside", PATIENT, "exchange.intent")
        ]

    assert ["one"] == found


async def test_claims_on_keys_outlive_a_restoring(tmp_path: Path) -> None:
    """The system's log is succeeded by every restoring; who claimed keys before is known."""
    installation = await succeeded(tmp_path)
    async with installation.write() as writer:
        history = history_of(installation, writer)
        assert ["c"] == [said["claim"] async for said in history.claims()]


async def test_who_has_to_wait_waits_on_after_a_restoring(tmp_path: Path) -> None:
    """Too many wrong codes before are too many."""
    installation = await succeeded(tmp_path)
    async with installation.write() as writer:
        assert await writer.key_room.managing._step_up._waits(HILLSIDE)


async def test_the_newest_log_comes_first(tmp_path: Path) -> None:
    """By number, and not by letters; another tenant's are none of them."""
    installation = await succeeded(tmp_path)

    assert ["hillside", "hillside~1"] == await line_of(installation.store, "hillside")
    assert ["hill"] == await line_of(installation.store, "hill")
