"""The only module that knows every adapter: plain constructor calls.

`Installation.open` unlocks a data folder for reading; `Installation.write`
claims it for this process and yields what writes; `Writer.serve` listens. The
edges reach what they need of the machine (clock, randomness, logs) through the
functions at the end.
"""

from __future__ import annotations

import gc
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlcipher3.dbapi2 as sqlcipher
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import create_engine
from sqlalchemy.pool import QueuePool

from seawall.adapters.certificates import ServerCertificate, ensure_certificate
from seawall.adapters.clock import SystemClock, SystemRandom
from seawall.adapters.db.sequencer import Sequencer, Signer
from seawall.adapters.db.sqlcipher import FolderLock, connect, prepare_schema
from seawall.adapters.db.store import EmbeddedKeys, EmbeddedStore
from seawall.adapters.gazetteers import load_detector
from seawall.adapters.keys.file import FileKeyRing
from seawall.adapters.keys.ring_file import RingFile
from seawall.adapters.logs import LogNotifier, configure
from seawall.adapters.models.openai import UpstreamClient
from seawall.adapters.tokens import SignedTokens, make_client_key, sign_assertion
from seawall.app.ask_model import AskModel
from seawall.app.close_exchanges import CloseExchanges
from seawall.app.documents import Documents
from seawall.app.import_patient import ImportPatient
from seawall.app.issue_token import IssueToken
from seawall.app.ports import SYSTEM_LOG
from seawall.app.read_ledger import ReadLedger
from seawall.app.recall import Recall
from seawall.core.errors import Invalid, Unavailable
from seawall.core.registers.spec import NAME_PATTERN
from seawall.http.application import application
from seawall.http.chat import ChatDoor
from seawall.http.documents import DocumentsDoor
from seawall.http.metrics import Metrics
from seawall.http.oauth import TokenDoor
from seawall.http.server import listen, run, server_context, serving

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Coroutine, Mapping
    from typing import TextIO

    from sqlalchemy import Engine
    from starlette.applications import Starlette

    from seawall.app.ports import Clock, Detector, ModelClient, Random
    from seawall.app.rounds import Rounds
    from seawall.config import Passphrase, Settings

DATABASE: Final = "seawall.db"
RING: Final = Path("keys") / "ring.json"
LOCK: Final = "lock"
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
        random = SystemRandom()
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        ring = RingFile.create(settings.data_dir / RING, passphrase.value, random, _KEYS)
        made = cls(settings, ring, SystemClock(), random)
        prepare_schema(made.engine)
        return made

    @classmethod
    def open(cls, settings: Settings, passphrase: Passphrase) -> Installation:
        """Unlock a data folder for reading; `Missing` if there is none, `Refused` if wrong."""
        random = SystemRandom()
        ring = RingFile.unlock(settings.data_dir / RING, passphrase.value, random)
        return cls(settings, ring, SystemClock(), random)

    @cached_property
    def engine(self) -> Engine:
        """The pool of reading connections."""
        return create_engine(
            "sqlite://", module=sqlcipher, creator=self._connect, poolclass=QueuePool, pool_size=4
        )

    @cached_property
    def signing_key(self) -> Ed25519PrivateKey:
        """The key that signs checkpoints."""
        return Ed25519PrivateKey.from_private_bytes(self.ring.key("checkpoints"))

    @cached_property
    def public_key(self) -> bytes:
        """The public key of checkpoints, 32 bytes."""
        return self.signing_key.public_key().public_bytes_raw()

    @cached_property
    def store(self) -> EmbeddedStore:
        """What was committed."""
        return EmbeddedStore(self.engine, self.public_key)

    @cached_property
    def read_ledger(self) -> ReadLedger:
        """The logs, for reading."""
        return ReadLedger(self.store)

    def certificate(self) -> ServerCertificate:
        """Return the server's certificate, made on first use."""
        return ensure_certificate(
            self.settings.data_dir / "tls",
            self.settings.name,
            self.ring.key("certificate").hex(),
            self.clock,
        )

    @asynccontextmanager
    async def write(
        self, *, detector: Detector | None = None, models: ModelClient | None = None
    ) -> AsyncIterator[Writer]:
        """Claim the folder for this process, and carry the intents that write.

        `Conflict` if another process holds it. `detector` and `models` replace the
        shipped ones.
        """
        lock = FolderLock(self.settings.data_dir / LOCK)
        try:
            # Nothing to do, unless an earlier process was ended before the tables were made.
            prepare_schema(self.engine)
            signer = Signer(self.signing_key.sign, self.public_key, self.ring.key("receipts"))
            sequencer = Sequencer(self._connect, signer, limit_seconds=self.settings.ledger_seconds)
            try:
                client = models or UpstreamClient(secrets=self.settings.data_dir / "secrets")
                writer = Writer(self, sequencer, detector, client)
                await writer.begin()
                try:
                    yield writer
                finally:
                    await writer.end()
            finally:
                sequencer.close()
        finally:
            lock.release()

    def _connect(self) -> Any:
        return connect(
            self.settings.data_dir / DATABASE,
            self.ring.key("database"),
            max_pages=self.settings.database_pages or None,
        )


class Writer:
    """Everything that writes, over one claimed data folder."""

    def __init__(
        self,
        installation: Installation,
        sequencer: Sequencer,
        detector: Detector | None,
        models: ModelClient,
    ) -> None:
        self._installation = installation
        self._models = models
        self._given_detector = detector
        self.ledger = sequencer
        clock, random, store = installation.clock, installation.random, installation.store
        self.keys = FileKeyRing(
            ring=installation.ring,
            keys=EmbeddedKeys(installation.engine, sequencer),
            receipt_key=installation.ring.key("receipts"),
            clock=clock,
            random=random,
        )
        self.notifier = LogNotifier()
        self.closing = CloseExchanges(
            store=store, ledger=sequencer, clock=clock, notifier=self.notifier
        )
        self._asking: list[AskModel] = []
        self.rounds: list[Rounds] = []
        """What is done again and again while the server serves."""
        self.documents = Documents(store=store, ledger=sequencer, clock=clock)
        self.import_patient = ImportPatient(
            ledger=sequencer, store=store, keys=self.keys, clock=clock, random=random
        )
        self.issue_token = IssueToken(
            documents=self.documents,
            tokens=SignedTokens(installation.ring.key("tokens"), clock),
            ledger=sequencer,
            clock=clock,
            random=random,
            token_url=installation.settings.token_url,
        )

    @cached_property
    def detector(self) -> Detector:
        """The detection engine, loaded on first use."""
        return self._given_detector or load_detector()

    async def begin(self) -> None:
        """Open the system's log, read the documents, close what a crash left open."""
        await self.ledger.open_log(SYSTEM_LOG, self._origin())
        await self.documents.load()
        await self.closing.close_open()

    async def end(self) -> None:
        """Close connections to models, and let go of threads and tasks."""
        self.closing.stop()
        for ask_model in self._asking:
            ask_model.close()
        if isinstance(self._models, UpstreamClient):
            await self._models.close()

    async def open_tenant(self, tenant: str) -> None:
        """Begin a tenant: its keys, its log, its empty register; nothing changes if it exists.

        `Invalid` if the name is not a document name, or is the system's.
        """
        check_tenant(tenant)
        self.keys.prepare(tenant)
        await self.ledger.open_log(tenant, self._origin())
        await self.documents.load()

    def application(self) -> Starlette:
        """Return the ASGI application over this folder."""
        installation = self._installation
        metrics = Metrics()
        recall = Recall(
            store=installation.store,
            ledger=self.ledger,
            keys=self.keys,
            clock=installation.clock,
        )
        ask_model = AskModel(
            documents=self.documents,
            recall=recall,
            ledger=self.ledger,
            store=installation.store,
            keys=self.keys,
            models=self._models,
            detector=self.detector,
            notifier=self.notifier,
            closing=self.closing,
            clock=installation.clock,
            random=installation.random,
        )
        self._asking.append(ask_model)

        async def is_ready() -> None:
            """Raise while the system's log cannot be read."""
            await installation.store.head(SYSTEM_LOG)

        return application(
            chat=ChatDoor(
                ask_model=ask_model,
                issue_token=self.issue_token,
                documents=self.documents,
                metrics=metrics,
            ),
            tokens=TokenDoor(self.issue_token),
            documents=DocumentsDoor(issue_token=self.issue_token, documents=self.documents),
            metrics=metrics,
            is_ready=is_ready,
        )

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[tuple[str, asyncio.Task[None]]]:
        """Listen while the context lasts; yield the server's URL and its task."""
        settings = self._installation.settings
        certificate = self._installation.certificate()
        context = server_context(certificate.certificate, certificate.key, certificate.password)
        listener = listen(settings.host, settings.port)
        url = f"https://{settings.name}:{listener.getsockname()[1]}"
        app = self.application()
        # The lists and expressions live as long as the process: no collection need visit them.
        gc.collect()
        gc.freeze()
        async with serving(app, listener, context) as task:
            for rounds in self.rounds:
                rounds.start()
            try:
                yield url, task
            finally:
                for rounds in self.rounds:
                    await rounds.stop()

    def _origin(self) -> str:
        return f"{self._installation.settings.name}/log/{self._installation.random.bytes(8).hex()}"


def check_tenant(name: str) -> None:
    """Raise `Invalid` unless this can be a tenant's name: a document name, not the system's."""
    if name == SYSTEM_LOG or not re.fullmatch(NAME_PATTERN, name):
        raise Invalid(
            "tenant-name",
            "this cannot be a tenant's name",
            f"use lower-case letters, digits, '.', '_' and '-', and not '{SYSTEM_LOG}'",
        )


def log_to(stream: TextIO, level: str) -> None:
    """Send this process's log lines to `stream`, through the allow-list."""
    configure(stream, level)


def run_server(main: Coroutine[Any, Any, None]) -> None:
    """Run a server's main coroutine on a fast event loop."""
    run(main)


def is_free(host: str, port: int) -> bool:
    """Whether nothing listens on this address yet."""
    try:
        listen(host, port).close()
    except Unavailable:
        return False
    return True


def new_client_key() -> dict[str, str]:
    """Return a new client's private key as a JSON Web Key."""
    return make_client_key(SystemRandom().bytes(32))


def client_assertion(private_key: Mapping[str, str], client: str, token_url: str) -> str:
    """Return a client's assertion for one token, good for two minutes (RFC 7523)."""
    now = SystemClock().now_ms() // 1000
    claims = {
        "iss": client,
        "sub": client,
        "aud": token_url,
        "iat": now,
        "exp": now + 120,
        "jti": SystemRandom().bytes(16).hex(),
    }
    return sign_assertion(private_key, claims)
