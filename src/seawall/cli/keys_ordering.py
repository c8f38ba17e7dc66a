"""Orders about keys from the terminal: carried out here, or by the server that holds the folder."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from seawall.app.ports import SYSTEM_LOG
from seawall.app.step_up import Proof, only_at_terminal
from seawall.cli.install import OPERATOR
from seawall.cli.running import fetch_keys, fetch_token, send_key_order, server_url
from seawall.core.errors import Conflict, Refused
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from seawall.app.rewrap_keys import Progress
    from seawall.compose import Installation

_POLL_SECONDS: Final = 0.2
_TOKEN_SECONDS: Final = 480.0


@dataclass(slots=True)
class KeyOrders:
    """One terminal's orders about one tenant's keys."""

    installation: Installation
    tenant: str
    _token: tuple[float, str] | None = field(default=None, init=False, repr=False)

    async def status(self) -> dict[str, Any]:
        """Return what there is of the keys."""
        try:
            async with self.installation.write() as writer:
                return await writer.key_room.managing.status(self.tenant)
        except Conflict as conflict:
            if conflict.code != "folder-in-use":
                raise
        url = server_url(self.installation.settings.data_dir)
        return await fetch_keys(url, await self._fetched(url), self._authority)

    async def carry_out(
        self, order: dict[str, Any], proof: Proof | None, progress: Progress
    ) -> dict[str, Any]:
        """Carry out an order; return what came of it."""
        caller = Principal("operator", OPERATOR, self.tenant)
        try:
            async with self.installation.write() as writer:
                managing = writer.key_room.managing
                if order["do"] == "enrol":
                    return await managing.enrol(caller, order, proof)
                operator = await managing.prove(caller, order, proof)
                return await managing.do(operator, order, progress)
        except Conflict as conflict:
            if conflict.code != "folder-in-use":
                raise
            if self.tenant == SYSTEM_LOG:
                # The server's clients are tenants': nobody there could be asked.
                raise only_at_terminal() from None
        return await self._ask_server(order, proof, progress)

    async def _ask_server(
        self, order: dict[str, Any], proof: Proof | None, progress: Progress
    ) -> dict[str, Any]:
        """Order it there, and follow it until it ended."""
        url = server_url(self.installation.settings.data_dir)
        headers = {}
        if proof is not None:
            headers = {"Seawall-Operator": proof.operator, "Seawall-Code": proof.code}
        answer = await send_key_order(
            url, await self._fetched(url), self._authority, order, headers
        )
        while "work" in answer:
            told = await fetch_keys(
                url, await self._fetched(url), self._authority, str(answer["work"])
            )
            if told["state"] == "done":
                return dict(told["result"])
            if told["state"] == "failed":
                raise Refused(str(told["code"]), str(told["message"]), str(told["help"]))
            if at := told.get("progress"):
                progress(str(at["what"]), int(at["at"]), int(at["of"]))
            await asyncio.sleep(_POLL_SECONDS)
        return answer

    @property
    def _authority(self) -> Any:
        return self.installation.settings.authority

    async def _fetched(self, url: str) -> str:
        """Return the operator's token, a new one unless the last is fresh."""
        settings, now = self.installation.settings, self.installation.clock.monotonic()
        if self._token is None or self._token[0] < now:
            answer = await fetch_token(
                settings,
                client=f"{self.tenant}/{OPERATOR}",
                key_file=settings.data_dir / "clients" / f"{self.tenant}-{OPERATOR}.jwk",
                url=url,
                authority=settings.authority,
            )
            self._token = now + _TOKEN_SECONDS, str(answer["access_token"])
        return self._token[1]
