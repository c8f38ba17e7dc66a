"""The pages in a real browser, whose authenticator is Chromium's own."""

from __future__ import annotations

import asyncio
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import uvicorn
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.virtual_authenticator import VirtualAuthenticatorOptions
from selenium.webdriver.support.ui import WebDriverWait

from people_api import people_application
from people_scene import CLINIC, PASSWORD, PeopleScene
from seawall.adapters.passkeys import WebPasskeys
from seawall.app.ports import SYSTEM_LOG

if TYPE_CHECKING:
    from collections.abc import Iterator

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
PATIENCE = 20

pytestmark = pytest.mark.skipif(
    not (CHROMIUM.exists() and DRIVER.exists()), reason="there is no Chromium"
)


@dataclass
class Place:
    """A browser at a server, and what is behind it."""

    browser: Chrome
    scene: PeopleScene
    origin: str

    def open(self, path: str) -> None:
        """Show a page."""
        self.browser.get(self.origin + path)

    def click(self, name: str) -> None:
        """Press a button, once it can be pressed."""
        self.await_shown(name)
        WebDriverWait(self.browser, PATIENCE).until(
            lambda browser: browser.find_element(By.ID, name).is_enabled()
        )
        self.browser.find_element(By.ID, name).click()

    def type(self, name: str, text: str) -> None:
        """Type into a field, once it is there."""
        self.await_shown(name)
        self.browser.find_element(By.ID, name).send_keys(text)

    def press_enter(self, name: str) -> None:
        """Send a form by the keyboard alone."""
        self.await_shown(name)
        self.browser.find_element(By.ID, name).send_keys("\n")

    def await_shown(self, name: str) -> None:
        """Wait until an element can be seen."""
        WebDriverWait(self.browser, PATIENCE).until(
            lambda browser: browser.find_element(By.ID, name).is_displayed(),
            f"{name} is not shown; told: {self.text('told')}",
        )

    def text(self, name: str) -> str:
        """Return an element's text."""
        return self.browser.find_element(By.ID, name).text


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """Serve the pages of a new clinic on this machine, and open a browser at them."""
    listener = socket.create_server(("127.0.0.1", 0))
    origin = f"http://localhost:{listener.getsockname()[1]}"
    scene = PeopleScene()
    # Chromium counts pages of `localhost` as safe, with or without TLS.
    vars(scene.passkeys).update(vars(WebPasskeys(name="localhost", origin=origin)))
    asyncio.run(scene.begin())
    config = uvicorn.Config(people_application(scene, origin), log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--no-proxy-server",
    ):
        options.add_argument(argument)
    try:
        browser = Chrome(options, Service(str(DRIVER)))
        try:
            authenticator = VirtualAuthenticatorOptions(
                has_resident_key=True, has_user_verification=True, is_user_verified=True
            )
            browser.add_virtual_authenticator(authenticator)
            yield Place(browser, scene, origin)
        finally:
            browser.quit()
    finally:
        server.should_exit = True
        thread.join(PATIENCE)


def test_a_person_enrols_and_signs_in(place: Place) -> None:
    """A passkey and a password; then by each of them, and back to a page of ours."""
    place.open(f"/enrol#{place.scene.first_link}")
    place.click("make-passkey")
    WebDriverWait(place.browser, PATIENCE).until(lambda _: place.text("passkey-made"))
    place.type("password", PASSWORD)
    place.type("password-again", PASSWORD)
    place.press_enter("password-again")
    place.await_shown("codes-part")
    assert "#" not in place.browser.current_url
    assert 10 == len(place.browser.find_elements(By.CSS_SELECTOR, "#codes li"))

    place.open("/sign-in")
    place.click("passkey")
    place.await_shown("done")
    assert "ada" == place.text("who")

    place.open("/sign-in?return=%2Fstep-up")
    place.type("user", "ada")
    place.type("password", PASSWORD)
    place.press_enter("password")
    place.await_shown("second")
    assert "second-heading" == place.browser.switch_to.active_element.get_attribute("id")
    place.click("second-passkey")
    WebDriverWait(place.browser, PATIENCE).until(lambda one: one.current_url.endswith("/step-up"))
    place.click("passkey")
    place.await_shown("done")

    ends = [body["outcome"] for body in place.scene.said("sign-in.outcome")]
    assert ["accepted", "half", "accepted"] == ends
    assert ["accepted"] == place.scene.outcomes("step-up.outcome")
    assert 1 == len(asyncio.run(place.scene.store.sessions(CLINIC, "ada")))

    place.click("sign-out")
    WebDriverWait(place.browser, PATIENCE).until(lambda one: one.current_url.endswith("/sign-in"))
    assert [] == asyncio.run(place.scene.store.sessions(CLINIC, "ada"))


def test_a_wrong_password_is_told_after_the_second_step(place: Place) -> None:
    """The page says what the server says, where a screen reader hears it."""
    place.open("/sign-in")
    place.type("user", "ada")
    place.type("password", "something else altogether")
    place.press_enter("password")
    place.type("code", "000000")
    place.press_enter("code")

    place.await_shown("first")
    WebDriverWait(place.browser, PATIENCE).until(lambda _: place.text("told"))
    assert place.text("told").startswith("the sign-in was not accepted")


@pytest.mark.parametrize("back", ["//localhost:1", "/\\localhost:1", "javascript:alert(1)"])
def test_the_script_itself_goes_on_to_no_other_place(place: Place, back: str) -> None:
    """Also where the server did not take the parameter away."""
    place.open("/sign-in")
    script = """
      const [back, done] = arguments;
      history.replaceState(null, "", "/sign-in?return=" + encodeURIComponent(back));
      import("/pages/seawall.js").then((pages) => done(pages.goOn()));
    """

    assert place.browser.execute_async_script(script, back) is False


def test_nothing_of_another_server_runs_in_a_page(place: Place) -> None:
    """The policy stops a script that somebody got into it."""
    place.open("/sign-in")
    before = len(place.scene.ledger.bodies(SYSTEM_LOG))
    script = """
      const made = document.createElement("script");
      made.textContent = "document.title = 'taken'";
      document.head.append(made);
    """
    with pytest.raises(WebDriverException, match="TrustedScript"):
        place.browser.execute_script(script)

    assert "Sign in to Seawall" == place.browser.title
    assert before == len(place.scene.ledger.bodies(SYSTEM_LOG))
