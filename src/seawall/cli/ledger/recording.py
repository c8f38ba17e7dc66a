"""What the terminal reads of the ledger is recorded first: here, or by the folder's server."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from seawall.app.ports import SYSTEM_LOG, whose
from seawall.app.record_reading import HANDED_OUT, Recorded
from seawall.cli.install import OPERATOR
from seawall.cli.running import fetch_token, send_reading, server_url
from seawall.core.errors import Conflict, Refused, Unavailable
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from seawall.app.record_reading import Reading
    from seawall.compose import Installation

_PATIENCE_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 0.05
_MAY_PASS: Final = ("server-not-running", "server-unreachable")
_TOKEN_SECONDS: Final = 480.0
"""How long a token is used again: less than it lives."""


@dataclass(slots=True)
class TerminalReadings:
    """Records readings of one log for one command; `Unavailable` or `Refused` if it cannot."""

    installation: Installation
    tenant: str
    """Whose operator reads."""
    reason: str = ""
    """Why entries are taken away, which a server asks for; sealed there."""
    _token: tuple[float, str] | None = field(default=None, init=False, repr=False)

    async def record(self, reading: Reading) -> Recorded:
        """Record a reading; nothing of it may be shown unless this returns."""
        until = self.installation.clock.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                async with self.installation.write() as writer:
                    principal = Principal("operator", OPERATOR, self.tenant)
                    return await writer.readings.record(principal, reading)
            except Conflict as conflict:
                if conflict.code != "folder-in-use":
                    raise
            try:
                return await self._ask_server(reading)
            except Unavailable as error:
                # Another command at a terminal claims the folder for a moment too, beside the
                # note of a server that was killed.
                is_late = self.installation.clock.monotonic() > until
                if error.code not in _MAY_PASS or is_late:
                    raise
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _ask_server(self, reading: Reading) -> Recorded:
        said = reading.fields()
        if reading.what in HANDED_OUT and self.reason:
            said["reason"] = self.reason
        folder = self.installation.settings.data_dir
        url, authority = server_url(folder), self.installation.settings.authority
        try:
            answer = await send_reading(url, await self._fetched(url), authority, said)
        except Refused as refused:
            if refused.code != "reason-needed":
                raise
            raise Refused(
                "reason-needed",
                "a server runs on this data folder, and asks why entries are taken away",
                'say it with --reason "..."; it is sealed, and the entry has its digest',
            ) from None
        return _recorded(answer)

    async def _fetched(self, url: str) -> str:
        """Return the operator's token, a new one unless the last is fresh."""
        folder, now = self.installation.settings.data_dir, self.installation.clock.monotonic()
        if self._token is None or self._token[0] < now:
            answer = await fetch_token(
                self.installation.settings,
                client=f"{self.tenant}/{OPERATOR}",
                key_file=folder / "clients" / f"{self.tenant}-{OPERATOR}.jwk",
                url=url,
                authority=self.installation.settings.authority,
            )
            self._token = now + _TOKEN_SECONDS, str(answer["access_token"])
        return self._token[1]


async def readings_of(
    installation: Installation, log: str, tenant: str | None = None, reason: str | None = None
) -> TerminalReadings:
    """Return what records readings of a log: a tenant's by its operator, the system's by any.

    For the system's log that is the operator of `tenant`, else of the first tenant there is.
    """
    if whose(log) != SYSTEM_LOG:
        return TerminalReadings(installation, whose(log), reason or "")
    tenants = sorted(await installation.store.tenants())
    chosen = tenant if tenant in tenants else next(iter(tenants), SYSTEM_LOG)
    return TerminalReadings(installation, str(chosen), reason or "")


def _recorded(answer: dict[str, Any]) -> Recorded:
    try:
        return Recorded(int(answer["reading"]), int(answer["size"]), int(answer["found"]))
    except (KeyError, TypeError, ValueError):
        raise Unavailable(
            "server-unreachable",
            "the server does not answer as it should",
            "check that `seawall serve` or `seawall demo` of this version runs on this data folder",
        ) from None
