"""What providers write is read with bounds: it is understood, or refused in our own words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core.access.vocabulary import Role
from seawall.core.errors import Error, Invalid
from seawall.core.identity.scim import (
    Provisioned,
    derived_name,
    patched,
    patched_members,
    read_user,
)
from seawall.core.identity.scim_reading import (
    LONGEST,
    MOST_COMPARISONS,
    MOST_OPERATIONS,
    Comparison,
    Path,
    read_filter,
    read_patch,
    read_path,
)
from seawall.core.registers.spec import NAME_PATTERN, read_spec
from seawall.core.registers.user import UserSpec

if TYPE_CHECKING:
    from collections.abc import Callable

HELD = Provisioned("dan", None, "Dan", active=True, roles=frozenset({Role.CLINICIAN}))
NAMES = st.sampled_from(["userName", "externalId", "active", "roles", "members", "displayName"])
PIECES = st.sampled_from(
    ["userName", "members", " ", "eq", "pr", "and", '"a"', '"', "\\", "[", "]", ".", "true", "urn:"]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            NAMES | st.sampled_from(["value", "Operations", "op", "path", "name.formatted", "a[b"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
OPERATIONS = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "Replace", "REMOVE", "move"])},
    optional={"path": NAMES | st.lists(PIECES, max_size=6).map("".join), "value": JSON},
)


def said_of(call: Callable[[], Any]) -> str:
    """Return the code with which something is refused, or "understood"."""
    try:
        call()
    except Error as error:
        return error.code
    return "understood"


def written(text: str) -> str:
    """Return a text as a filter writes it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(one if one >= " " else f"\\u{ord(one):04x}" for one in escaped) + '"'


@given(st.lists(PIECES, max_size=30).map("".join) | st.text(max_size=200))
def test_any_text_is_a_filter_or_refused(text: str) -> None:
    """No text raises anything but our own error, and what is read is within its bounds."""
    said = said_of(lambda: read_filter(text))

    assert said in {"understood", "scim-filter"}
    assert said != "understood" or 0 < len(read_filter(text)) <= MOST_COMPARISONS


@given(st.lists(st.tuples(NAMES, st.text(max_size=20)), min_size=1, max_size=MOST_COMPARISONS))
def test_a_filter_that_is_written_is_read(pairs: list[tuple[str, str]]) -> None:
    """Whatever texts are compared, they are read as they were written, however they are joined."""
    text = " AND ".join(f"{name} Eq {written(value)}" for name, value in pairs)

    if len(text) <= LONGEST:
        expected = tuple(Comparison(name.lower(), value) for name, value in pairs)
        assert expected == read_filter(text)


@given(st.lists(PIECES, max_size=20).map("".join) | st.text(max_size=100))
def test_any_text_is_a_path_or_refused(text: str) -> None:
    """No text raises anything but our own errors."""
    assert said_of(lambda: read_path(text)) in {"understood", "scim-path", "scim-filter"}


@given(JSON | st.fixed_dictionaries({"Operations": st.lists(OPERATIONS, max_size=5)}))
def test_any_body_is_a_patch_or_refused(body: Any) -> None:
    """Whatever JSON is sent as a PATCH, it is applied, or refused in our own words."""

    def apply() -> None:
        """Apply it to a person and to a group."""
        operations = read_patch(body)
        assert patched(HELD, operations).user_name.strip()
        members = patched_members(frozenset({"dan"}), operations, Role.CLINICIAN)
        assert all(isinstance(one, str) for one in members)

    said = said_of(apply)
    assert said == "understood" or said.startswith("scim-")


@given(JSON)
def test_any_body_is_a_resource_or_refused(body: Any) -> None:
    """Whatever JSON is sent as a whole resource, it is one, or refused in our own words."""
    said = said_of(lambda: read_user(body, None))

    assert said.startswith("scim-") or read_user(body, None).title


@given(st.text(min_size=1, max_size=255), st.integers(0, 4))
def test_any_account_has_a_documents_name(user_name: str, taken: int) -> None:
    """A name is narrow whatever the account's is, follows from it alone, and is nobody else's."""
    others: set[str] = set()
    for _ in range(taken):
        others.add(derived_name(user_name, others))

    name = derived_name(user_name, others)

    assert (taken, name) == (len(others), derived_name(user_name, set(others)))
    assert name not in others
    assert "T" == read_spec(UserSpec, "User", name, {"title": "T"}).title


@pytest.mark.parametrize(
    ("user_name", "name"),
    [
        ("anna.berg@clinic.example", "anna.berg"),
        ("ANNA", "anna"),
        ("Ånna_Bérg@x", "anna_berg"),
        ("o'neil@x", "o-neil"),
        ("李@x", "person"),
        ("@x", "x"),
        ("...", "person"),
        ("a" * 80, "a" * 56),
    ],
)
def test_a_documents_name_is_what_stands_before_the_at(user_name: str, name: str) -> None:
    """Accents, capitals and other signs become narrow letters."""
    assert name == derived_name(user_name, ())


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("active", Path("active")),
        ("Name.FamilyName", Path("name.familyname")),
        ("urn:ietf:params:scim:schemas:core:2.0:User:userName", Path("username")),
        ('members[value eq "ben"]', Path("members", (Comparison("value", "ben"),))),
        (
            'emails[type eq "work" and primary eq true].value',
            Path("emails", (Comparison("type", "work"), Comparison("primary", True)), "value"),
        ),
        (
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager",
            Path("urn:ietf:params:scim:schemas:extension:enterprise:2.0:user:manager"),
        ),
    ],
)
def test_a_path_is_read(text: str, path: Path) -> None:
    """The paths that providers send are understood."""
    assert path == read_path(text)


@pytest.mark.parametrize(
    "text", ["", " ", "a b", "a[", "a]", "a[]", "a[b]", "a.b.c", "1", "a[b pr].", "x" * 2_000]
)
def test_what_is_no_path_is_refused(text: str) -> None:
    """A path outside the grammar is none."""
    with pytest.raises(Invalid):
        read_path(text)


def test_too_many_operations_are_refused() -> None:
    """One operation over the bound is one too many."""
    one = {"op": "replace", "path": "active", "value": True}

    assert MOST_OPERATIONS == len(read_patch({"Operations": [one] * MOST_OPERATIONS}))
    with pytest.raises(Invalid):
        read_patch({"Operations": [one] * (MOST_OPERATIONS + 1)})


def test_names_are_of_the_pattern_of_documents() -> None:
    """The stem that is derived leaves room for a number behind it."""
    taken: set[str] = set()
    for _ in range(12):
        taken.add(derived_name("b" * 300, taken))

    assert ("[a-z0-9]" in NAME_PATTERN, 12, 59) == (True, len(taken), max(map(len, taken)))
