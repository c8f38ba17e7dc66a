"""The admin API and the pages over everything that a writer carries.

It is made where a server begins, and only there: FastAPI takes a while to load, which
no other command should pay for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.routing import BaseRoute, Mount, Route

from seawall.app.open_payload import OpenPayload
from seawall.app.payloads import PayloadStore
from seawall.app.ports import SYSTEM_LOG
from seawall.app.record_reading import Auditors
from seawall.app.view_exchanges import ViewExchanges
from seawall.app.view_patient import ViewPatient
from seawall.compose.access import subkey
from seawall.core.access.matrix import matrix, matrix_fields
from seawall.http.api.access import access_room
from seawall.http.api.acting import acting_room
from seawall.http.api.application import api_application
from seawall.http.api.backups import backups_room
from seawall.http.api.documents import documents_room
from seawall.http.api.emergency import emergency_room, offline_room
from seawall.http.api.exchanges import exchanges_room, payloads_room
from seawall.http.api.guard import Api
from seawall.http.api.keys import keys_room
from seawall.http.api.ledger import LedgerParts, ledger_room
from seawall.http.api.obligations import obligations_room
from seawall.http.api.patients import patients_room
from seawall.http.api.persons import persons_room
from seawall.http.api.reviews import reviews_room
from seawall.http.api.scim import PREFIX, scim_application
from seawall.http.api.session import session_room
from seawall.http.api.sign_in import enrol_room, factors_room, sign_in_room, step_up_room
from seawall.http.api.works import Works
from seawall.http.openid import OpenIdDoor
from seawall.http.pages import PagesDoor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastapi import APIRouter

    from seawall.compose.installation import Installation
    from seawall.compose.people import PeopleRoom
    from seawall.compose.writer import Writer
    from seawall.core.registers.obligation import Obligation


class ApiRoom:
    """What answers below /api, /scim and the pages, over one writer."""

    def __init__(self, installation: Installation, writer: Writer, people: PeopleRoom) -> None:
        self._installation = installation
        self._writer = writer
        self._people = people
        self.works = Works(installation.random)
        room = writer.access_room
        self.api = Api(
            access=room.access,
            tokens=room.issue_token,
            sessions=room.sessions,
            store=installation.store,
            ledger=writer.ledger,
            clock=installation.clock,
            random=installation.random,
            key=subkey(installation, "api"),
            origin=lambda: people.origin,
            network_of=people.network_of,
        )

    def routes(self) -> list[BaseRoute]:
        """Return the routes, for the one list that has every route."""
        people, origin = self._people, self.api.origin
        door = OpenIdDoor(
            federate=people.federate,
            sessions=self._writer.access_room.sessions,
            network_of=self.api.network_of,
        )
        return [
            Mount("/api", api_application(self.rooms())),
            Mount(PREFIX, scim_application(self.api, people.provision, origin)),
            Route("/sign-in/openid/{provider}", door.begin, methods=["GET"]),
            Route("/sign-in/openid/{provider}/callback", door.back, methods=["GET"]),
            *PagesDoor().routes(),
        ]

    def rooms(self) -> Sequence[APIRouter]:
        """Return the rooms of the API, in the order in which it is described."""
        api, people, writer = self.api, self._people, self._writer
        room, clock = writer.access_room, self._installation.clock
        shipped = room.shipped

        def table() -> list[dict[str, Any]]:
            """Return who may do what by the shipped policies."""
            return matrix_fields(matrix(shipped.having({})))

        return [
            session_room(api, room.sessions, clock),
            acting_room(api, room.acting),
            sign_in_room(api, people.sign_in),
            step_up_room(api, people.show_again),
            enrol_room(api, people.enrol, api.origin),
            factors_room(api, people.own_factors),
            persons_room(api, people.workforce),
            reviews_room(api, people.reviews),
            emergency_room(
                api, people.emergency_access, people.emergency_mode, people.emergency_reviews
            ),
            offline_room(api, people.offline),
            access_room(api, room.explaining, table, people.rates),
            documents_room(api, writer.documents),
            exchanges_room(api, self._viewing()),
            payloads_room(api, self._opening()),
            patients_room(api, self._viewing_patients()),
            ledger_room(api, self._ledger_parts()),
            keys_room(api, writer.key_room.managing, self.works),
            backups_room(api, writer.record_backup),
            obligations_room(api, self._obligations(), clock),
        ]

    def _viewing(self) -> ViewExchanges:
        return ViewExchanges(store=self._installation.store, readings=self._writer.readings)

    def _opening(self) -> OpenPayload:
        store, payloads = self._installation.store, self._writer.payloads
        return OpenPayload(
            access=self._writer.access_room.access,
            documents=self._writer.documents,
            store=store,
            payloads=store if payloads is None else PayloadStore(store, payloads),
            ledger=self._writer.ledger,
            keys=self._writer.keys,
            clock=self._installation.clock,
            random=self._installation.random,
        )

    def _viewing_patients(self) -> ViewPatient:
        store, payloads = self._installation.store, self._writer.payloads
        room = self._writer.access_room
        return ViewPatient(
            access=room.access,
            emergencies=room.emergencies,
            documents=self._writer.documents,
            store=store,
            payloads=store if payloads is None else PayloadStore(store, payloads),
            ledger=self._writer.ledger,
            indexing=self._writer.indexing,
            keys=self._writer.keys,
            clock=self._installation.clock,
        )

    def _ledger_parts(self) -> LedgerParts:
        installation = self._installation
        return LedgerParts(
            documents=self._writer.documents,
            auditors=Auditors(frozenset(installation.settings.system_auditors.split())),
            read_ledger=installation.read_ledger,
            readings=self._writer.readings,
            clock=installation.clock,
        )

    def _obligations(self) -> Sequence[Any]:
        """Return what tells the obligations of a tenant."""
        people = self._people
        schedule = self._writer.key_room.schedule

        async def keys(tenant: str) -> list[Obligation]:
            """Return which keys are to be rotated; those of the system are every tenant's."""
            return [*await schedule.obligations(tenant), *await schedule.obligations(SYSTEM_LOG)]

        return [
            people.workforce.due,
            people.reviews.due,
            people.emergency_history.due,
            people.offline.due,
            keys,
        ]
