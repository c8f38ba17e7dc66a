"""People in a real browser: enrol, sign in, show a factor again, break the glass, leave.

Against the real server over TLS, with passkeys of the browser's own authenticator.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

from browsers import Browser, browsing, need_browser
from clinic import Clinic, served_apart
from key_operators import TENANT, Phone, patient
from seawall.compose import Installation
from seawall.config import Passphrase, Settings
from terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

ADMIN: Final = "admin"
PASSWORD: Final = "seven quiet lanterns by the harbor"
_LINK: Final = re.compile(r"https://[^\s#]+(/enrol#\S+)")


class Clinicians:
    """The people of a clinic, who take turns at one browser."""

    def __init__(self, browser: Browser, terminal: Terminal) -> None:
        self.browser = browser
        self.terminal = terminal
        self.phones: dict[str, Phone] = {}
        self.link = ""
        """The first link, which the terminal printed."""

    def sign_in(self, person: str) -> None:
        """Let somebody sign in with their passkey, whose factor then is fresh."""
        self.browser.sit(person)
        self.browser.go("/sign-in")
        self.browser.click("passkey")
        assert person == self.browser.text("who")

    def enrol(self, person: str, link: str, *, has_password: bool = False) -> list[str]:
        """Let somebody enrol by their link; return the recovery codes that they are shown."""
        browser = self.browser
        browser.sit(person)
        browser.go(link)
        browser.click("make-passkey")
        assert "A passkey was made." == browser.text("passkey-made")
        if has_password:
            phone = Phone(person, browser.text("secret").replace(" ", ""))
            self.phones[person] = phone
            browser.fill("password", PASSWORD)
            browser.fill("password-again", PASSWORD)
            browser.fill("code", phone.code())
        browser.submit("enrol-form")
        assert "You are enrolled" == browser.text("done-heading")
        return browser.text("codes").split() if has_password else []

    def hire(self, person: str, *roles: str, has_password: bool = False) -> list[str]:
        """Let the administrator hire somebody with roles, who enrols by the link they get."""
        self.sign_in(ADMIN)
        given = {"title": person.title(), "roles": list(roles), "reviewer": ADMIN}
        self.asks("POST", f"/persons/{person}/join", given)
        link = self.asks("POST", "/enrol/links", {"person": person})["url"]
        return self.enrol(person, self.path_of(link), has_password=has_password)

    def asks(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the API as who sits there, who may."""
        status, said = self.browser.fetch(method, path, body)
        assert status < 400, said
        return said

    def path_of(self, link: str) -> str:
        """Return the path of a link, whose server may have another port than it says."""
        found = _LINK.search(link)
        assert found is not None
        return found[1]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinicians]:
    """Make a folder with a patient, serve it, start a browser; the administrator enrols."""
    need_browser()
    base = tmp_path_factory.mktemp("people")
    terminal = Terminal(base / "data")
    made = terminal.run("init", "--tenant", TENANT)
    file = base / "ann.json"
    file.write_text(str(patient("ann")).replace("'", '"'), "utf-8")
    terminal.run("patient", "import", str(file), "--json").json()
    installation = Installation.open(Settings(base / "data", port=0), Passphrase(b"open sesame"))
    clinic = Clinic(installation, {}, {})
    with (
        served_apart(clinic, base, SEAWALL_PASSPHRASE="open sesame") as server,
        browsing(server.port, base / "profile") as browser,
    ):
        found = Clinicians(browser, terminal)
        found.link = found.path_of(made.out + made.err)
        found.enrol(ADMIN, found.link)
        yield found


def test_whoever_has_the_first_link_enrols_once(people: Clinicians) -> None:
    """By a passkey; then the link is no link any more, and says so."""
    people.browser.sit("mallory")
    people.browser.go(people.link)
    assert people.browser.text("told")
    people.sign_in(ADMIN)
    assert (200, ADMIN) == _who(people.browser)


def test_a_password_takes_a_code_besides(people: Clinicians) -> None:
    """Enrolled with both; the page asks for the one and then for the other."""
    codes = people.hire("clara", "clinician", has_password=True)
    browser = people.browser
    browser.go("/sign-in")
    browser.fill("user", "clara")
    browser.fill("password", PASSWORD)
    browser.submit("password-form")
    browser.fill("code", people.phones["clara"].code())
    browser.submit("code-form")
    assert ("clara", True) == (browser.text("who"), len(codes) >= 8)
    methods = people.asks("GET", "/session")["methods"]
    assert {"mfa", "otp", "pwd"} <= set(methods)


def test_a_factor_is_shown_again_under_a_new_name(people: Clinicians) -> None:
    """The session goes on, and the name that it had before is nobody's."""
    people.sign_in(ADMIN)
    browser = people.browser
    before = browser.cookie()
    browser.go("/step-up?return=/sign-in")
    browser.click("passkey")
    browser.wait_for("/sign-in")
    after = browser.cookie()
    assert before is not None
    assert after is not None
    assert before["value"] != after["value"]
    browser.put_cookie(before)
    assert 401 == _who(browser)[0]
    browser.put_cookie(after)
    assert (200, ADMIN) == _who(browser)


def test_the_cookie_is_out_of_every_scripts_reach(people: Clinicians) -> None:
    """And goes over TLS to this host alone, from its own pages alone."""
    people.sign_in(ADMIN)
    cookie = people.browser.cookie()
    assert cookie is not None
    assert (True, True, "Strict", "/") == (
        cookie["httpOnly"],
        cookie["secure"],
        cookie["sameSite"],
        cookie["path"],
    )
    assert "" == people.browser.script_cookie()


def test_the_glass_is_broken_and_somebody_else_reviews_it(people: Clinicians) -> None:
    """A clinician opens one patient for an hour; the privacy officer says what was found."""
    people.hire("paul", "privacy-officer")
    people.hire("nora", "clinician")
    people.sign_in("nora")
    warned = people.asks("GET", "/emergencies/warning")
    asked = {"patient": "ann", "code": warned["codes"][0], "reason": "she does not breathe"}
    asked |= {"purpose": "treatment", "acknowledged": warned["version"]}
    begun = people.asks("POST", "/emergencies", asked)
    (mine,) = people.asks("GET", "/emergencies/mine")["items"]
    assert (begun["id"], "nora", None) == (mine["id"], mine["person"], mine["review"])
    found = {"finding": "appropriate", "reason": "the record shows it"}
    own, _ = people.browser.fetch("POST", f"/emergencies/{begun['id']}/review", found)
    assert 403 == own
    people.sign_in("paul")
    people.asks("POST", f"/emergencies/{begun['id']}/end", {"reason": "she is well"})
    reviewed = people.asks("POST", f"/emergencies/{begun['id']}/review", found)
    assert "appropriate" == reviewed["finding"]


def test_a_review_of_access_takes_a_role_away(people: Clinicians) -> None:
    """Whoever is asked says no, and the person may do nothing from then on."""
    people.hire("rita", "auditor")
    people.sign_in("rita")
    assert 200 == people.browser.fetch("GET", "/ledger/entries?last=1")[0]
    people.sign_in(ADMIN)
    due = (datetime.now(UTC).date() + timedelta(days=30)).isoformat()
    scope = {"scope": "persons", "persons": ["rita"], "due": due}
    people.asks("POST", "/reviews/rita-now", scope)
    asked = people.asks("GET", "/reviewed-grants")
    name = next(one["item"] for one in asked if one["name"] == "rita")
    answer = {"answer": "revoked", "reason": "the audit is over"}
    people.asks("POST", f"/reviewed-grants/{name}/answer", answer)
    people.browser.sit("rita")
    assert 403 == people.browser.fetch("GET", "/ledger/entries?last=1")[0]


def test_whoever_leaves_is_out_at_once(people: Clinicians) -> None:
    """The session ends with the entry, and signing in again is refused."""
    people.hire("lena", "auditor")
    people.sign_in("lena")
    before = _who(people.browser)
    people.sign_in(ADMIN)
    people.asks("POST", "/persons/lena/leave", {})
    people.browser.sit("lena")
    after = _who(people.browser)[0]
    people.browser.go("/sign-in")
    people.browser.click("passkey")
    assert ((200, "lena"), 401) == (before, after)
    assert people.browser.text("told")
    assert 401 == _who(people.browser)[0]


def _who(browser: Browser) -> tuple[int, str]:
    status, said = browser.fetch("GET", "/session")
    return status, str(said.get("name", ""))
