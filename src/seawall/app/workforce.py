"""Who works here: joining, other roles, suspension, leaving, each as one entry.

Each change is a new version of the User document, and what it ends goes with it in the
same append: `seawall.app.documents` sees to that for every path, this one included. Who
may do it was asked before (`Allowed`). 45 CFR 164.308(a)(3)(ii)(A)-(C) (addressable).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from seawall.app.documents import Change
from seawall.core.access import standing
from seawall.core.access.vocabulary import Role
from seawall.core.errors import Missing
from seawall.core.registers.obligation import Obligation
from seawall.core.registers.register import kind_of
from seawall.core.registers.spec import NAME_PATTERN, read_spec
from seawall.core.registers.user import UserSpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from seawall.app.access import Allowed
    from seawall.app.documents import Applied, Documents
    from seawall.app.ports import Clock, Store
    from seawall.app.sessions import Sessions
    from seawall.core.access.standing import Overdue
    from seawall.core.identity.session import Session
    from seawall.core.registers.spec import Document

_KIND: Final = kind_of(UserSpec)


class Workforce:
    """The persons of every tenant."""

    def __init__(
        self, *, documents: Documents, sessions: Sessions, store: Store, clock: Clock
    ) -> None:
        self._documents = documents
        self._sessions = sessions
        self._store = store
        self._clock = clock

    # --- seeing -------------------------------------------------------------------

    def persons(self, tenant: str) -> list[Document[UserSpec]]:
        """Return everybody, by name, those who left included."""
        return self._documents.register(tenant).all(UserSpec)

    def person(self, tenant: str, name: str) -> Document[UserSpec]:
        """Return one person; `Missing` (`person-unknown`) if nobody has this name."""
        found = None
        if re.fullmatch(NAME_PATTERN, name):
            found = self._documents.register(tenant).find(UserSpec, name)
        if found is None:
            raise Missing("person-unknown", "nobody here has this name", "see GET /api/persons")
        return found

    def overdue(self, tenant: str) -> list[Overdue]:
        """Return whose last day has passed while the document says that they work here."""
        return standing.overdue(self._documents.register(tenant), self._clock.today())

    def due(self, tenant: str) -> list[Obligation]:
        """Return the documents that are to be closed, since somebody's last day is over.

        Their roles ended by themselves; that they left is to be said all the same.
        """
        return [
            Obligation(
                tenant,
                "say that somebody left, whose last day is over",
                one.person,
                Role.SECURITY_OFFICER.value,
                _end_ms(one.until),
                "45 CFR 164.308(a)(3)(ii)(C)",
                "addressable",
            )
            for one in self.overdue(tenant)
        ]

    async def sessions(self, tenant: str, name: str) -> list[Session]:
        """Return a person's sessions, oldest first, whether they are live or not."""
        return await self._store.sessions(tenant, self.person(tenant, name).name)

    def is_other_account(self, tenant: str, name: str, said: Any) -> bool:
        """Whether a document with this account would sign somebody in by another than now.

        `said` is as it came. Of somebody who is not here yet there is nothing to reset.
        """
        held = self._documents.register(tenant).find(UserSpec, name)
        account = None if held is None else held.spec.account
        return held is not None and said != (account.model_dump() if account else None)

    # --- changing -----------------------------------------------------------------

    async def join(self, allowed: Allowed, name: str, spec: Mapping[str, Any]) -> Applied:
        """Let somebody join; `Conflict` (`version-changed`) if the name was ever somebody's."""
        made = read_spec(UserSpec, _KIND, name, spec)
        return await self._keep(allowed, Change(_KIND, name, made, after=0))

    async def change(
        self, allowed: Allowed, name: str, fields: Mapping[str, Any], *, after: int | None = None
    ) -> Applied:
        """Change the fields that are given and leave the others; None takes one away.

        `Conflict` (`version-changed`) unless `after` is the latest version, where it is given.
        """
        held = self.person(allowed.resource.tenant, name)
        merged = {**held.spec.model_dump(), **fields}
        if "standing" in fields and "by_provider" not in fields:
            merged["by_provider"] = False
        made = read_spec(UserSpec, _KIND, name, merged)
        return await self._keep(allowed, Change(_KIND, name, made, after))

    async def leave(self, allowed: Allowed, name: str, left_at: datetime | None = None) -> Applied:
        """End what somebody may do, who left at a moment; it is final, and the name stays theirs.

        The entry says how long access outlived that moment. Their sessions end with it, and
        open questions of reviews about them; pending enrolments and their factors are void,
        since nobody signs in whose standing is not active.
        """
        at = self._clock.now() if left_at is None else left_at
        return await self.change(allowed, name, {"standing": "left", "left_at": at})

    async def end_sessions(self, allowed: Allowed, name: str) -> int:
        """End every session of a person; return the entry's index in the system's log."""
        person = self.person(allowed.resource.tenant, name)
        said = {"access": allowed.answer.fields()}
        return await self._sessions.end_all(allowed.caller.principal, person.name, said)

    async def _keep(self, allowed: Allowed, change: Change) -> Applied:
        said = {"access": allowed.answer.fields()}
        return await self._documents.keep(allowed.caller.principal, [change], said=said)


def _end_ms(day: date) -> int:
    """Return the first moment after a day, in milliseconds since 1970."""
    after = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    return standing.milliseconds(after)
