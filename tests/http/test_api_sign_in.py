"""Signing in over HTTP: cookies, origins, bounds, and the pages themselves."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from authenticator import Authenticator
from people_api import FOREIGN, Browser, people_application
from people_scene import CLINIC, PASSWORD, TERMINAL, PeopleScene
from seawall.http.api.guard import COOKIE
from seawall.http.api.sign_in import DEVICE
from seawall.http.pages import PAGES, is_own_path

if TYPE_CHECKING:
    from starlette.applications import Starlette


@pytest.fixture
async def scene() -> PeopleScene:
    """Return a clinic in which Ada is enrolled."""
    made = PeopleScene()
    await made.begin()
    await made.enrolled(made.first_link)
    return made


@pytest.fixture
def app(scene: PeopleScene) -> Starlette:
    """Return the pages and what they call."""
    return people_application(scene)


async def sign_in(scene: PeopleScene, browser: Browser) -> Any:
    """Sign Ada in with a password and a code."""
    scene.clock.advance(60)
    half = await browser.post("/sign-in/password", {"user": "ada", "password": PASSWORD})
    body = {"ticket": half["ticket"], "code": scene.code("ada")}
    return await browser.post("/sign-in/totp", body)


async def test_a_password_and_a_code_set_a_strict_cookie(
    scene: PeopleScene, app: Starlette
) -> None:
    """The session's name is in no body, and in a cookie that no script reads."""
    browser = Browser(app)
    scene.clock.advance(60)
    half = await browser.post("/sign-in/password", {"user": "ada", "password": PASSWORD})
    body = {"ticket": half["ticket"], "code": scene.code("ada")}
    answer = await browser.send("POST", "/api/sign-in/totp", body)

    cookie = next(one for one in answer.headers.get_list("set-cookie") if COOKIE + "=" in one)
    assert {"tenant": CLINIC, "user": "ada"} == answer.json()
    assert {"HttpOnly", "Path=/", "SameSite=strict", "Secure"} == set(cookie.split("; ")[1:])
    assert browser.cookies[COOKIE] not in answer.text


async def test_a_passkey_signs_in(scene: PeopleScene, app: Starlette) -> None:
    """And the session says who is there."""
    browser = Browser(app)
    begun = await browser.post("/sign-in/passkey/options")
    credential = scene.keys_of["ada"].get(begun["options"])
    await browser.post("/sign-in/passkey", {"ticket": begun["ticket"], "credential": credential})

    session = (await browser.send("GET", "/api/session")).json()
    assert ("ada", ["hwk", "mfa", "user"]) == (session["name"], session["methods"])


async def test_signing_in_again_ends_the_browsers_session(
    scene: PeopleScene, app: Starlette
) -> None:
    """The old cookie is worth nothing, and the device keeps its name."""
    browser = Browser(app)
    await sign_in(scene, browser)
    before = dict(browser.cookies)
    await sign_in(scene, browser)

    assert before[DEVICE] == browser.cookies[DEVICE]
    assert before[COOKIE] != browser.cookies[COOKIE]
    assert 1 == len(await scene.store.sessions(CLINIC, "ada"))


async def test_a_cookie_that_was_planted_is_never_taken(scene: PeopleScene, app: Starlette) -> None:
    """Session fixation: the name is always the server's own."""
    browser = Browser(app)
    browser.cookies = {COOKIE: "f" * 64, DEVICE: "f" * 32}
    await sign_in(scene, browser)

    assert {"f" * 64, "f" * 32}.isdisjoint(browser.cookies.values())


@pytest.mark.parametrize(
    "path",
    [
        "/sign-in/passkey/options",
        "/sign-in/passkey",
        "/sign-in/password",
        "/sign-in/password-passkey",
        "/sign-in/totp",
        "/sign-in/recovery",
        "/enrol/begin",
        "/enrol/finish",
    ],
)
async def test_another_sites_page_begins_nothing(app: Starlette, path: str) -> None:
    """Nor does a request that does not say from which page it comes."""
    body = {
        "user": "ada",
        "password": "x",
        "ticket": "x",
        "credential": {},
        "code": "1",
        "link": "x",
    }
    kept = {
        "/sign-in/passkey": ("ticket", "credential"),
        "/sign-in/password": ("user", "password"),
        "/sign-in/password-passkey": ("ticket", "credential"),
        "/sign-in/totp": ("ticket", "code"),
        "/sign-in/recovery": ("ticket", "code"),
        "/enrol/begin": ("link",),
        "/enrol/finish": ("link", "ticket"),
    }
    fields = {name: body[name] for name in kept.get(path, ())} or None
    foreign = await Browser(app, origin=FOREIGN).post(path, fields)
    cross = await Browser(app).post(path, fields, Sec_Fetch_Site="cross-site")
    own = await Browser(app).post(path, fields)

    assert ("origin-foreign", "origin-foreign") == (foreign, cross)
    assert "origin-foreign" != own


async def test_a_body_is_bounded(app: Starlette) -> None:
    """32 KiB are enough for any credential."""
    body = {"ticket": "x", "credential": {"id": "x" * 40_000}}

    assert "body-too-large" == await Browser(app).post("/sign-in/passkey", body)


@pytest.mark.parametrize(
    "credential",
    [
        {},
        {"id": "x"},
        {"id": "eA", "rawId": "eA", "type": "public-key", "response": {}},
        {"id": 1, "rawId": [], "type": {}, "response": "x"},
    ],
)
async def test_what_is_no_credential_is_invalid(app: Starlette, credential: dict[str, Any]) -> None:
    """Whatever a stranger sends instead."""
    browser = Browser(app)
    begun = await browser.post("/sign-in/passkey/options")
    body = {"ticket": begun["ticket"], "credential": credential}

    assert "passkey-invalid" == await browser.post("/sign-in/passkey", body)


async def test_refusals_are_told_in_the_same_words(scene: PeopleScene, app: Starlette) -> None:
    """Whole answers are compared: unknown, wrong, suspended."""
    await scene.change("ben", title="Ben", standing="suspended")
    told = set()
    for user in ("ada", "ben", "nobody"):
        browser = Browser(app)
        half = await browser.post("/sign-in/password", {"user": user, "password": "wrong words"})
        body = {"ticket": half["ticket"], "code": "000000"}
        answer = await browser.send("POST", "/api/sign-in/totp", body)
        told.add((answer.status_code, answer.text))

    assert 1 == len(told)


async def test_a_person_enrols_by_a_link_from_an_officer(
    scene: PeopleScene, app: Starlette
) -> None:
    """The officer shows a fresh factor; the link's secret stands behind the `#`."""
    officer, ben = Browser(app), Browser(app, "10.9.9.9")
    await sign_in(scene, officer)
    made = await officer.post("/enrol/links", {"person": "ben"}, Seawall_Csrf=await officer.csrf())
    page, _, link = made["url"].partition("#")
    begun = await ben.post("/enrol/begin", {"link": link})
    scene.secrets["ben"] = begun["secret"]
    body = {"link": link, "ticket": begun["ticket"], "password": PASSWORD}
    done = await ben.post("/enrol/finish", {**body, "code": scene.code("ben")})

    assert page.endswith("/enrol")
    assert 10 == len(done["recovery_codes"])
    assert "ada" == scene.said("enrol.invite")[-1]["actor"]["name"]


async def test_a_stale_factor_gives_no_links(scene: PeopleScene, app: Starlette) -> None:
    """Until one is shown again: then the session has another name."""
    browser = Browser(app)
    await sign_in(scene, browser)
    scene.clock.advance(360)
    csrf, old = await browser.csrf(), browser.cookies[COOKIE]
    stale = await browser.post("/enrol/links", {"person": "ben"}, Seawall_Csrf=csrf)
    await browser.post("/step-up/totp", {"code": scene.code("ada")}, Seawall_Csrf=csrf)
    fresh = await browser.post("/enrol/links", {"person": "ben"}, Seawall_Csrf=await browser.csrf())

    assert ("step-up-needed", True) == (stale, "url" in fresh)
    assert old != browser.cookies[COOKIE]


async def test_a_passkey_is_shown_again(scene: PeopleScene, app: Starlette) -> None:
    """By the page for it."""
    browser = Browser(app)
    await sign_in(scene, browser)
    scene.clock.advance(360)
    csrf = await browser.csrf()
    begun = await browser.post("/step-up/passkey/options", Seawall_Csrf=csrf)
    credential = scene.keys_of["ada"].get(begun["options"])
    body = {"ticket": begun["ticket"], "credential": credential}
    await browser.post("/step-up/passkey", body, Seawall_Csrf=csrf)

    session = (await browser.send("GET", "/api/session")).json()
    assert 0 == session["factor_age_seconds"]


async def test_a_step_up_needs_the_pages_own_word(scene: PeopleScene, app: Starlette) -> None:
    """Without the header a request with the cookie changes nothing."""
    browser = Browser(app)
    await sign_in(scene, browser)

    assert "csrf-missing" == await browser.post("/step-up/totp", {"code": "000000"})


async def test_a_recovery_code_leads_to_the_enrolment_page(
    scene: PeopleScene, app: Starlette
) -> None:
    """And sets no cookie."""
    codes = await scene.enrolled((await scene.enrol.invite(TERMINAL, "ada")).link)
    browser = Browser(app)
    half = await browser.post("/sign-in/password", {"user": "ada", "password": PASSWORD})
    done = await browser.post("/sign-in/recovery", {"ticket": half["ticket"], "code": codes[0]})

    assert done["path"].startswith(f"/enrol#{CLINIC}/ada/")
    assert {} == browser.cookies


async def test_too_many_tries_are_told_as_such(app: Starlette) -> None:
    """429, as RFC 6585 says."""
    browser = Browser(app)
    body = {"user": "ada", "password": "wrong words"}
    answers = [await browser.send("POST", "/api/sign-in/password", body) for _ in range(11)]

    assert [200] * 10 + [429] == [one.status_code for one in answers]


async def test_a_person_changes_factors_of_their_own(scene: PeopleScene, app: Starlette) -> None:
    """A second passkey, without the first, and other recovery codes."""
    browser, key = Browser(app), Authenticator()
    await sign_in(scene, browser)
    csrf = await browser.csrf()
    begun = await browser.post("/factors/passkeys/options", Seawall_Csrf=csrf)
    body = {"ticket": begun["ticket"], "credential": key.create(begun["options"]), "name": "spare"}
    await browser.post("/factors/passkeys", body, Seawall_Csrf=csrf)
    held = (await browser.send("GET", "/api/factors")).json()
    path = f"/api/factors/passkeys/{held['passkeys'][0]['id']}"
    removed = await browser.send("DELETE", path, Seawall_Csrf=csrf)
    codes = await browser.post("/factors/recovery-codes", Seawall_Csrf=csrf)
    left = (await browser.send("GET", "/api/factors")).json()

    assert (204, ["spare"]) == (removed.status_code, [one["name"] for one in left["passkeys"]])
    assert (10, 10) == (len(codes["recovery_codes"]), left["recovery_codes"])
    assert scene.secrets["ada"] not in str(left)


# --- the pages --------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "/%5Cevil.example",
        "/%2Fevil.example",
        "/\tevil.example",
        "/%09/evil.example",
        "javascript:alert(1)",
        "evil.example",
        "\\\\evil.example",
        "",
        "/" + "x" * 500,
    ],
)
async def test_a_page_goes_on_to_no_other_place(app: Starlette, path: str) -> None:
    """An open redirect would lend our name to another site's page."""
    transport = Browser(app)
    answer = await transport.send("GET", "/sign-in?return=" + _quoted(path))

    assert (303, "/sign-in") == (answer.status_code, answer.headers["location"])
    assert not is_own_path(path)


@pytest.mark.parametrize("path", ["/", "/step-up?return=%2F", "/exchanges/3?x=1#y"])
async def test_a_page_goes_on_to_a_path_of_ours(app: Starlette, path: str) -> None:
    """An absolute path of this server."""
    answer = await Browser(app).send("GET", "/sign-in?return=" + _quoted(path))

    assert 200 == answer.status_code


async def test_two_places_to_go_on_to_are_none(app: Starlette) -> None:
    """What two readers could read differently is read by none."""
    answer = await Browser(app).send("GET", "/sign-in?return=/a&return=//evil.example")

    assert 303 == answer.status_code


@pytest.mark.parametrize("name", PAGES)
async def test_a_page_runs_nothing_but_its_own_files(app: Starlette, name: str) -> None:
    """A strict policy, and nothing within the page that it would stop."""
    answer = await Browser(app).send("GET", f"/{name}")
    page = _Read(answer.text)
    policy = answer.headers["content-security-policy"]

    assert {"default-src 'none'", "frame-ancestors 'none'", "script-src 'self'"} <= set(
        policy.split("; ")
    )
    assert "unsafe" not in policy
    assert not page.inline
    for path in page.linked:
        assert 200 == (await Browser(app).send("GET", path)).status_code


@pytest.mark.parametrize("name", PAGES)
async def test_a_page_can_be_used_without_seeing_it(app: Starlette, name: str) -> None:
    """A language, a title, one heading first, a label for each field, a place for errors."""
    page = _Read((await Browser(app).send("GET", f"/{name}")).text)

    assert "en" == page.language
    assert page.headings[0] == "h1"
    assert page.fields == page.labelled
    assert page.has_alert


def test_scripts_write_no_markup() -> None:
    """Nothing of an answer becomes an element or is run."""
    from importlib.resources import files  # noqa: PLC0415  for this test alone

    folder = files("seawall.http.pages")
    scripts = [one.read_text() for one in folder.iterdir() if one.name.endswith(".js")]

    assert 4 == len(scripts)
    assert not [one for one in scripts if re.search(r"innerHTML|eval\(|Function\(|\.write\(", one)]


def _quoted(text: str) -> str:
    return "".join(f"%{one:02X}" for one in text.encode())


class _Read(HTMLParser):
    """What a page holds: what is within it, what it loads, and how its fields are named."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.linked: list[str] = []
        self.headings: list[str] = []
        self.fields: set[str] = set()
        self.labelled: set[str] = set()
        self.language = ""
        self.has_alert = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember what matters of an element."""
        found = dict(attrs)
        self.inline += [name for name in found if name.startswith("on") or name == "style"]
        if tag == "style" or (tag == "script" and "src" not in found):
            self.inline.append(tag)
        if tag in {"script", "link"}:
            self.linked.append(found.get("src") or found.get("href") or "")
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(tag)
        if tag == "input":
            self.fields.add(found["id"] or "")
        if tag == "label":
            self.labelled.add(found["for"] or "")
        if tag == "html":
            self.language = found.get("lang") or ""
        self.has_alert |= found.get("role") == "alert"
