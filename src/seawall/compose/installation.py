"""A data folder that was unlocked, for reading; and its claim, for writing."""

from __future__ import annotations

import hmac
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from seawall.adapters.certificates import ServerCertificate, ensure_certificate
from seawall.adapters.clock import SystemClock, SystemRandom
from seawall.adapters.db.sequencer import Signer
from seawall.adapters.db.store import SqlStore
from seawall.adapters.keys.ring_file import RingFile
from seawall.adapters.models.openai import UpstreamClient
from seawall.app.read_ledger import ReadLedger
from seawall.compose.database import RESTORING, database_of, half_restored
from seawall.compose.key_manager import key_manager, key_operator, root_lock
from seawall.compose.listening import live_certificate, own_certificate
from seawall.compose.writer import Writer
from seawall.crypto import check_crypto

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import Engine

    from seawall.adapters.certificates import LiveCertificate
    from seawall.app.ports import (
        Clock,
        Detector,
        KeyManager,
        KeyOperator,
        ModelClient,
        Notifier,
        Random,
    )
    from seawall.compose.database import Database
    from seawall.config import Passphrase, Settings

RING: Final = Path("keys") / "ring.json"
_KEYS: Final = ("database", "checkpoints", "receipts", "tokens", "certificate")


@dataclass(frozen=True)
class Installation:
    """A data folder that was unlocked: its settings, its key ring, its clock."""

    settings: Settings
    ring: RingFile
    clock: Clock
    random: Random

    @classmethod
    def create(cls, settings: Settings, passphrase: Passphrase) -> Installation:
        """Make a new data folder's key ring and database; `Conflict` if there is one."""
        check_crypto(settings, passphrase)
        random = SystemRandom()
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = root_lock(settings, passphrase)
        ring = RingFile.create(settings.data_dir / RING, lock, random, _KEYS)
        made = cls(settings, ring, SystemClock(), random)
        made.database.prepare()
        return made

    @classmethod
    def open(cls, settings: Settings, passphrase: Passphrase) -> Installation:
        """Unlock a data folder for reading; `Missing` if there is none, `Refused` if wrong."""
        if (settings.data_dir / RESTORING).exists():
            raise half_restored()
        random = SystemRandom()
        check_crypto(settings, passphrase)
        lock = root_lock(settings, passphrase)
        ring = RingFile.unlock(settings.data_dir / RING, lock, random)
        return cls(settings, ring, SystemClock(), random)

    @cached_property
    def database(self) -> Database:
        """Where the ledger is: the folder's own database, or the one that the settings name."""
        return database_of(self.settings, self.ring)

    @property
    def engine(self) -> Engine:
        """The pool of reading connections."""
        return self.database.engine

    @cached_property
    def key_manager(self) -> KeyManager:
        """What holds the root keys, with the service's credentials."""
        return key_manager(self.settings, self.ring)

    @cached_property
    def key_operator(self) -> KeyOperator | None:
        """What makes and destroys root keys, if this process has an operator's credentials."""
        return key_operator(self.settings, self.ring)

    @cached_property
    def signing_key(self) -> Ed25519PrivateKey:
        """The key that signs checkpoints."""
        return Ed25519PrivateKey.from_private_bytes(self.ring.key("checkpoints"))

    @cached_property
    def public_key(self) -> bytes:
        """The public key of checkpoints, 32 bytes."""
        return self.signing_key.public_key().public_bytes_raw()

    @cached_property
    def store(self) -> SqlStore:
        """What was committed."""
        return SqlStore(self.engine, self.public_key)

    @cached_property
    def read_ledger(self) -> ReadLedger:
        """The logs, for reading."""
        return ReadLedger(self.store)

    def certificate(self) -> ServerCertificate:
        """Return the private authority's certificate for this server, made on first use."""
        return ensure_certificate(
            self.settings.data_dir / "tls",
            self.settings.name,
            self.ring.key("certificate").hex(),
            self.clock,
        )

    def live_certificate(self, notifier: Notifier) -> LiveCertificate:
        """Return what the server serves with, watched: the operator's certificate or its own."""
        settings = self.settings
        return live_certificate(
            settings.data_dir / "tls",
            settings.name,
            self.ring.key("certificate").hex(),
            own=own_certificate(settings),
            clients=settings.client_authority,
            clients_required=settings.client_certificates == "required",
            clock=self.clock,
            notifier=notifier,
        )

    @asynccontextmanager
    async def write(
        self, *, detector: Detector | None = None, models: ModelClient | None = None
    ) -> AsyncIterator[Writer]:
        """Claim the folder's database for this process, and carry the intents that write.

        `Conflict` if another process holds it; a shared database is nobody's alone.
        `detector` and `models` replace the shipped ones.
        """
        with self.database.claim():
            # Nothing to do, unless an earlier process was ended before the tables were made.
            self.database.prepare()
            self.database.claim_for(self._fingerprint())
            signer = Signer(self.signing_key.sign, self.public_key, self.ring.key("receipts"))
            appending = self.database.appending(signer)
            try:
                client = models or UpstreamClient(secrets=self.settings.data_dir / "secrets")
                writer = Writer(self, appending, detector, client)
                await writer.begin()
                try:
                    yield writer
                finally:
                    await writer.end()
            finally:
                appending.close()

    def _fingerprint(self) -> str:
        """Return what tells this key ring from another, and nothing of its keys."""
        return hmac.digest(self.ring.key("receipts"), b"ring of this database", "sha256").hex()
