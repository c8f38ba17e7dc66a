"""The witness's own small application: C2SP tlog-witness, submission and monitoring.

It is apart from the gateway's, since another organisation runs it. Requests are
authenticated by the log's signature alone, so their size and time are bounded. Errors
are one line of text with their code; the statuses are those of the protocol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from seawall.core.errors import Error, Missing
from seawall.core.ledger.witness import SIZE_TYPE, Stale
from seawall.http.errors import status
from seawall.http.requests import read_body

if TYPE_CHECKING:
    from starlette.requests import Request

    from seawall.app.cosign import Cosign
    from seawall.app.ports import Notifier

MAX_SUBMISSION_BYTES: Final = 1 << 18
"""63 proof lines, and a checkpoint with more than 16 signatures of the longest kind."""
_SUBMISSION_SECONDS: Final = 10.0


def witness_application(cosign: Cosign, notifier: Notifier) -> Starlette:
    """Return the ASGI application of a witness."""

    async def add_checkpoint(request: Request) -> Response:
        """Answer `add-checkpoint`: cosignature lines, or the size to be asked from."""
        try:
            body = await read_body(request, MAX_SUBMISSION_BYTES, _SUBMISSION_SECONDS)
            answer = await cosign.add_checkpoint(body)
        except Error as error:
            if error.code == "checkpoint-forked":
                # Two roots of one size under the log's own signature: proof that it misbehaved.
                # A proof that fails is none: it is the submitter's, who needs no key for it.
                notifier.alarm("witnessed-log-forked", "", None)
            return _refusal(error)
        if isinstance(answer, Stale):
            return _text(f"{answer.size}\n", 409, SIZE_TYPE)
        return _text(answer)

    async def checkpoint(request: Request) -> Response:
        """Answer a monitor with the latest cosigned checkpoint of a log."""
        try:
            return _text(await cosign.checkpoint(request.path_params["origin_hash"]))
        except Error as error:
            return _refusal(error)

    async def healthy(_: Request) -> Response:
        """Answer that the process runs."""
        return _text("ok\n")

    app = Starlette(
        routes=[
            Route("/add-checkpoint", add_checkpoint, methods=["POST"]),
            Route("/{origin_hash:str}/checkpoint", checkpoint, methods=["GET"]),
            Route("/healthz", healthy, methods=["GET"]),
        ],
        exception_handlers={404: _no_door, 405: _no_door, Exception: _bug},
    )
    # Else a path with a slash too many is sent on to wherever its Host header says.
    app.router.redirect_slashes = False
    return app


def _refusal(error: Error) -> Response:
    return _text(f"{error}\n", status(error))


def _text(body: str, status_code: int = 200, media_type: str = "text/plain") -> Response:
    headers = {"Content-Type": media_type, "Cache-Control": "no-store"}
    return Response(body.encode(), status_code, headers)


async def _no_door(_request: Request, _error: Exception) -> Response:
    return _refusal(
        Missing(
            "witness-no-such-door",
            "a witness has no such path or method",
            "see C2SP tlog-witness; sign-subtree is optional there and not here",
        )
    )


async def _bug(_request: Request, _error: Exception) -> Response:
    return _text("the witness failed on its own side\n", 500)
