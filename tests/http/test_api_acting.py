"""A person lets a client act for them, from a page of ours alone."""

from __future__ import annotations

from typing import Any

import pytest

from api_scene import CLIENT, PERSON, TENANT, Scene, code_of
from seawall.adapters.tokens import SignedTokens
from seawall.app.acting import Acting
from seawall.app.ports import SYSTEM_LOG
from seawall.core.identity.session import SessionLimits
from seawall.http.api.acting import acting_room

PATH = "/api/person-tokens"


class Desk:
    """The scene with its one room, and what reads the tokens."""

    def __init__(self) -> None:
        self.scene = Scene()
        self.tokens = SignedTokens(bytes(32), self.scene.clock)
        parts: dict[str, Any] = {
            "documents": self.scene.documents,
            "ledger": self.scene.ledger,
            "store": self.scene.store,
            "clock": self.scene.clock,
            "random": self.scene.random,
        }
        self.acting = Acting(tokens=self.tokens, limits=SessionLimits(), **parts)

    async def begin(self) -> Desk:
        """Serve the room."""
        await self.scene.begin(acting_room(self.scene.api, self.acting))
        return self


@pytest.fixture
async def desk() -> Desk:
    """Return a desk that has begun."""
    return await Desk().begin()


async def test_a_person_gets_a_token_for_the_client_that_they_name(desk: Desk) -> None:
    """It is the person's, for that client, for five minutes, and an entry of the system's log."""
    reply = await desk.scene.send("POST", PATH, desk.scene.person(), {"client": CLIENT})
    claims = desk.tokens.claims(reply.json()["subject_token"])

    assert (201, 300) == (reply.status_code, reply.json()["expires_in"])
    assert (f"{TENANT}/{PERSON}", f"{TENANT}/{CLIENT}") == (claims["sub"], claims["aud"])
    entry = desk.scene.ledger.bodies(SYSTEM_LOG)[-1]
    assert ("token.person", PERSON, CLIENT) == (
        entry["action"],
        entry["actor"]["name"],
        entry["client"],
    )


async def test_a_client_gets_none(desk: Desk) -> None:
    """A token of a client is no person's word."""
    reply = await desk.scene.send("POST", PATH, desk.scene.client(), {"client": CLIENT})

    assert (403, "person-needed") == (reply.status_code, code_of(reply))


async def test_another_site_s_page_gets_none(desk: Desk) -> None:
    """The cookie alone, as another site's form would send it, is not enough."""
    cookie = {"Cookie": desk.scene.person()["Cookie"], "Origin": "https://elsewhere.test"}

    reply = await desk.scene.send("POST", PATH, cookie, {"client": CLIENT})

    assert 403 == reply.status_code
    assert "token.person" not in {e["action"] for e in desk.scene.ledger.bodies(SYSTEM_LOG)}


async def test_an_unknown_client_is_missing(desk: Desk) -> None:
    """Nobody can act who is not registered."""
    reply = await desk.scene.send("POST", PATH, desk.scene.person(), {"client": "nobody"})

    assert (404, "client-unknown") == (reply.status_code, code_of(reply))
