"""What is said to change an answer changes it, and it is the least that does."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings

from access_questions import client, person, question, questions, shipped
from seawall.adapters.policies import load_policies
from seawall.core.access.explain import POWERS, Explanation, explain
from seawall.core.access.matrix import (
    Row,
    columns,
    matrix,
    matrix_fields,
    matrix_markdown,
    matrix_text,
)
from seawall.core.access.vocabulary import ACTS, Action, Role
from seawall.core.policy.purpose import Purpose
from seawall.core.registers.client import ClientSpec

if TYPE_CHECKING:
    from seawall.core.access.question import Question

PLAIN = shipped().having({})
GOLDEN = Path(__file__).parents[2] / "vectors" / "access-matrix.txt"


@cache
def rows() -> list[Row]:
    """Return the matrix of the shipped policies."""
    return matrix(PLAIN)


def words(found: Explanation) -> set[frozenset[str]]:
    """Return the changes in words, each together."""
    return {frozenset(change.words for change in together) for together in found.changes}


@settings(max_examples=30, deadline=None)
@given(questions())
def test_every_change_that_is_told_flips_the_answer(asked: Question) -> None:
    """Doing what is told, together, and asking again, is allowed; no part of it is enough."""
    found = explain(PLAIN, asked)
    for together in found.changes:
        parts = [p for count in range(len(together)) for p in combinations(together, count)]
        for part, is_allowed in [*((part, False) for part in parts), (together, True)]:
            again = asked
            for change in part:
                again = change.apply(again)
            assert is_allowed == PLAIN.decide(again).allowed


def test_what_is_allowed_needs_no_change() -> None:
    """An allowed act is told by its policy, with title and paragraph, and nothing else."""
    asked = question(person(Role.CLINICIAN), Action.VIEW_PATIENT, purpose=Purpose.TREATMENT)
    found = explain(PLAIN, asked)

    assert ("clinician.treats", "45 CFR 164.506(c)(1)") == (
        found.policies[0].name,
        found.policies[0].law,
    )
    assert (True, ()) == (found.answer.allowed, found.changes)


def test_a_lacking_factor_reason_and_purpose_are_found_together() -> None:
    """A privacy officer who named nothing learns what to supply, for each purpose that does."""
    asker = person(Role.PRIVACY_OFFICER, factor_age_ms=None)
    asked = question(asker, Action.OPEN_PAYLOAD, has_reason=False)

    assert {
        frozenset({"a reason", "a fresh factor", f"the purpose {purpose}"})
        for purpose in ("operations", "patient-request")
    } == words(explain(PLAIN, asked))


def test_a_role_that_would_do_is_found() -> None:
    """A data scientist who would read a record learns that another role does, and no emergency."""
    asked = question(person(Role.DATA_SCIENTIST), Action.VIEW_PATIENT, purpose=Purpose.TREATMENT)

    assert {frozenset({"the role clinician"})} == words(explain(PLAIN, asked))


def test_a_role_that_stands_in_the_way_is_found() -> None:
    """An administrator who is a clinician too learns which role keeps the record shut."""
    asker = person(Role.CLINICIAN, Role.ADMINISTRATOR)
    asked = question(asker, Action.VIEW_PATIENT, purpose=Purpose.TREATMENT)
    found = explain(PLAIN, asked)

    assert {frozenset({"not the role administrator"})} == words(found)
    assert ["duties.administrator-sees-no-phi"] == [told.name for told in found.policies]


@pytest.mark.parametrize(
    ("asked", "change"),
    [
        (
            question(person(Role.SECURITY_OFFICER), Action.MANAGE_PERSONS, "ann"),
            "somebody else than oneself",
        ),
        (
            question(person(Role.PRIVACY_OFFICER), Action.REVIEW_EMERGENCY, "e1", about="ann"),
            "somebody else than oneself",
        ),
        (
            question(person(Role.AUDITOR), Action.ANSWER_REVIEW, "r1", about="ben", reviewer="ben"),
            "being the assigned reviewer",
        ),
        (
            question(person(Role.AUDITOR), Action.READ_LEDGER, tenant="riverside"),
            "something of the own tenant",
        ),
        (
            question(person(Role.SECURITY_OFFICER), Action.SHRED_KEYS, is_emergency_mode=True),
            "the end of emergency mode",
        ),
        (
            question(person(Role.AUDITOR, has_second_factor=False), Action.READ_LEDGER),
            "two factors",
        ),
        (question(client("may_audit"), Action.MANAGE_PERSONS), "may_provision"),
        (
            question(client(), Action.ASK_MODEL, "triage", purpose=Purpose.TREATMENT),
            "being granted this use case",
        ),
    ],
)
def test_each_other_thing_that_would_change_it_is_found(asked: Question, change: str) -> None:
    """Somebody else, another reviewer, one's own tenant, the end of the mode, a power."""
    assert frozenset({change}) in words(explain(PLAIN, asked))


def test_an_unregistered_client_is_told_to_be_registered() -> None:
    """Of a client that the registers do not know, registering and a power are what is lacking."""
    asker = replace(client(), roles=frozenset())
    found = explain(PLAIN, question(asker, Action.READ_LEDGER))

    assert {frozenset({"being registered", "may_audit"})} == words(found)


def test_what_a_tenant_forbids_to_all_is_changed_by_nothing() -> None:
    """Where the tenant's own prohibition stands, no role is held out as a way around it."""
    prepared = shipped().having({"night": "forbid (principal, action, resource);"})
    asked = question(person(Role.CLINICIAN), Action.VIEW_PATIENT, purpose=Purpose.TREATMENT)
    found = explain(prepared, asked)

    assert ((), ["tenant.night.1"]) == (found.changes, [told.name for told in found.policies])


def test_changes_of_one_thing_are_never_tried_together() -> None:
    """One question has one purpose, and gets one new role at a time."""
    found = explain(PLAIN, question(person(), Action.OPEN_DATASET, purpose=Purpose.TREATMENT))

    assert {
        frozenset({"the role data-scientist", f"the purpose {purpose}"})
        for purpose in ("operations", "research")
    } == words(found)


def test_the_powers_that_are_tried_are_the_clients_own() -> None:
    """Every `may_*` field of a Client document is one that the policies and the table know."""
    fields = {name for name in ClientSpec.model_fields if name.startswith("may_")}
    assert fields == set(POWERS)


def test_the_matrix_is_the_one_that_was_agreed() -> None:
    """Every change of who may do what shows here, and so in review: write the file anew."""
    assert GOLDEN.read_text("utf-8") == matrix_text(rows())


def test_the_matrix_fits_a_terminal_of_100_columns() -> None:
    """No line of it is longer than the terminal that it is written for."""
    assert max(map(len, matrix_text(rows()).splitlines())) <= 100


def test_the_matrix_asks_the_policies() -> None:
    """Of a tenant that forbids what clinicians do, the clinician's column is empty."""
    forbid = 'forbid (principal in Role::"clinician", action, resource);'
    narrowed = matrix(load_policies().having({"ours": forbid}))

    assert {""} == {row.cells["clinician"] for row in narrowed}
    assert {"yes", "OQ", ""} == {row.cells["privacy-officer"] for row in narrowed}


def test_the_matrix_has_every_action_and_every_column() -> None:
    """Programs get a row for each action, and no column that the legend does not have."""
    fields = matrix_fields(rows())

    assert [action.value for action in Action] == [row["action"] for row in fields]
    assert {column for row in fields for column in row["allowed"]} == set(columns())
    by_action = {row["action"]: row for row in fields}
    assert ["operations", "research"] == by_action["open-dataset"]["allowed"]["data-scientist"]
    assert ["data-scientist"] == by_action["seal-dataset"]["stopped_in_emergency_mode"]


def test_the_page_has_a_row_for_each_action_of_persons() -> None:
    """The Markdown of the matrix names each action with its title."""
    page = matrix_markdown(rows())
    missing = [a for a in Action if f"| `{a}`: {ACTS[a].title} |" not in page]
    assert [] == missing
