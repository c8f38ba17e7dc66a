"""Everything that writes, and the server over it."""

from __future__ import annotations

import gc
import re
from contextlib import asynccontextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, Final

from seawall.adapters.db.key_store import SqlKeys
from seawall.adapters.gazetteers import load_detector
from seawall.adapters.keys.ring import EnvelopeKeyRing
from seawall.adapters.logs import LogNotifier
from seawall.adapters.models.openai import UpstreamClient
from seawall.app.archive_ledger import ArchiveLedger
from seawall.app.ask_model import AskModel
from seawall.app.backup.recording import RecordBackup
from seawall.app.close_exchanges import CloseExchanges
from seawall.app.count_readings import CountReadings
from seawall.app.documents import Documents, Resets
from seawall.app.import_patient import ImportPatient
from seawall.app.index_ledger import IndexLedger
from seawall.app.payloads import SweepPayloads
from seawall.app.ports import SYSTEM_LOG
from seawall.app.prune_ledger import PruneLedger
from seawall.app.recall import Recall
from seawall.app.record_reading import Auditors, RecordReading
from seawall.app.rounds import Rounds
from seawall.compose.access import AccessRoom
from seawall.compose.archiving import archives_of, planning_of
from seawall.compose.backup import ScheduledBackups, key_copies
from seawall.compose.keys import keys_of
from seawall.compose.listening import CERTIFICATE_SECONDS
from seawall.compose.payloads import keeping_payloads, owner_of, payloads_of
from seawall.compose.publishing import publishing
from seawall.core.errors import Error, Invalid
from seawall.core.registers.spec import NAME_PATTERN
from seawall.http.application import application
from seawall.http.chat import ChatDoor
from seawall.http.metrics import Metrics
from seawall.http.oauth import TokenDoor
from seawall.http.server import listen, serving
from seawall.http.tlog import TlogDoor

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

    from starlette.applications import Starlette

    from seawall.app.ports import Detector, ModelClient, Pruner
    from seawall.compose.api import ApiRoom
    from seawall.compose.database import Appending
    from seawall.compose.installation import Installation
    from seawall.compose.people import PeopleRoom

_LEASE_SECONDS: Final = 10.0
_CLOSING_SECONDS: Final = 30.0
_INDEXING_SECONDS: Final = 0.5
_SWEEPING_SECONDS: Final = 86_400.0
_BACKUP_SECONDS: Final = 600.0
"""So often it is asked whether a backup is due."""
_TOTALS_SECONDS: Final = 5.0


class Writer:
    """Everything that writes, over one claimed data folder."""

    def __init__(
        self,
        installation: Installation,
        sequencer: Appending,
        detector: Detector | None,
        models: ModelClient,
    ) -> None:
        self._installation = installation
        self._models = models
        self._given_detector = detector
        self.ledger = sequencer
        clock, random, store = installation.clock, installation.random, installation.store
        self.wrapped_keys = SqlKeys(installation.engine, sequencer)
        self.keys = EnvelopeKeyRing(
            manager=installation.key_manager,
            operator=installation.key_operator,
            keys=self.wrapped_keys,
            receipt_key=installation.ring.key("receipts"),
            clock=clock,
            random=random,
        )
        self.notifier = LogNotifier()
        self.closing = CloseExchanges(
            store=store, ledger=sequencer, clock=clock, notifier=self.notifier
        )
        self.replica = random.bytes(8).hex()
        """By which name this process's open exchanges are told from other replicas'."""
        self._asking: list[AskModel] = []
        self._api: ApiRoom | None = None
        self._url = ""
        self.indexing = IndexLedger(store=store, ledger=sequencer)
        self.readings = RecordReading(
            store=store,
            ledger=sequencer,
            indexing=self.indexing,
            clock=clock,
            keys=self.keys,
            random=random,
        )
        self.counting = CountReadings(self.readings.record, clock)
        self._keep_the_ledger()
        self.documents = Documents(
            store=store,
            ledger=sequencer,
            clock=clock,
            is_shared=installation.database.is_shared,
            provisioners=installation.settings.access.named,
        )
        self.import_patient = ImportPatient(
            ledger=sequencer, store=store, keys=self.keys, clock=clock, random=random
        )
        self.documents.resets = self._resets
        self.access_room = AccessRoom(installation, self)
        """Who somebody is, and what they may do."""
        self.issue_token = self.access_room.issue_token

    def _keep_the_ledger(self) -> None:
        """Set up what shows the ledger to the world and keeps it, and the rounds that do so."""
        installation = self._installation
        store, clock = installation.store, installation.clock
        self.publishing = publishing(
            installation.settings,
            store=store,
            ledger=self.ledger,
            clock=clock,
            notifier=self.notifier,
        )
        self.archives = archives_of(installation.settings)
        self.archiving = ArchiveLedger(
            store=store,
            ledger=self.ledger,
            archives=self.archives,
            clock=clock,
            indexing=self.indexing,
        )
        self.payloads = payloads_of(installation.settings)
        """Where exchanges' payloads are kept; None means in the database."""
        self.record_backup = RecordBackup(
            ledger=self.ledger, clock=clock, receipt_key=installation.ring.key("receipts")
        )
        """What makes entries of backups and drills."""
        self.key_room = keys_of(installation, self, key_copies(installation))
        """What rotates, wraps anew and shreds keys."""
        self.rounds = [*self._rounds(), *self.key_room.rounds]
        """What is done again and again while the server serves."""

    @cached_property
    def pruner(self) -> Pruner:
        """What deletes from the ledger; `Invalid` where the settings name nobody who may."""
        return self._installation.database.pruner(self.ledger)

    @cached_property
    def pruning(self) -> PruneLedger:
        """What prunes a log."""
        return PruneLedger(
            planning=planning_of(self._installation, self.archives),
            store=self._installation.store,
            ledger=self.ledger,
            pruner=self.pruner,
            clock=self._installation.clock,
        )

    @cached_property
    def detector(self) -> Detector:
        """The detection engine, loaded on first use."""
        return self._given_detector or load_detector()

    async def begin(self) -> None:
        """Open the system's log, read the documents, close what a crash left open."""
        if self.payloads is not None:
            await self.payloads.self_test(owner_of(self._installation))
        await self.ledger.open_log(SYSTEM_LOG, self._origin())
        await self.documents.load()
        if self._installation.database.is_shared:
            await self.closing.claim(self.replica)
            await self.closing.close_expired()
        else:
            await self.closing.close_open()

    async def end(self) -> None:
        """Record what is counted, close connections to models, let go of threads and tasks."""
        self.closing.stop()
        try:
            await self.counting.close()
        except Error:
            # The first fetch of each minute is an entry already; only a number is lost.
            self.notifier.alarm("reading-totals-failed", "", None)
        if self._api is not None:
            await self._api.works.close()
        if "people_room" in self.__dict__:
            self.people_room.close()
        for ask_model in self._asking:
            ask_model.close()
        if isinstance(self._models, UpstreamClient):
            await self._models.close()
        for archive in self.archives:
            await archive.close()
        if self.payloads is not None:
            await self.payloads.close()

    @property
    def sweeping(self) -> SweepPayloads | None:
        """What deletes payloads that nothing refers to any more, such as after a shredding."""
        if self.payloads is None:
            return None
        installation = self._installation
        return SweepPayloads(
            payloads=self.payloads, store=installation.store, clock=installation.clock
        )

    def _rounds(self) -> list[Rounds]:
        """Return what is done again and again, each in its own time."""
        told = self.notifier
        rounds = [
            Rounds("indexing", self.indexing.all, seconds=_INDEXING_SECONDS, notifier=told),
            Rounds(
                "reading-totals",
                self.counting.close_minutes,
                seconds=_TOTALS_SECONDS,
                notifier=told,
            ),
        ]
        if self.publishing is not None:
            seconds = self._installation.settings.publish_seconds
            rounds.append(Rounds("publishing", self.publishing.all, seconds=seconds, notifier=told))
        if self.archives:
            seconds = self._installation.settings.publish_seconds
            rounds.append(Rounds("archiving", self.archiving.all, seconds=seconds, notifier=told))
        if (sweeping := self.sweeping) is not None:
            seconds = _SWEEPING_SECONDS
            rounds.append(Rounds("sweeping", sweeping.forget, seconds=seconds, notifier=told))
        backup = self._installation.settings.backup
        if backup is not None and backup.hours:
            scheduled = ScheduledBackups(self._installation, backup, self.record_backup)
            rounds.append(Rounds("backup", scheduled.round, seconds=_BACKUP_SECONDS, notifier=told))
        if self._installation.database.is_shared:
            claim, close = partial(self.closing.claim, self.replica), self.closing.close_expired
            rounds.append(Rounds("lease", claim, seconds=_LEASE_SECONDS, notifier=told))
            rounds.append(Rounds("closing", close, seconds=_CLOSING_SECONDS, notifier=told))
        return rounds

    async def open_tenant(self, tenant: str) -> None:
        """Begin a tenant: its keys, its log, its empty register; nothing changes if it exists.

        `Invalid` if the name is not a document name, or is the system's.
        """
        check_tenant(tenant)
        await self.keys.prepare(tenant)
        await self.ledger.open_log(tenant, self._origin())
        await self.documents.load()

    def _resets(self) -> Resets:
        """Return what voids factors of persons; it is made when it is first needed."""
        return self.people_room.resets

    @cached_property
    def people_room(self) -> PeopleRoom:
        """Everything about persons, whose browsers find the server at `origin`."""
        # It loads what asks authenticators and providers, which few commands do.
        from seawall.compose.people import PeopleRoom  # noqa: PLC0415

        return PeopleRoom(self._installation, self, self.origin)

    @property
    def origin(self) -> str:
        """Where browsers find the server: `https://NAME:PORT`, of the settings and the socket."""
        return self._url or self._installation.settings.base_url

    def application(self) -> Starlette:
        """Return the ASGI application over this folder."""
        # FastAPI takes its time to load, which only a server needs.
        from seawall.compose.api import ApiRoom  # noqa: PLC0415

        installation = self._installation
        metrics = Metrics()
        self._api = ApiRoom(installation, self, self.people_room)

        async def is_ready() -> None:
            """Raise while the system's log cannot be read."""
            await installation.store.head(SYSTEM_LOG)

        return application(
            chat=ChatDoor(
                ask_model=self._ask_model(),
                issue_token=self.issue_token,
                documents=self.documents,
                metrics=metrics,
            ),
            tokens=TokenDoor(self.issue_token, installation.settings.token_url),
            tlog=TlogDoor(
                issue_token=self.issue_token,
                documents=self.documents,
                auditors=Auditors(frozenset(installation.settings.system_auditors.split())),
                access=self.access_room.access,
                store=installation.store,
                read_ledger=installation.read_ledger,
                counting=self.counting,
            ),
            metrics=metrics,
            more=self._api.routes(),
            is_ready=is_ready,
            refresh=self.documents.refresh,
        )

    def _ask_model(self) -> AskModel:
        """Return what carries exchanges, to be let go of at the end."""
        installation = self._installation
        ask_model = AskModel(
            documents=self.documents,
            recall=Recall(
                store=installation.store,
                ledger=self.ledger,
                keys=self.keys,
                clock=installation.clock,
            ),
            ledger=keeping_payloads(self.ledger, self.payloads, installation.settings),
            store=installation.store,
            keys=self.keys,
            models=self._models,
            detector=self.detector,
            notifier=self.notifier,
            closing=self.closing,
            clock=installation.clock,
            random=installation.random,
            replica=self.replica,
            access=self.access_room.access,
        )
        self._asking.append(ask_model)
        return ask_model

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[tuple[str, asyncio.Task[None]]]:
        """Listen while the context lasts; yield the server's URL and its task."""
        settings = self._installation.settings
        self.certificate = self._installation.live_certificate(self.notifier)
        watching = Rounds(
            "certificate",
            self.certificate.check,
            seconds=CERTIFICATE_SECONDS,
            notifier=self.notifier,
        )
        listener = listen(settings.host, settings.port)
        url = settings.url_at(listener.getsockname()[1])
        self._url = url
        app = self.application()
        # The lists and expressions live as long as the process: no collection need visit them.
        gc.collect()
        gc.freeze()
        serving_rounds = [
            *(watching, *self.rounds),
            *(*self.access_room.rounds(), *self.people_room.rounds()),
        ]
        async with serving(app, listener, self.certificate.context) as task:
            for rounds in serving_rounds:
                rounds.start()
            try:
                yield url, task
            finally:
                for rounds in serving_rounds:
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
