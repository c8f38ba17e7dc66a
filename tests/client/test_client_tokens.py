"""seawall.client against a real server over TLS: tokens that renew without the caller's doing."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from clinic import TENANT, Clinic, Server, served_here
from seawall.client import TokenSource, async_openai_client, openai_client
from seawall.core.errors import Invalid, Refused, Unavailable
from seawall.core.registers.client import ClientSpec
from seawall.core.registers.spec import canonical_spec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from seawall.compose import Writer
    from seawall.core.phi.detection import Detector


class MovedClock:
    """The machine's clock, moved ahead by what a test says."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> datetime:
        """Return the moved time in UTC."""
        return datetime.now(UTC) + timedelta(seconds=self.ahead)

    def now_ms(self) -> int:
        """Return milliseconds since 1970."""
        return int(self.now().timestamp() * 1000)

    def today(self) -> Any:
        """Return the date in UTC."""
        return self.now().date()

    def monotonic(self) -> float:
        """Return seconds of a clock that never goes back."""
        return time.monotonic() + self.ahead

    def wall(self) -> float:
        """Return the moved time in seconds since 1970."""
        return time.time() + self.ahead


@dataclass
class Place:
    """A server whose clock a test moves, and a folder for clients' keys."""

    server: Server
    writer: Writer
    clock: MovedClock
    folder: Path

    def source(self, **options: Any) -> TokenSource:
        """Return tokens of the client `app`, whose clock is right."""
        chosen = {"authority": self.server.clinic.authority, "wall": self.clock.wall, **options}
        client, key = chosen.pop("client", "app"), chosen.pop("key", self.folder / "app.jwk")
        url = f"https://localhost:{self.server.port}"
        return TokenSource(url, f"{TENANT}/{client}", key, **chosen)

    def revoke(self) -> None:
        """Let no token of `app` count that was issued before now."""
        register = self.writer.documents.register(TENANT)
        held = register.find(ClientSpec, "app")
        assert held is not None
        spec = json.loads(canonical_spec(held.spec))
        said = {**spec, "tokens_not_before": self.clock.now().isoformat()}
        body = json.dumps([{"kind": "Client", "name": "app", "spec": said}]).encode()
        path, admin = "/api/documents", self.folder / "admin.jwk"
        admin.write_text(json.dumps(self.server.clinic.keys["admin"]), "utf-8")
        source = self.source(client="admin", key=admin)
        headers = {**source.headers("POST", path), "Content-Type": "application/json"}
        assert 200 == self.server.send("POST", path, body, headers).status

    def issued(self) -> int:
        """Return how many tokens were issued."""
        entries = self.server.clinic.entries("system")
        return sum(entry["action"] == "token.issue" for entry in entries)


@pytest.fixture(scope="module")
def place(
    clinic: Clinic, detector: Detector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """Serve a copy of the clinic on this process's threads, with a clock that can be moved."""
    folder, clock = tmp_path_factory.mktemp("client"), MovedClock()
    copy = clinic.copy(folder / "data")
    moved = Clinic(replace(copy.installation, clock=clock), copy.keys, copy.patients)
    (folder / "app.jwk").write_text(json.dumps(clinic.keys["app"]), "utf-8")
    with served_here(moved, detector) as (server, writer):
        yield Place(server, writer, clock, folder)


def test_the_openai_sdk_goes_on_when_its_token_expires(place: Place) -> None:
    """The server refuses the old token; the SDK's call is answered all the same."""
    before = place.issued()
    asked: dict[str, Any] = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
    with openai_client(place.source(), use_case="visit-summary", max_retries=0) as client:
        first = client.chat.completions.create(**asked).choices[0].message.content

        place.clock.ahead += 601
        second = client.chat.completions.create(**asked).choices[0].message.content

    assert ("hi", "hi", 2) == (first, second, place.issued() - before)


def test_the_asynchronous_sdk_goes_on_too(place: Place) -> None:
    """Calls at one time share one token, before and after it expires."""

    async def listed() -> list[str]:
        """Return the models that are listed."""
        async with async_openai_client(place.source(), max_retries=0) as client:
            found = []
            for _ in range(2):
                pages = await asyncio.gather(*(client.models.list() for _ in range(4)))
                found += [page.data[0].id for page in pages]
                place.clock.ahead += 601
        return found

    before = place.issued()

    assert 8 == len(asyncio.run(listed()))
    assert 2 == place.issued() - before


def test_a_revoked_token_is_replaced(place: Place) -> None:
    """Once the tokens before a moment are revoked, the client's next call fetches a new one."""
    with openai_client(place.source(), max_retries=0) as client:
        client.models.list()
        before = place.issued()
        place.clock.ahead += 2
        place.revoke()
        place.clock.ahead += 1

        assert client.models.list().data

    assert 2 == place.issued() - before


def test_tokens_bound_to_a_key_work_at_the_gateway(place: Place) -> None:
    """Chat and models are asked with proofs; the token alone is worth nothing there."""
    source = place.source(dpop=True)
    asked: dict[str, Any] = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
    with openai_client(source, use_case="visit-summary", max_retries=0) as client:
        answers = [
            client.chat.completions.create(**asked).choices[0].message.content for _ in range(2)
        ]
        streamed = [
            chunk.choices[0].delta.content or ""
            for chunk in client.chat.completions.create(**asked, stream=True)
            if chunk.choices
        ]

    stolen = {"Authorization": f"Bearer {source.token().text}"}
    assert (["hi", "hi"], "hi") == (answers, "".join(streamed))
    assert "proof-missing" == place.server.send("GET", "/v1/models", headers=stolen).code


def test_a_token_is_given_back_at_the_gateway(place: Place) -> None:
    """After POST /oauth2/revoke the token is refused, and the source fetches another."""
    source = place.source()
    first = source.token().text
    source.give_back()
    bearing = {"Authorization": f"Bearer {first}"}

    assert "token-revoked" == place.server.send("GET", "/v1/models", headers=bearing).code
    assert first != source.token().text


def test_the_metadata_is_served(place: Place) -> None:
    """A client that knows the name of the server alone finds the token endpoint (RFC 8414)."""
    told = place.server.send("GET", "/.well-known/oauth-authorization-server").json()

    assert place.server.clinic.installation.settings.token_url == told["token_endpoint"]


def test_threads_share_one_renewal(place: Place) -> None:
    """Twenty threads that begin at once fetch one token."""
    source, before = place.source(), place.issued()
    together = threading.Barrier(20)

    def fetch(_: int) -> str:
        together.wait()
        return source.token().text

    with ThreadPoolExecutor(20) as pool:
        texts = set(pool.map(fetch, range(20)))

    assert (1, 1) == (len(texts), place.issued() - before)


def test_a_rotated_key_file_is_picked_up(place: Place, tmp_path: Path) -> None:
    """A key file that is wrong at first and right at the next call needs no restart."""
    key = tmp_path / "rotated.jwk"
    key.write_text(json.dumps(place.server.clinic.keys["bare"]), "utf-8")
    source = place.source(key=key)
    with pytest.raises(Refused) as refused:
        source.token()

    key.write_text(json.dumps(place.server.clinic.keys["app"]), "utf-8")

    assert "assertion-refused" == refused.value.code
    assert "Bearer" == source.token().kind


def test_a_server_that_is_not_trusted_is_not_asked(place: Place) -> None:
    """Without the authority of its certificate nothing is sent."""
    with pytest.raises(Unavailable) as caught:
        place.source(authority=None).token()

    assert "server-unreachable" == caught.value.code


@pytest.mark.parametrize("url", ["http://localhost:1", "localhost", "https://"])
def test_only_https_is_asked(url: str) -> None:
    """A URL of another scheme, or without a host, makes no source."""
    with pytest.raises(Invalid):
        TokenSource(url, "a/b", "key.jwk")


def test_a_key_that_is_none_is_said_to_be_none(place: Place, tmp_path: Path) -> None:
    """A missing file, nonsense and a public key are no private keys."""
    public = {n: v for n, v in place.server.clinic.keys["app"].items() if n != "d"}
    for content in (None, "{", json.dumps(public)):
        key = tmp_path / "key.jwk"
        if content is not None:
            key.write_text(content, "utf-8")
        source = TokenSource("https://localhost:1", "a/b", key)
        with pytest.raises(Invalid) as caught:
            source.token()
        assert "client-key-invalid" == caught.value.code


def test_nothing_secret_is_shown(place: Place) -> None:
    """Neither a source nor a token shows what it holds."""
    source = place.source()
    token = source.token()

    assert token.text not in f"{source!r} {token!r}"
    assert place.server.clinic.keys["app"]["d"] not in repr(source)
