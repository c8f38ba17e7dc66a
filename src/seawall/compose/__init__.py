"""The only package that knows every adapter: plain constructor calls.

`Installation.open` unlocks a data folder for reading; `Installation.write`
claims it for this process and yields what writes; `Writer.serve` listens. The
edges reach what they need of the machine (clock, randomness, logs) through the
functions of `edges`.
"""

from seawall.compose.archiving import archives_of, planning_of
from seawall.compose.auditing import audit_export, audit_producer, audit_sender
from seawall.compose.backup import (
    RepositoryCopies,
    backup_maker,
    backup_verifier,
    differing_from_ledger,
    drill_backup,
    is_older_than_ledger,
    repository_of,
    require_settings_repository,
    restore_folder,
)
from seawall.compose.database import DATABASE, LOCK, prepare_shared
from seawall.compose.datasets import dataset_files, dataset_intents
from seawall.compose.edges import client_assertion, is_free, log_to, new_client_key, run_server
from seawall.compose.installation import RING, Installation
from seawall.compose.listening import reloading_on_hangup
from seawall.compose.witness import create_witness, serve_witness, witness_book
from seawall.compose.writer import Writer, check_tenant

__all__ = [
    "DATABASE",
    "LOCK",
    "RING",
    "Installation",
    "RepositoryCopies",
    "Writer",
    "archives_of",
    "audit_export",
    "audit_producer",
    "audit_sender",
    "backup_maker",
    "backup_verifier",
    "check_tenant",
    "client_assertion",
    "create_witness",
    "dataset_files",
    "dataset_intents",
    "differing_from_ledger",
    "drill_backup",
    "is_free",
    "is_older_than_ledger",
    "log_to",
    "new_client_key",
    "planning_of",
    "prepare_shared",
    "reloading_on_hangup",
    "repository_of",
    "require_settings_repository",
    "restore_folder",
    "run_server",
    "serve_witness",
    "witness_book",
]
