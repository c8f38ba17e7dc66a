"""From `seawall init` to a session: the real database, hashing, policies and application."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pyotp
import pytest

from authenticator import Authenticator
from fakes import WordDetector
from people_api import Browser
from seawall.compose import Installation
from seawall.config import Passphrase, Settings
from terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

PASSWORD = "four horses under one bridge"


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Make a data folder; return it with the link of its first person."""
    terminal = Terminal(tmp_path_factory.mktemp("served") / "data")
    said = terminal.run("init", "--tenant", "riverside", "--admin", "ada")
    return terminal.folder, said.out.strip().partition("#")[2]


def served(folder: Path, work: Callable[[Browser], Awaitable[Any]]) -> Any:
    """Do something with a browser at the whole application over the folder."""

    async def serve() -> Any:
        """Hold the folder meanwhile."""
        unlocked = Installation.open(Settings(folder, port=8443), Passphrase(b"open sesame"))
        async with unlocked.write(detector=WordDetector()) as writer:
            return await work(Browser(writer.application()))

    return asyncio.run(serve())


def test_the_first_person_enrols_signs_in_and_lets_another_in(begun: tuple[Path, str]) -> None:
    """A password with codes and a passkey, each of which signs in; then a link for a colleague."""
    folder, link = begun
    key = Authenticator()

    async def enrol(browser: Browser) -> list[str]:
        """Enrol by the link."""
        made = await browser.post("/enrol/begin", {"link": link})
        chosen = {
            "link": link,
            "ticket": made["ticket"],
            "password": PASSWORD,
            "passkey": key.create(made["options"]),
            "code": pyotp.TOTP(made["secret"]).now(),
        }
        done = await browser.post("/enrol/finish", chosen)
        return list(done["recovery_codes"])

    async def use(browser: Browser) -> tuple[Any, ...]:
        """Use the server as a browser does."""
        codes = await enrol(browser)
        asked = await browser.post("/sign-in/passkey/options")
        body = {"ticket": asked["ticket"], "credential": key.get(asked["options"])}
        who = await browser.post("/sign-in/passkey", body)
        csrf = await browser.csrf()
        spec = {"title": "Ben Okri", "roles": ["clinician"]}
        joined = await browser.send("POST", "/api/persons/ben/join", spec, Seawall_Csrf=csrf)
        invited = await browser.post("/enrol/links", {"person": "ben"}, Seawall_Csrf=csrf)
        half = await browser.post("/sign-in/password", {"user": "ada", "password": PASSWORD})
        body = {"ticket": half["ticket"], "credential": key.get(half["options"])}
        again = await browser.post("/sign-in/password-passkey", body)
        replayed = await browser.post("/sign-in/password-passkey", body)
        return len(codes), who, joined.is_success, invited, again, replayed

    codes, who, joined, invited, again, replayed = served(folder, use)
    ada = {"tenant": "riverside", "user": "ada"}
    assert (10, ada, True, ada) == (codes, who, joined, again)
    assert invited["url"].startswith("https://localhost:8443/enrol#riverside/ben/")
    assert "sign-in-refused" == replayed


def test_nobody_else_is_let_in(begun: tuple[Path, str]) -> None:
    """Wrong passwords are answered as unknown names are, by the real hashing too."""
    folder, _ = begun

    async def use(browser: Browser) -> list[Any]:
        """Use the server as a browser does."""
        ends = []
        for user in ("ada", "nobody"):
            body = {"user": user, "password": "something else altogether"}
            half = await browser.post("/sign-in/password", body)
            code = {"ticket": half["ticket"], "code": "000000"}
            ends.append((len(half["ticket"]) > 100, await browser.post("/sign-in/totp", code)))
        return ends

    assert [(True, "sign-in-refused")] * 2 == served(folder, use)
