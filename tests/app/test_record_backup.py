"""What the ledger takes as a backup or a drill, and the settings of backups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from fakes import FakeClock, MemoryLedger
from seawall.app.backup.recording import RecordBackup
from seawall.app.ports import SYSTEM_LOG
from seawall.config import Backup, read_settings
from seawall.core.errors import Invalid
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


async def a_ledger() -> MemoryLedger:
    """Return a ledger with the system's log."""
    ledger = MemoryLedger()
    await ledger.open_log(SYSTEM_LOG, "localhost/log/0123456789abcdef")
    return ledger


async def test_a_drill_is_an_entry_of_the_systems_log() -> None:
    """It says which snapshot, how much, and how long it took."""
    ledger = await a_ledger()
    await RecordBackup(ledger=ledger, clock=FakeClock()).record(OPERATOR, DRILL)
    said = decode(ledger.logs[SYSTEM_LOG].entries[0])
    assert "backup.drill" == said["action"]
    assert (3, 4, 5) == (said["rows"], said["size"], said["milliseconds"])


@pytest.mark.parametrize(
    "changed",
    [
        {"what": "other"},
        {"what": "make"},
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
        await RecordBackup(ledger=ledger, clock=FakeClock()).record(OPERATOR, {**DRILL, **changed})
    assert ("backup-record-invalid", []) == (caught.value.code, ledger.logs[SYSTEM_LOG].entries)


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
