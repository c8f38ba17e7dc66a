"""When keys must be replaced, and which of them are: obligations, told before and after.

45 CFR 164.308(a)(1)(ii)(B) asks to reduce risks to a reasonable level (law), and
164.312(a)(2)(iv) to encrypt (addressable); that keys are replaced each year is
practice. Data keys replace themselves: the key ring counts their uses, and makes
the next version long before a nonce could repeat.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from seawall.app.ports import tenant_root
from seawall.app.shred_keys import is_shredded
from seawall.core.access.vocabulary import Role
from seawall.core.errors import Error, Missing
from seawall.core.registers.obligation import Obligation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seawall.app.key_history import KeyHistory
    from seawall.app.ports import Clock, KeyManager, Notifier, Store, TenantKey, WrappedKeys

CITATION: Final = "45 CFR 164.308(a)(1)(ii)(B)"
DAYS: Final = 365
_SOON: Final = timedelta(days=30)
_AGAIN: Final = timedelta(days=1)
_UNFINISHED: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Due:
    """Something about a tenant's keys that must be done, and by when."""

    tenant: str
    what: Literal["rotate root", "rotate tenant", "finish shredding", "restore root"]
    by: datetime
    is_overdue: bool
    because: str
    citation: str = CITATION
    strength: Literal["practice", "law"] = "practice"

    def fields(self) -> dict[str, Any]:
        """Return it as JSON says it."""
        return {
            "tenant": self.tenant,
            "what": self.what,
            "by": self.by.date().isoformat(),
            "overdue": self.is_overdue,
            "because": self.because,
            "citation": self.citation,
            "strength": self.strength,
        }


class KeySchedule:
    """Knows what is due, and raises an alarm about what is overdue, once a day for each tenant."""

    def __init__(
        self,
        *,
        store: Store,
        keys: WrappedKeys,
        manager: KeyManager,
        history: KeyHistory,
        notifier: Notifier,
        clock: Clock,
        root_days: int = DAYS,
        tenant_days: int = DAYS,
    ) -> None:
        self._store = store
        self._keys = keys
        self._manager = manager
        self._history = history
        self._notifier = notifier
        self._clock = clock
        self._root = timedelta(days=root_days)
        self._tenant = timedelta(days=tenant_days)
        self._told: dict[str, datetime] = {}

    async def due(self, tenant: str) -> list[Due]:
        """Return what is due within thirty days, or overdue, the most urgent first."""
        found = [
            Due(
                tenant,
                "finish shredding",
                at + _UNFINISHED,
                self._clock.now() > at + _UNFINISHED,
                f"entry {one.index} ordered it, and none says that it is done",
                "45 CFR 164.310(d)(2)(i)",
                "law",
            )
            for one in await self._history.unfinished(tenant, "keys.shred")
            for at in [datetime.fromisoformat(one.entry["at"])]
        ]
        keys = await self._keys.tenant_keys(tenant)
        if keys and not is_shredded(keys):
            found += await self._rotations(tenant, keys)
        return sorted(found, key=lambda one: one.by)

    async def obligations(self, tenant: str) -> list[Obligation]:
        """Return what is due as every part of the product tells it."""
        return [
            Obligation(
                tenant,
                one.what,
                "keys",
                Role.SECURITY_OFFICER.value,
                int(one.by.timestamp() * 1000),
                one.citation,
                one.strength,
            )
            for one in await self.due(tenant)
        ]

    async def check(self) -> None:
        """Raise the alarm `keys-overdue` for each tenant with something overdue.

        A tenant about which nothing can be learnt ends no other's; it is raised at the end.
        """
        now, failed = self._clock.now(), []
        for tenant in await self._store.tenants():
            if now - self._told.get(tenant, datetime.min.replace(tzinfo=UTC)) < _AGAIN:
                continue
            try:
                due = await self.due(tenant)
            except Error as error:
                failed.append(error)
                continue
            if any(one.is_overdue for one in due):
                self._notifier.alarm("keys-overdue", tenant, None)
                self._told[tenant] = now
        if failed:
            raise failed[0]

    async def _rotations(self, tenant: str, keys: Sequence[TenantKey]) -> list[Due]:
        try:
            versions = await self._manager.versions(tenant_root(tenant))
        except Missing as error:
            if error.code != "root-key-missing":
                raise
            return [_lost(tenant, self._clock.now())]
        root = max(versions, key=lambda one: one.version)
        data = max((key for key in keys if key.use == "data"), key=lambda key: key.version)
        # Not every key manager tells when it made a key: then the first key under it does.
        under = [key.made_ms for key in keys if key.root_version == root.version]
        made = root.made or _moment(min(under, default=0))
        rotations = (
            ("rotate root", made, self._root),
            ("rotate tenant", _moment(data.made_ms), self._tenant),
        )
        now = self._clock.now()
        return [
            Due(tenant, what, at + every, now > at + every, f"made on {at.date()}")  # type: ignore[arg-type]  # the two of the tuple
            for what, at, every in rotations
            if now > at + every - _SOON
        ]


def _lost(tenant: str, now: datetime) -> Due:
    """Return what is due where a tenant's keys are there and the root key above them is not."""
    return Due(
        tenant,
        "restore root",
        now,
        is_overdue=True,
        because="the key manager has no root key of this tenant, and nothing of it opens",
        citation="45 CFR 164.308(a)(7)(ii)(B)",
        strength="law",
    )


def _moment(at_ms: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
