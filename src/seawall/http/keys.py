"""Keys over HTTPS: what there is, orders about it, and how far they are.

For clients whose document says `may_manage_keys`, with the second factor of a
named operator beside each order. What takes long goes on after the answer; it
is followed by its id, and found in the ledger if this process ends before it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from seawall.app.manage_keys import UNPROVEN
from seawall.app.step_up import Proof
from seawall.core.errors import Error, Invalid, Missing, Refused
from seawall.core.registers.client import ClientSpec
from seawall.http.errors import json_response, respond
from seawall.http.requests import bearer, read_body, short_header

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from seawall.app.documents import Documents
    from seawall.app.issue_token import IssueToken
    from seawall.app.manage_keys import ManageKeys
    from seawall.app.ports import Random
    from seawall.core.policy.principal import Principal

_MAX_BODY: Final = 65_536
_REMEMBERED: Final = 100


@dataclass(slots=True)
class _Work:
    """An order that is carried out: whose, how far, how it ended."""

    tenant: str
    progress: dict[str, Any] = field(default_factory=dict)
    ended: dict[str, Any] | None = None
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    def told(self) -> dict[str, Any]:
        """Return how far it is."""
        if self.ended is None:
            return {"state": "running", "progress": self.progress}
        return self.ended


class KeysDoor:
    """The paths below /api/keys."""

    def __init__(
        self,
        *,
        issue_token: IssueToken,
        documents: Documents,
        managing: ManageKeys,
        random: Random,
    ) -> None:
        self._issue_token = issue_token
        self._documents = documents
        self._managing = managing
        self._random = random
        self._works: OrderedDict[str, _Work] = OrderedDict()

    async def status(self, request: Request) -> Response:
        """Answer GET /api/keys: what there is of the tenant's keys."""
        try:
            return json_response(await self._managing.status((await self._caller(request)).tenant))
        except Error as error:
            return respond(error)

    async def order(self, request: Request) -> Response:
        """Answer POST /api/keys: 202 with the id of the work, once the operator was shown."""
        try:
            caller = await self._caller(request)
            order, proof = _order(await read_body(request, _MAX_BODY)), _proof(request)
            operator = await self._managing.prove(caller, order, proof)
            if order["do"] == "enrol":
                return json_response(await self._managing.enrol(caller, order, proof))
            if order["do"] in UNPROVEN:
                return json_response(await self._managing.do(operator, order))
        except Error as error:
            return respond(error)

        def begin(progress: Callable[[str, int, int], None]) -> Coroutine[Any, Any, dict[str, Any]]:
            """Do what was ordered."""
            return self._managing.do(operator, order, progress)

        return json_response({"work": self._begin(operator.tenant, begin)}, 202)

    async def work(self, request: Request) -> Response:
        """Answer GET /api/keys/work/{id}: how far an order of the tenant is, or how it ended."""
        try:
            caller = await self._caller(request)
            work = self._works.get(str(request.path_params["id"]))
            if work is None or work.tenant != caller.tenant:
                raise Missing(
                    "work-unknown",
                    "this process knows of no such work",
                    "it may have ended with the process: GET /api/keys says what is unfinished",
                )
        except Error as error:
            return respond(error)
        return json_response(work.told())

    async def close(self) -> None:
        """End what is under way; the ledger knows of it, and it can be gone on with."""
        tasks = [work.task for work in self._works.values() if work.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(
        self,
        tenant: str,
        begin: Callable[[Callable[[str, int, int], None]], Coroutine[Any, Any, dict[str, Any]]],
    ) -> str:
        work, name = _Work(tenant), self._random.bytes(16).hex()

        def progress(what: str, at: int, of: int) -> None:
            """Remember how far it is."""
            work.progress = {"what": what, "at": at, "of": of}

        async def run() -> None:
            """Carry it out, and remember how it ended."""
            try:
                work.ended = {"state": "done", "result": await begin(progress)}
            except Error as error:
                told = {"code": error.code, "message": error.message, "help": error.help}
                work.ended = {"state": "failed", **told}
            except BaseException:
                # A mistake of the program, or the server's end: told, and then as it was.
                work.ended = {"state": "failed", "code": "internal", "message": "", "help": ""}
                raise

        work.task = asyncio.create_task(run())
        self._works[name] = work
        while len(self._works) > _REMEMBERED:
            oldest = next((key for key, one in self._works.items() if one.ended), None)
            if oldest is None:
                break
            del self._works[oldest]
        return name

    async def _caller(self, request: Request) -> Principal:
        principal = (await self._issue_token.identify_whole(bearer(request))).principal
        client = self._documents.register(principal.tenant).find(ClientSpec, principal.name)
        if client is None or not client.spec.may_manage_keys:
            raise Refused(
                "keys-not-granted",
                "this client may not see or change keys",
                "use a client whose document says may_manage_keys: true; an operator that is "
                "older than this field is granted it by applying its Client document with it",
            )
        return principal


def _proof(request: Request) -> Proof | None:
    name = short_header(request, "Seawall-Operator")
    code = short_header(request, "Seawall-Code")
    return None if name is None or code is None else Proof(name, code)


def _order(body: bytes) -> Mapping[str, Any]:
    try:
        order = orjson.loads(body)
    except orjson.JSONDecodeError:
        order = None
    if not isinstance(order, dict):
        raise Invalid(
            "order-invalid",
            "the body is not an order about keys",
            'send {"do": ...}: docs/reference/http.md has the fields of every order',
        )
    return order
