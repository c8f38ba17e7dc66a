"""What the ledger takes as a backup or a drill, and the settings of backups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from fakes import FakeClock, MemoryLedger
from seawall.app.access import Allowed
from seawall.app.backup.recording import RecordBackup, reported
from seawall.app.caller import Caller
from seawall.app.ports import SYSTEM_LOG
from seawall.config import Backup, read_settings
from seawall.core.access.question import Answer, Resource
from seawall.core.access.vocabulary import Action, On
from seawall.core.backup.proof import FRESH_MS
from seawall.core.errors import Invalid, Refused
from seawall.core.ledger.encoding import decode
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from pathlib import Path

OPERATOR: Final = Principal("operator", "operator", "clinic")
DRILL: Final[dict[str, Any]] = {
    "what": "drill",
    "snapshot": "20261124T201246Z-5cfc69df29e9",
    "rows": 3,
    "size": 4,
    "milliseconds": 5,
}
KEY: Final = b"k" * 32
ALLOWED: Final = Allowed(
    Caller(Principal("client", "app", "clinic")),
    Action.RECORD_BACKUP,
    Resource(On.INSTALLATION, "clinic"),
    Answer(True, ("client.applies",)),
)


async def a_ledger() -> MemoryLedger:
    """Return a ledger with the system's log."""
    ledger = MemoryLedger()
    await ledger.open_log(SYSTEM_LOG, "localhost/log/0123456789abcdef")
    await ledger.open_log("clinic", "localhost/log/fedcba9876543210")
    return ledger


def _recording(ledger: MemoryLedger) -> RecordBackup:
    return RecordBackup(ledger=ledger, clock=FakeClock(), receipt_key=KEY)


async def _told(ledger: MemoryLedger, **changed: Any) -> str | int:
    """Report a drill over the API, changed after its proof was made; return entry or code."""
    told = reported(DRILL, receipt_key=KEY, by="clinic/app", at_ms=FakeClock().now_ms())
    try:
        return await _recording(ledger).record_reported(ALLOWED, {**told, **changed})
    except Refused as refused:
        return refused.code


async def test_a_drill_is_an_entry_of_the_systems_log() -> None:
    """It says which snapshot, how much, and how long it took."""
    ledger = await a_ledger()
    await _recording(ledger).record(OPERATOR, DRILL)
    said = decode(ledger.logs[SYSTEM_LOG].entries[0])
    assert "backup.drill" == said["action"]
    assert (3, 4, 5) == (said["rows"], said["size"], said["milliseconds"])


@pytest.mark.parametrize(
    "changed",
    [
        {"what": "other"},
        {"what": "make"},
        {"what": []},
        {"what": {}},
        {"snapshot": "Jane Roe"},
        {"rows": -1},
        {"rows": True},
        {"rows": 2**60},
        {"note": "free text"},
    ],
)
async def test_nothing_else_is_recorded(changed: dict[str, Any]) -> None:
    """No field is free text, and none is missing or unknown."""
    ledger = await a_ledger()
    with pytest.raises(Invalid) as caught:
        await _recording(ledger).record(OPERATOR, {**DRILL, **changed})
    assert ("backup-record-invalid", []) == (caught.value.code, ledger.logs[SYSTEM_LOG].entries)


async def test_what_the_keys_prove_is_recorded_as_reported() -> None:
    """By whom, of which tenant, and that it was reported: in the system's log."""
    ledger = await a_ledger()
    assert 0 == await _told(ledger)
    said = decode(ledger.logs[SYSTEM_LOG].entries[0])
    assert ("backup.drill", True, "clinic") == (said["action"], said["reported"], said["tenant"])
    assert {"kind": "client", "name": "app"} == said["actor"]


@pytest.mark.parametrize(
    "changed",
    [
        {"rows": 4},
        {"proof": None},
        {"proof": "0" * 64},
        {"proof": "é" * 64},
        {"reported_ms": None},
        {"reported_ms": True},
        {"reported_ms": FakeClock().now_ms() + 1},
    ],
)
async def test_what_the_keys_do_not_prove_is_refused(changed: dict[str, Any]) -> None:
    """Nothing of it reaches the system's log; the caller's own log says that it was tried."""
    ledger = await a_ledger()
    assert "backup-unproven" == await _told(ledger, **changed)
    said = decode(ledger.logs["clinic"].entries[0])
    assert [] == ledger.logs[SYSTEM_LOG].entries
    assert ("access.refused", "backup-unproven") == (said["action"], said["access"]["code"])


@pytest.mark.parametrize(
    ("by", "key", "ago"),
    [("other/app", KEY, 0), ("clinic/app", b"x" * 32, 0), ("clinic/app", KEY, FRESH_MS + 1)],
)
async def test_a_proof_is_of_this_caller_this_installation_and_now(
    by: str, key: bytes, ago: int
) -> None:
    """What another may have read over a shoulder proves nothing here."""
    ledger = await a_ledger()
    at_ms = FakeClock().now_ms() - ago
    told = reported(DRILL, receipt_key=key, by=by, at_ms=at_ms)
    assert "backup-unproven" == await _told(ledger, **told)


async def test_a_report_counts_once() -> None:
    """Sent again it would make an older backup the newest."""
    ledger = await a_ledger()
    assert [0, "backup-unproven"] == [await _told(ledger), await _told(ledger)]
    assert 1 == len(ledger.logs[SYSTEM_LOG].entries)


def test_the_backup_table_is_read(tmp_path: Path) -> None:
    """What is left out has its default."""
    (tmp_path / "seawall.toml").write_text('[backup]\nfolder = "/mnt/b"\nkeep = 7\n', "ascii")
    assert Backup("/mnt/b", keep=7) == read_settings(tmp_path, {}).backup


@pytest.mark.parametrize(
    "table",
    ['folder = ""', 'folder = "b"\nkeep = -1', 'folder = "b"\nhours = "1"', "keep = 1", "x = 1"],
)
def test_a_backup_table_that_makes_no_sense_is_refused(tmp_path: Path, table: str) -> None:
    """Neither a wrong kind, nor a wrong number, nor an unknown field is let through."""
    (tmp_path / "seawall.toml").write_text(f"[backup]\n{table}\n", "ascii")
    with pytest.raises(Invalid) as caught:
        read_settings(tmp_path, {})
    assert "wrong-setting" == caught.value.code
