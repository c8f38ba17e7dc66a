"""Why somebody may do something, asked by names as a person types them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from access_questions import document, register_of, shipped
from fakes import START, FakeClock
from seawall.app.explain_access import Asked, ExplainAccess
from seawall.app.policies import TenantPolicies
from seawall.core.access.vocabulary import Role
from seawall.core.errors import Error
from seawall.core.registers.client import ClientSpec, PublicKey
from seawall.core.registers.spec import Document
from seawall.core.registers.user import UserSpec

if TYPE_CHECKING:
    from seawall.core.registers.register import Register

KEY = PublicKey(x="A" * 43)
PEOPLE = [
    Document("User", "ann", 1, UserSpec(title="Ann", roles=frozenset({Role.PRIVACY_OFFICER}))),
    Document(
        "User",
        "ben",
        1,
        UserSpec(title="Ben", roles=frozenset({Role.CLINICIAN}), standing="left"),
    ),
    Document(
        "User",
        "eve",
        1,
        UserSpec(
            title="Eve",
            roles=frozenset({Role.CLINICIAN}),
            until=(START - timedelta(days=1)).date(),
        ),
    ),
    Document(
        "Client",
        "app",
        1,
        ClientSpec(title="App", public_key=KEY, use_cases=frozenset({"triage"}), may_audit=True),
    ),
]


class OneRegister:
    """The registers of an installation with one tenant."""

    def __init__(self, *documents: Document[Any]) -> None:
        self.held = register_of(*PEOPLE, *documents)

    def register(self, _tenant: str) -> Register:
        """Return it."""
        return self.held


class ModeOn:
    """Emergencies of which the mode is on."""

    def patient_of(self, _caller: object) -> None:
        """Return that no access is under way."""

    def is_mode_on(self, _tenant: str) -> bool:
        """Return that it is."""
        return True


def explaining(
    *documents: Document[Any], is_mode_on: bool = False, named: str = ""
) -> ExplainAccess:
    """Return what explains, with these documents besides the people."""
    registers = OneRegister(*documents)
    return ExplainAccess(
        registers=registers,
        policies=TenantPolicies(shipped(), registers),
        clock=FakeClock(),
        emergencies=ModeOn() if is_mode_on else None,
        provisioners=frozenset(named.split()),
    )


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Asked("user/ann", "read-ledger", "Log/*"), ""),
        (Asked("user/ann", "open-payload", "Payload/*", "operations"), "reason-needed"),
        (Asked("user/ann", "open-payload", "Payload/*"), "purpose-needed"),
        (Asked("user/ann", "export-ledger", "Log/tenant", has_reason=True), "step-up-needed"),
        (
            Asked("user/ann", "export-ledger", "Log/*", has_reason=True, has_fresh_factor=True),
            "",
        ),
        (Asked("user/ann", "change-retention", "Document/Retention/*"), "step-up-needed"),
        (Asked("user/ben", "view-patient", "Patient/*", "treatment"), "access-refused"),
        (Asked("user/eve", "view-patient", "Patient/*", "treatment"), "access-refused"),
        (Asked("role/clinician", "view-patient", "Patient/*", "treatment"), ""),
        (Asked("role/auditor", "read-documents", "Document"), ""),
        (Asked("client/app", "ask-model", "Exchange/triage", "treatment"), ""),
        (Asked("client/app", "ask-model", "Exchange/other", "treatment"), "access-refused"),
        (Asked("client/app", "read-ledger", "Log/*"), ""),
        (
            Asked("role/security-officer", "shred-keys", "Keys/*", None, True, True, True),
            "access-refused",
        ),
    ],
)
def test_what_is_asked_is_answered(asked: Asked, expected: str) -> None:
    """A person by name, a client, a role: each as the registers have it on this day."""
    answer = explaining().explain("hillside", asked).answer

    assert (not expected, expected) == (answer.allowed, answer.code)


def test_emergency_mode_that_is_on_counts() -> None:
    """Nobody is told what would be allowed if the mode that is on were off, but as a change."""
    asked = Asked("role/security-officer", "shred-keys", "Keys/*", None, True, True)
    found = explaining(is_mode_on=True).explain("hillside", asked)

    assert [["the end of emergency mode"]] == found.fields()["would_allow"]


def test_a_review_is_about_whom_it_names() -> None:
    """`Review/ann` is a review that concerns ann: of theirs, nobody asks for a reason."""
    own = Asked("user/ann", "review-emergency", "Review/ann", None, True, True)
    others = Asked("user/ann", "review-emergency", "Review/ben", None, True, True)
    found = [explaining().explain("hillside", asked).answer.allowed for asked in (own, others)]

    assert [False, True] == found


@pytest.mark.parametrize("name", ["night", "night.shift"])
def test_a_tenants_prohibition_is_told_by_its_document(name: str) -> None:
    """Who is refused by a policy of the tenant's reads its title, and why it is there."""
    rule = document(name, "forbid (principal, action, resource);")
    asked = Asked("user/ann", "read-ledger", "Log/*")
    found = explaining(rule).explain("hillside", asked)

    assert (f"tenant.{name}.1", "a title: a reason") == (
        found.policies[0].name,
        found.policies[0].title,
    )


def test_a_document_that_cannot_be_read_is_told_by_its_name() -> None:
    """Where a stored document no longer fits, the explanation names it and no other."""
    unfit = 'forbid (principal in Role::"gone", action, resource);'
    both = (document("night", "forbid (principal, action, resource);"), document("night.1", unfit))
    found = explaining(*both).explain("hillside", Asked("user/ann", "read-ledger", "Log/*"))

    assert ("policy-broken", "tenant.night.1", "night.1") == (
        found.answer.code,
        found.policies[0].name,
        found.policies[0].document,
    )


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (Asked("ann", "read-ledger", "Log/*"), "principal-unreadable"),
        (Asked("role/service", "read-ledger", "Log/*"), "principal-unreadable"),
        (Asked("role/boss", "read-ledger", "Log/*"), "principal-unreadable"),
        (Asked("user/", "read-ledger", "Log/*"), "principal-unreadable"),
        (Asked("operator/terminal", "read-ledger", "Log/*"), "principal-unreadable"),
        (Asked("user/zebra", "read-ledger", "Log/*"), "principal-unknown"),
        (Asked("client/zebra", "read-ledger", "Log/*"), "principal-unknown"),
        (Asked("user/ann", "zebra", "Log/*"), "action-unknown"),
        (Asked("user/ann", "read-ledger", "Zebra/*"), "resource-unreadable"),
        (Asked("user/ann", "read-ledger", "Keys/*"), "resource-unreadable"),
        (Asked("user/ann", "read-ledger", ""), "resource-unreadable"),
        (Asked("user/ann", "read-ledger", "Log/" + "x" * 201), "resource-unreadable"),
        (Asked("user/ann", "read-ledger", "Log/\x00"), "resource-unreadable"),
        (Asked("user/ann", "read-documents", "Document/Zebra/*"), "kind-unknown"),
        (Asked("user/ann", "read-ledger", "Log/*", "zebra"), "purpose-unknown"),
    ],
)
def test_what_is_typed_wrongly_is_told(asked: Asked, code: str) -> None:
    """Each part that cannot be meant has a code and a help, and no message repeats it."""
    with pytest.raises(Error) as raised:
        explaining().explain("hillside", asked)

    error = raised.value
    assert (code, True) == (error.code, bool(error.help))
    assert "zebra" not in f"{error.message} {error.help}".lower()


@pytest.mark.parametrize(("named", "expected"), [("clinic/idp", ""), ("", "access-refused")])
def test_a_power_that_the_settings_do_not_confirm_is_none(named: str, expected: str) -> None:
    """Whether a client changes persons is explained as it is decided: it must be named."""
    spec = ClientSpec(title="Idp", public_key=KEY, may_provision=True)
    explaining_it = explaining(Document("Client", "idp", 1, spec), named=named)

    answer = explaining_it.explain("clinic", Asked("client/idp", "manage-persons", "Person/*"))

    assert expected == answer.answer.code
