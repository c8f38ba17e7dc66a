"""The page about signing in says what the code does: ways in, counts, words, times."""

from __future__ import annotations

import ast
import re

import pytest

from house.sources import ROOT
from seawall.adapters.rates import LIMITS, Limit
from seawall.core.errors import Invalid
from seawall.core.identity.account import LINK_MS, RECOVERED_MS
from seawall.core.identity.password import LONGEST, SHORTEST, check_password
from seawall.core.identity.provider import LONGEST_SECONDS
from seawall.core.identity.session import ABSOLUTE_SECONDS, IDLE_SECONDS

PAGE = (ROOT / "docs" / "reference" / "sign-in-and-sessions.md").read_text("utf-8")
ELSEWHERE = ("/api/openapi.json",)
"""Public below /api, and no way in."""


def part(heading: str) -> str:
    """Return the text below a heading."""
    return PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def public_paths() -> set[str]:
    """Return the paths that ask for no session and no token, as another test lists them.

    That test compares its list with the routes of the whole server.
    """
    path = ROOT / "tests" / "http" / "test_api_every_route.py"
    (said,) = (
        ast.literal_eval(node.value)
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.target.id == "PUBLIC"
        and node.value is not None
    )
    return {one for one in said if one.startswith(("/api/", "/oauth2/", "/sign-in/"))}


def test_every_way_in_is_in_the_table() -> None:
    """And the table has no path that is none."""
    told = set(re.findall(r"`(/[^`]+)`", part("Every way in"))) - {"/step-up"}

    assert public_paths() - set(ELSEWHERE) == told


def test_the_counts_are_those_of_the_code() -> None:
    """Each limit with its amount and its seconds."""
    rows = re.findall(r"^\| `([a-z-]+)` \| ([\d,]+) \| ([\d,]+) s \|", PAGE, re.MULTILINE)
    told = {
        name: Limit(int(amount.replace(",", "")), int(seconds.replace(",", "")))
        for name, amount, seconds in rows
    }

    assert {name: limit for name, limit in LIMITS.items() if name != "told"} == told
    assert f"once in {LIMITS['told'].seconds} s" in PAGE


def test_each_word_of_the_place_is_refused() -> None:
    """What the page names is in no password, however it is dressed."""
    listed = part("Passwords").split("those of the place:")[1].split("\n\n")[1]
    words = re.findall(r"`([a-z]+)`", listed)

    assert 10 < len(words)
    for word in words:
        with pytest.raises(Invalid, match="password-common"):
            check_password(f"{word.title()}-2026-11-24!", user="ann", title="Ann")


def test_a_providers_session_is_told_and_asked_for_as_told() -> None:
    """The page says how old a sign-in there may be, and what ends neither session."""
    told = part("Sessions at an identity provider")

    assert f"at most {ABSOLUTE_SECONDS // 3600} hours old" in told
    assert (
        "signing out here does not end it, and signing out there does not end the one here" in told
    )
    assert ABSOLUTE_SECONDS == LONGEST_SECONDS


def test_the_times_are_those_of_the_code() -> None:
    """Of sessions, links and passwords."""
    assert f"{SHORTEST} to {LONGEST} characters" in PAGE
    assert f"| idle | {IDLE_SECONDS // 60} minutes |" in PAGE
    assert f"| whole | {ABSOLUTE_SECONDS // 3600} hours |" in PAGE
    assert f"once, within {LINK_MS // 3_600_000} hours" in PAGE
    assert f"for {RECOVERED_MS // 60_000} minutes, and no session" in PAGE
