"""seawall.client with tokens bound to a key or a person, against the real doors over TLS."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from certified import TestAuthority
from fakes import FakeClock
from seawall.app.issue_token import Presented
from seawall.client import TokenSource, openai_client
from seawall.core.errors import Error, Invalid
from seawall.http.errors import json_response, respond
from seawall.http.oauth import TokenDoor
from seawall.http.requests import bearer
from served import listening
from token_desk import ED, Desk

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from token_desk import Replica

ORIGIN = "https://localhost"


def doors(desk: Desk, replica: Replica, asked: list[str]) -> Starlette:
    """Return the token doors and one resource of a replica, which notes who asked."""
    tokens = TokenDoor(replica.issue_token, f"{desk.origin}/oauth2/token")

    async def models(request: Request) -> Response:
        """Answer with one model, as the gateway does."""
        try:
            caller = await replica.issue_token.identify(bearer(request))
        except Error as error:
            asked.append(error.code)
            return respond(error)
        asked.append(caller.acting_user or caller.principal.name)
        return json_response({"object": "list", "data": [{"id": "m", "object": "model"}]})

    return Starlette(
        routes=[
            Route("/oauth2/token", tokens.token, methods=["POST"]),
            Route("/v1/models", models),
        ]
    )


class Bench:
    """Two replicas behind one name, and a client's key file."""

    def __init__(self, folder: Path) -> None:
        self.authority = TestAuthority(folder / "authority")
        self.desk = Desk(FakeClock(datetime.now(UTC)), ORIGIN)
        asyncio.run(self.desk.open())
        self.key = folder / "app.jwk"
        self.key.write_text(json.dumps(ED), "utf-8")
        self.asked: list[str] = []

    def source(self, port: int, **options: Any) -> TokenSource:
        """Return tokens of the client `app` from a replica."""
        authority = self.authority.certificate
        url = f"{ORIGIN}:{port}"
        return TokenSource(url, "practice/app", self.key, authority=authority, **options)


@pytest.mark.parametrize("blank", ["scope", "patient"])
def test_a_blank_limit_makes_no_source(blank: str, tmp_path: Path) -> None:
    """A limit that is blank, as from a variable that is not set, is not a token for everything."""
    with pytest.raises(Invalid) as caught:
        TokenSource("https://localhost:1", "a/b", tmp_path / "key.jwk", **{blank: ""})  # type: ignore[arg-type]

    assert "field-blank" == caught.value.code


def test_a_blank_subject_token_is_not_exchanged(tmp_path: Path) -> None:
    """Nobody is acted for by nothing; the server is not asked."""
    source = TokenSource("https://localhost:1", "a/b", tmp_path / "key.jwk")
    with pytest.raises(Invalid) as caught:
        source.exchange("")

    assert "field-blank" == caught.value.code


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a fresh bench."""
    return Bench(tmp_path)


def test_the_sdk_sends_a_proof_with_each_request(bench: Bench) -> None:
    """The nonce comes with the token, so that no request is asked twice."""
    with listening(doors(bench.desk, bench.desk.here, bench.asked), bench.authority) as port:
        source = bench.source(port, dpop=True)
        with openai_client(source, max_retries=0) as client:
            listed = [client.models.list().data[0].id for _ in range(2)]

    assert (["m", "m"], ["app", "app"]) == (listed, bench.asked)
    assert "DPoP" == source.token().kind


def test_the_sdk_follows_to_another_replica(bench: Bench) -> None:
    """A replica that knows not the nonce is asked again with its own, unseen by the caller."""
    there = bench.desk.replica()
    asyncio.run(there.documents.load())
    with (
        listening(doors(bench.desk, bench.desk.here, []), bench.authority) as first,
        listening(doors(bench.desk, there, bench.asked), bench.authority) as second,
    ):
        source = bench.source(first, dpop=True)
        source.token()
        with openai_client(source, base_url=f"{ORIGIN}:{second}/v1", max_retries=0) as client:
            assert client.models.list().data

    assert ["proof-nonce-needed", "app"] == bench.asked


def test_a_client_exchanges_a_persons_token(bench: Bench) -> None:
    """What it gets acts for the person, and is not kept for other requests."""
    with listening(doors(bench.desk, bench.desk.here, []), bench.authority) as port:
        person = asyncio.run(bench.desk.person())
        subject = asyncio.run(bench.desk.here.acting.subject_token(person, "app"))
        source = bench.source(port)
        acting, own = source.exchange(subject).text, source.token().text

    identify = bench.desk.here.issue_token.identify
    callers = [asyncio.run(identify(Presented(token))) for token in (acting, own)]
    assert ["ann", None] == [caller.acting_user for caller in callers]


def test_limits_are_asked_for_with_each_token(bench: Bench) -> None:
    """The scope and the patient of a source are those of its tokens."""
    with listening(doors(bench.desk, bench.desk.here, []), bench.authority) as port:
        token = bench.source(port, scope="use-case:summary", patient="MRN-7").token()

    caller = asyncio.run(bench.desk.here.issue_token.identify(Presented(token.text)))
    assert frozenset({"summary"}) == caller.use_cases
    assert caller.is_for_patient("MRN-7")
