"""The Cedar schema of access, written from the vocabulary, so that the two cannot differ.

Policies are validated against it when they are read, and questions when they are asked.
What is written here is also the file rules/access.cedarschema, for whoever writes policies.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from seawall.core.access.vocabulary import ACTS, Action, On, Role
from seawall.core.policy.purpose import Purpose

if TYPE_CHECKING:
    from collections.abc import Iterable

_HEAD: Final = """\
// The schema of Seawall's access policies, in Cedar's schema language.
// Written from src/seawall/core/access/vocabulary.py; `make reference` writes it again.
// A tenant's own policies (documents of the kind Policy) are validated against it.

"""
_PRINCIPALS: Final = """\
// A person of the workforce; what a person is there to do are the roles above.
entity User in [Role] {
  tenant: String,
  name: String,
};

// A registered service: its `may_*` fields that are on, and its use cases.
entity Client in [Role] {
  tenant: String,
  name: String,
  powers: Set<String>,
  useCases: Set<String>,
};

"""
_RESOURCES: Final = """\
// What is acted on. `name` is "*" for all of the kind; `about` is whom it concerns,
// `reviewer` who is to answer a review; what does not apply is "".
entity {kinds} {{
  tenant: String,
  name: String,
  kind: String,
  about: String,
  reviewer: String,
}};

"""
_CONTEXT: Final = """\
// What is known when somebody asks. An optional field that is not there is not known.
type Asked = {
  purpose?: Purpose,
  hasReason: Bool,
  hasSecondFactor: Bool,
  factorAgeMs?: Long,
  elements: Set<String>,
  emergencyMode: Bool,
  emergencyPatient?: String,
};

"""
SHOWS_PHI: Final = "shows-phi"
NEEDS_FRESH: Final = "needs-fresh-factor"
NEEDS_REASON: Final = "needs-reason"
NEEDS_PURPOSE: Final = "needs-purpose"


@cache
def groups_of(action: Action) -> tuple[str, ...]:
    """Return the groups that an action is in: of what it acts on, and of what it needs."""
    act = ACTS[action]
    needs = (
        (SHOWS_PHI, act.opens_phi),
        (NEEDS_FRESH, act.needs_fresh),
        (NEEDS_REASON, act.needs_reason),
        (NEEDS_PURPOSE, act.needs_purpose),
    )
    return (room_of(act.on), *(name for name, is_in in needs if is_in))


def room_of(on: On) -> str:
    """Return the group of all actions on one kind of resource, such as `document-acts`."""
    return f"{on.value.lower()}-acts"


@cache
def schema_text() -> str:
    """Return the schema."""
    rooms = [*map(room_of, On), SHOWS_PHI, NEEDS_FRESH, NEEDS_REASON, NEEDS_PURPOSE]
    parts = [
        _HEAD,
        f"entity Role enum [{_quoted(Role)}];\n",
        f"entity Purpose enum [{_quoted(Purpose)}];\n\n",
        _PRINCIPALS,
        _RESOURCES.format(kinds=", ".join(On)),
        _CONTEXT,
        "// Groups of actions: on one kind of resource, and by what they ask for.\n",
        *(f'action "{name}";\n' for name in rooms),
        *map(_action, Action),
    ]
    return "".join(parts)


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)


def _action(action: Action) -> str:
    act = ACTS[action]
    return (
        f'\n// {act.title}\naction "{action}" in [{_quoted(groups_of(action))}] appliesTo {{\n'
        f"  principal: [User, Client],\n  resource: [{act.on}],\n  context: Asked,\n}};\n"
    )
