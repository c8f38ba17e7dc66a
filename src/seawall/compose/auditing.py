"""What hands the ledger to audit tools and auditors, over an installation that reads."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import seawall
from seawall.adapters.syslog import PositionFile, SyslogReceiver
from seawall.app.export_audit import ExportAudit
from seawall.app.produce import ProduceAudit
from seawall.app.send_audit import SendAudit

if TYPE_CHECKING:
    from pathlib import Path

    from seawall.compose.installation import Installation


def audit_export(installation: Installation) -> ExportAudit:
    """Return what finds the entries of an export."""
    return ExportAudit(installation.store)


def audit_producer(installation: Installation) -> ProduceAudit:
    """Return what makes packages, with the auditor's programs as they are installed here."""
    source = {
        one.name: one.read_bytes()
        for one in files("seawall.verifier").iterdir()
        if one.name.endswith(".py")
    }
    return ProduceAudit(store=installation.store, clock=installation.clock, verifier=source)


def audit_sender(
    installation: Installation,
    address: tuple[str, int],
    *,
    authority: Path,
    certificate: Path | None,
    key: Path | None,
    state: Path,
) -> SendAudit:
    """Return what sends a log to the syslog receiver at an address, remembering in `state`."""
    return SendAudit(
        store=installation.store,
        receiver=SyslogReceiver(*address, authority=authority, certificate=certificate, key=key),
        position=PositionFile(state),
        version=seawall.__version__,
    )
