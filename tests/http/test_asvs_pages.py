"""The pages' fields of secrets, as browsers and password managers see them."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import pytest

from seawall.core.identity.account import Account
from seawall.core.ledger.encoding import decode
from seawall.http.api.sign_in import CodeBody, EnrolBody, PasswordBody
from seawall.http.pages import PAGES

FOLDER = files("seawall.http.pages")


class Inputs(HTMLParser):
    """The input elements of a page, by their id."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, dict[str, str | None]] = {}
        self.feed((FOLDER / f"{page}.html").read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what an input says."""
        if tag == "input":
            self.found[str(dict(attrs)["id"])] = dict(attrs)


def passwords() -> list[tuple[str, dict[str, str | None]]]:
    """Return every field that is for a password, with its page."""
    return [
        (page, said)
        for page in PAGES
        for name, said in Inputs(page).found.items()
        if name.startswith("password")
    ]


def test_passwords_are_masked() -> None:
    """Each field for one is of the type password."""
    assert ["sign-in", "enrol", "enrol"] == [page for page, _ in passwords()]
    assert {"password"} == {said["type"] for _, said in passwords()}


def test_password_managers_and_pasting_work() -> None:
    """Fields say which password they want, and no script looks at pasting or at keys."""
    kinds = {(page, said["autocomplete"]) for page, said in passwords()}
    scripts = [one.read_text("utf-8") for one in FOLDER.iterdir() if one.name.endswith(".js")]

    assert {("sign-in", "current-password"), ("enrol", "new-password")} == kinds
    assert len(PAGES) < len(scripts)
    assert not re.search(r"paste|keydown|keyup|keypress|beforeinput", "".join(scripts))


def test_a_field_takes_the_longest_password() -> None:
    """No field cuts off what the server would take."""
    assert {"128"} == {said["maxlength"] for _, said in passwords()}


def test_there_are_no_hints_and_no_questions() -> None:
    """An account holds factors alone, and no page asks for anything else."""
    fields = {name for page in PAGES for name in Inputs(page).found}

    assert {"v", "password", "passkeys", "recovery"} == set(decode(Account().to_json()))
    assert {"user", "password", "password-again", "code", "recovery", "passkey-name"} == fields


@pytest.mark.parametrize("body", [PasswordBody, CodeBody, EnrolBody])
def test_no_phone_and_no_mail_shows_anybody(body: Any) -> None:
    """What is sent to sign in or to enrol has no way for a code by a phone or by mail."""
    known = {"user", "password", "ticket", "code", "link", "passkey", "passkey_name"}

    assert set(body.model_fields) <= known
