"""A real browser for tests: Chromium, which trusts the one key that a test's server has.

A person's passkeys lie in an authenticator of the browser's own, as W3C WebAuthn
(section 11, automation) has it; it is changed with the person who sits there.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import ssl
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.virtual_authenticator import VirtualAuthenticatorOptions
from selenium.webdriver.support.ui import WebDriverWait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from selenium.webdriver.common.virtual_authenticator import Credential

COOKIE: Final = "__Host-seawall"
_PATIENCE: Final = 30
_OPTIONS: Final = (
    *("--headless=new", "--no-sandbox", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--disable-gpu", "--window-size=1000,900"),
)
_FETCH: Final = """
const [method, path, body, done] = arguments;
(async () => {
  const session = await (await fetch("/api/session")).json();
  const headers = {"Seawall-Csrf": session.csrf || ""};
  if (body !== null) headers["Content-Type"] = "application/json";
  const sent = {method, headers, body: body === null ? undefined : JSON.stringify(body)};
  const answer = await fetch("/api" + path, sent);
  const text = await answer.text();
  done([answer.status, text ? JSON.parse(text) : {}]);
})().catch((error) => done([0, {error: {code: String(error)}}]));
"""


def need_browser() -> tuple[str, str]:
    """Return the paths of the browser and its driver; without them fail in CI, and skip here."""
    found = shutil.which("chromium"), shutil.which("chromedriver")
    if found[0] is None or found[1] is None:
        told = "chromium and chromedriver are not installed: apt-get install chromium-driver"
        if os.environ.get("CI") == "true":
            pytest.fail(told)
        pytest.skip(told)
    return found[0], found[1]


def pinned(port: int) -> str:
    """Return the digest of the key that a server at localhost shows, as the browser wants it."""
    shown = ssl.get_server_certificate(("localhost", port)).encode()
    key = x509.load_pem_x509_certificate(shown).public_key()
    raw = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(raw).digest()).decode()


@dataclass
class Seat:
    """What a person leaves at the browser: a session's cookie, and passkeys."""

    cookie: dict[str, Any] | None = None
    passkeys: list[Credential] = field(default_factory=list)


class Browser:
    """One browser, at which one person sits at a time."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self._driver = driver
        self.url = url
        self._seats: dict[str, Seat] = {}
        self._sitting = ""

    def sit(self, person: str) -> None:
        """Let another person sit down, with the passkeys and the session that they had."""
        driver = self._driver
        if self._sitting:
            self._seats[self._sitting] = Seat(self.cookie(), driver.get_credentials())
            driver.remove_virtual_authenticator()
        seat = self._seats.get(person, Seat())
        options = VirtualAuthenticatorOptions(
            has_resident_key=True, has_user_verification=True, is_user_verified=True
        )
        driver.add_virtual_authenticator(options)
        for passkey in seat.passkeys:
            driver.add_credential(passkey)
        self.go("/sign-in")
        driver.delete_all_cookies()
        if seat.cookie is not None:
            self.put_cookie(seat.cookie)
        self._sitting = person

    def go(self, path: str) -> None:
        """Open a page, anew even if only what stands behind `#` is another."""
        self._driver.get("about:blank")
        self._driver.get(f"{self.url}{path}")

    def cookie(self) -> dict[str, Any] | None:
        """Return the session's cookie."""
        found: dict[str, Any] | None = self._driver.get_cookie(COOKIE)
        return found

    def put_cookie(self, cookie: dict[str, Any]) -> None:
        """Put a session's cookie back, as this host's own: one of a domain it may not be."""
        kept = {name: cookie[name] for name in ("name", "value", "path", "secure", "httpOnly")}
        told = {**kept, "sameSite": cookie["sameSite"], "url": self.url}
        assert self._driver.execute_cdp_cmd("Network.setCookie", told)["success"]

    def script_cookie(self) -> str:
        """Return what a script of the page sees of the cookies."""
        return str(self._driver.execute_script("return document.cookie"))

    def click(self, name: str) -> None:
        """Press a button by its id."""
        self.shown(name).click()

    def fill(self, name: str, text: str) -> None:
        """Type into a field by its id."""
        field_ = self.shown(name)
        field_.clear()
        field_.send_keys(text)

    def submit(self, name: str) -> None:
        """Press the button that sends a form."""
        form = self._driver.find_element(By.ID, name)
        form.find_element(By.CSS_SELECTOR, "button[type=submit]").click()

    def shown(self, name: str) -> Any:
        """Return what has an id, once it is shown and can be used."""

        def usable(_: object) -> Any:
            found = self._driver.find_element(By.ID, name)
            return found if found.is_displayed() and found.is_enabled() else None

        return self._until(usable, name)

    def text(self, name: str) -> str:
        """Return the text of what has an id, once it has any."""
        return str(self._until(lambda _: self._driver.find_element(By.ID, name).text, name))

    def fetch(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Ask the API as a page of the server does; return the status and what it said."""
        status, said = self._driver.execute_async_script(_FETCH, method, path, body)
        return int(status), said

    def path(self) -> str:
        """Return where the browser is, below the server."""
        return str(self._driver.current_url).removeprefix(self.url)

    def wait_for(self, path: str) -> None:
        """Wait until the browser was sent somewhere."""
        self._until(lambda _: self.path().startswith(path), path)

    def _until(self, what: Callable[[object], Any], name: str) -> Any:
        try:
            return WebDriverWait(self._driver, _PATIENCE).until(what)
        except TimeoutException:
            told = [one.text for one in self._driver.find_elements(By.ID, "told")]
            raise AssertionError(f"{name} did not come, and the page says {told}") from None


@contextmanager
def browsing(port: int, folder: Path) -> Iterator[Browser]:
    """Start a browser for the server at a port of localhost; end it afterwards."""
    chromium, chromedriver = need_browser()
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for option in _OPTIONS:
        options.add_argument(option)
    options.add_argument(f"--user-data-dir={folder}")
    options.add_argument(f"--ignore-certificate-errors-spki-list={pinned(port)}")
    driver = webdriver.Chrome(options, Service(chromedriver))
    driver.set_script_timeout(_PATIENCE)
    driver.set_page_load_timeout(_PATIENCE)
    try:
        yield Browser(driver, f"https://localhost:{port}")
    finally:
        driver.quit()
