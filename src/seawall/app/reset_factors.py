"""What else ends when a person gets, changes or loses an account at an identity provider.

Whoever says by which account somebody signs in says who that somebody is. So every factor
and link that was there before is void, in the append of the change: none of them counts
again when the account is taken away. 45 CFR 164.312(d), 164.308(a)(4)(ii)(C) (addressable).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seawall.app.factors import Person
from seawall.core.identity.account import Account

if TYPE_CHECKING:
    from seawall.app.factors import Accounts
    from seawall.app.ports import Notifier, Write


class ResetFactors:
    """Voids what persons enrolled here, and tells the operator."""

    def __init__(self, *, accounts: Accounts, notifier: Notifier) -> None:
        self._accounts = accounts
        self._notifier = notifier

    async def voiding(self, tenant: str, name: str) -> list[Write]:
        """Return what voids a person's factors, links and offline factor; none without any."""
        person = Person(tenant, name)
        found: list[Write] = []
        if await self._accounts.has(person) is not None:
            found.append(await self._accounts.resetting(person, Account()))
        found += await self._accounts.ending_offline(person)
        if found:
            found.append(await self._accounts.forgetting_places(person))
        return found

    def tell(self, tenant: str, entry: int) -> None:
        """Tell the operator that somebody is shown in another way from now on."""
        self._notifier.alarm("factors-reset", tenant, entry)
