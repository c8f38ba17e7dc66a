"""Who may do what, for which purpose, as one table: found by asking the policies.

Each cell asks with everything present that can be supplied: two factors, a fresh one, a
reason, a purpose, and about somebody else. 45 CFR 164.308(a)(4)(ii)(B) (addressable).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from seawall.core.access.explain import POWERS
from seawall.core.access.question import Asker, Question, Resource
from seawall.core.access.vocabulary import ACTS, HUMAN_ROLES, Action, On, Role
from seawall.core.policy.principal import Principal
from seawall.core.policy.purpose import Purpose

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seawall.core.access.engine import Prepared

_TENANT: Final = "a-tenant"
_ASKING: Final = "asking"
_USE_CASE: Final = "its-own"
_PATIENT: Final = "a-patient"
EMERGENCY: Final = "emergency"
"""The column of what a clinician's emergency access to the patient opens."""
SERVICE: Final = "use case"
"""The column of a service that has a use case, and no power."""
_SHORT: Final[dict[str, str]] = {
    Role.PRIVACY_OFFICER: "priv",
    Role.SECURITY_OFFICER: "secu",
    Role.CLINICIAN: "clin",
    Role.DEVELOPER: "dev",
    Role.DATA_SCIENTIST: "data",
    Role.AUDITOR: "audit",
    Role.ADMINISTRATOR: "admin",
    EMERGENCY: "emerg",
    SERVICE: "case",
    "may_apply": "apply",
    "may_audit": "audit",
    "may_audit_system": "sys",
    "may_manage_keys": "keys",
    "may_provision": "prov",
}
LETTERS: Final = {
    Purpose.TREATMENT: "T",
    Purpose.PAYMENT: "P",
    Purpose.OPERATIONS: "O",
    Purpose.PATIENT_REQUEST: "Q",
    Purpose.RESEARCH: "R",
}
"""The letter of each purpose in a cell; the request of a patient is Q, for question."""
_NEEDS: Final = (("f", "needs_fresh"), ("r", "needs_reason"), ("p", "needs_purpose"))
_LEGEND: Final = """\
After the action, what it needs besides: f a factor of the last five minutes, r a reason, \
p a purpose.
Every person needs two factors for anything; a service needs neither these nor a fresh one.
* marks what stops, in whole or in part, while emergency mode is on.
emerg, emergency: what an emergency access to this one patient opens, while a clinician has it.
case, use case: a service, under a use case that its own document names. The other columns of \
services are its powers: may_apply, may_audit, may_audit_system, may_manage_keys, may_provision.
Nobody changes or resets themselves, or reviews what concerns themselves; answer-review is the \
assigned reviewer's alone.
Of several roles a person has what any of them permits, but an administrator sees no PHI, and an \
auditor or a developer opens no payload, in whatever other role.
A tenant's Policy documents forbid more; this table is without them.
""".splitlines()
_WIDTH: Final = 100
_PERSONS: Final = (*(role for role in Role if role in HUMAN_ROLES), EMERGENCY)
_SERVICES: Final = (SERVICE, *POWERS)


@dataclass(frozen=True, slots=True)
class Row:
    """An action, and who may do it for which purposes; without a purpose, a bare yes."""

    action: Action
    cells: dict[str, str]
    """By column: `yes`, the letters of the purposes, or empty for no."""
    waits: dict[str, str]
    """The cells that emergency mode changes, as they then are."""

    @property
    def needs(self) -> str:
        """What it asks for besides: `f` a fresh factor, `r` a reason, `p` a purpose."""
        act = ACTS[self.action]
        return "".join(letter for letter, need in _NEEDS if getattr(act, need))


def matrix(policies: Prepared) -> list[Row]:
    """Return a row for each action."""
    return [_row(policies, action) for action in Action]


def columns() -> tuple[str, ...]:
    """Return the names of the columns in order: persons by role, then services by power."""
    return (*map(str, _PERSONS), *_SERVICES)


def matrix_fields(rows: list[Row]) -> list[dict[str, Any]]:
    """Return the table as programs read it: for each action who, and for which purposes."""
    meant = {letter: purpose.value for purpose, letter in LETTERS.items()}
    return [
        {
            "action": row.action.value,
            "on": ACTS[row.action].on.value,
            "needs_fresh_factor": ACTS[row.action].needs_fresh,
            "needs_reason": ACTS[row.action].needs_reason,
            "allowed": {
                column: [] if cell == "yes" else [meant[letter] for letter in cell]
                for column, cell in row.cells.items()
                if cell
            },
            "stopped_in_emergency_mode": sorted(row.waits),
        }
        for row in rows
    ]


def matrix_text(rows: list[Row]) -> str:
    """Return the table for a terminal of 100 columns, with its legend."""
    names = columns()
    heads = [_SHORT[name] for name in names]
    cells = [[row.action.value, row.needs, *_printed(row, names)] for row in rows]
    table = [["action", "", *heads], *cells]
    widths = [max(len(line[at]) for line in table) for at in range(len(table[0]))]
    split = 2 + len(_PERSONS)
    lines = [_line(line, widths, split) for line in table]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], "", *_legend()]) + "\n"


def matrix_markdown(rows: list[Row]) -> str:
    """Return the table in Markdown: persons, then services, each with the purposes in words."""
    parts: list[str] = []
    for title, names in (("Persons", _PERSONS), ("Services", _SERVICES)):
        shown = [str(name) for name in names]
        marked = [f"`{name}`" if name in POWERS else name for name in shown]
        parts += [f"## {title}\n", f"| action | needs | {' | '.join(marked)} |"]
        parts.append("|---" * (2 + len(shown)) + "|")
        for row in rows:
            if any(row.cells[name] for name in shown) or title == "Persons":
                cells = " | ".join(_printed(row, shown))
                parts.append(
                    f"| `{row.action}`: {ACTS[row.action].title} | {row.needs} | {cells} |"
                )
        parts.append("")
    meaning = (f"- {line.replace('*', '`*`')}" for line in _meaning())
    return "\n".join([*parts, "## How to read it\n", *meaning]) + "\n"


def _row(policies: Prepared, action: Action) -> Row:
    calm = {name: _cell(policies, action, name) for name in columns()}
    mode = {name: _cell(policies, action, name, is_mode=True) for name in columns()}
    return Row(action, calm, {name: mode[name] for name in calm if mode[name] != calm[name]})


def _cell(policies: Prepared, action: Action, column: str, *, is_mode: bool = False) -> str:
    """Return `yes`, or the letters of the purposes for which a column may do an action."""
    purposes = list(Purpose) if ACTS[action].needs_purpose else [None]
    found = [
        "yes" if purpose is None else LETTERS[purpose]
        for purpose in purposes
        if policies.allows(_question(action, column, purpose, is_mode=is_mode))
    ]
    return "".join(found)


def _question(action: Action, column: str, purpose: Purpose | None, *, is_mode: bool) -> Question:
    on = ACTS[action].on
    name = {On.EXCHANGE: _USE_CASE, On.PATIENT: _PATIENT}.get(on, "*")
    resource = Resource(on, _TENANT, name, about="another", reviewer=_ASKING)
    return Question(
        _asker(column, action),
        action,
        resource,
        purpose,
        has_reason=True,
        is_emergency_mode=is_mode,
    )


def _asker(column: str, action: Action) -> Asker:
    if column in _SERVICES:
        powers = frozenset({column} & set(POWERS))
        cases = frozenset({_USE_CASE} if column == SERVICE else ())
        client = Principal("client", _ASKING, _TENANT)
        return Asker(client, frozenset({Role.SERVICE}), powers, cases)
    person = Principal("user", _ASKING, _TENANT)
    if column == EMERGENCY:
        # Of the rest a role that by itself opens no patient shows what the access does.
        role = Role.DATA_SCIENTIST if ACTS[action].on is On.PATIENT else None
        role = Role.CLINICIAN if action is Action.VIEW_PATIENT else role
        roles = frozenset({role} if role else ())
        return Asker(
            person, roles, has_second_factor=True, factor_age_ms=0, emergency_patient=_PATIENT
        )
    return Asker(person, frozenset({Role(column)}), has_second_factor=True, factor_age_ms=0)


def _printed(row: Row, names: tuple[str, ...] | list[str]) -> Iterator[str]:
    for name in names:
        cell = row.cells[str(name)]
        yield f"{cell or '-'}{'*' * (str(name) in row.waits)}"


def _line(cells: list[str], widths: list[int], split: int) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
    return " ".join([*padded[:split], "|", *padded[split:]]).rstrip()


def _legend() -> list[str]:
    return [line for sentence in _meaning() for line in _wrapped(sentence)]


def _meaning() -> list[str]:
    """Return the legend, a sentence or two a line."""
    purposes = ", ".join(f"{letter} {purpose.value}" for purpose, letter in LETTERS.items())
    return [
        f"A cell says for which purposes: {purposes}; yes where none is asked for; - is no.",
        *_LEGEND,
    ]


def _wrapped(sentence: str) -> list[str]:
    lines, line = [], ""
    for word in sentence.split():
        if len(line) + 1 + len(word) > _WIDTH:
            lines.append(line)
            line = f"  {word}"
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line]
