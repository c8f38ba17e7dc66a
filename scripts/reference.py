"""Write the reference pages that the code determines, so that they cannot drift.

    python scripts/reference.py           write docs/reference/*.md and the diagram
    python scripts/reference.py --check   fail if a page is not what the code says

Each page is a function that returns text; tests/test_house.py runs the check.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from seawall.cli import app
from seawall.core.gateway.exchange import TRANSITIONS
from seawall.core.gateway.openai_chat import MESSAGE_FIELDS, REQUEST_FIELDS, Treatment
from seawall.core.phi.identifiers import PARAGRAPHS
from seawall.core.registers.agreement import OPTIONAL_TERMS, REQUIRED_TERMS
from seawall.core.registers.register import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

ROOT: Final = Path(__file__).resolve().parent.parent
_NOTE: Final = "<!-- Written by scripts/reference.py; `make reference` writes it again. -->\n"

_ERRORS: Final = """\
Every error is told in two lines on standard error (what is wrong with its code, and what to
do next) with exit status 1; a command that was typed wrongly ends with status 2.
"""
_PARTS: Final = """\
Of content parts, `text` and `refusal` are walked, and every other type is refused: a picture
may show a face or a label, a recording a voice (45 CFR 164.514(b)(2)(i)(P),
45 CFR 164.514(b)(2)(i)(Q)).
"""
_DOCUMENT: Final = """\
A document is `{kind, name, spec}`. It is never overwritten: applying a change makes a new
version (45 CFR 164.316(b)(2)(i)). Unknown fields are refused.
"""
_TABLE_LAW: Final = """\
An event that is not in the table raises an error and changes nothing: there is no path from
RECEIVED to SENT that does not pass RECORDED.
"""


def command_line() -> str:
    """Return the page of every command, argument and option."""
    parts = [
        "# The command line\n",
        _ERRORS,
    ]
    for name, command in _commands(typer.main.get_command(app), ()):
        parts.append(f"## `seawall {name}`\n")
        parts.append(f"{(command.help or '').strip()}\n")
        rows = [
            (f"`{_spelling(parameter)}`", str(getattr(parameter, "help", "") or ""))
            for parameter in command.params
            if parameter.name != "help"
        ]
        if rows:
            parts.append(_table(("argument or option", "meaning"), rows))
    parts.append(
        "## `seawall-verify DIR`\n\n"
        "The auditor's program; see [How to verify a ledger](../how-to/verify-a-ledger.md).\n\n"
        + _table(
            ("argument or option", "meaning"),
            [
                ("`DIR`", "A tlog-tiles folder, ours or another's."),
                ("`--vkey`", "The log's verifier key, or a file that holds it; else `DIR/vkey`."),
                ("`--checkpoint`", "An older checkpoint of the log: proves that nothing changed."),
                ("`--json`", "Print the steps as JSON."),
            ],
        )
    )
    return "\n".join(parts)


def gateway_fields() -> str:
    """Return the page of what happens to each field of a request."""
    meanings = _table(
        ("treatment", "meaning"),
        [
            ("walked", "Every leaf is searched for identifiers, then sent."),
            ("set", "Seawall writes its own value."),
            ("dropped", "Never sent: it would tell the vendor who asks."),
            ("refused", "The request is refused: it cannot be masked, or would undo masking."),
        ],
    )
    return "\n".join(
        [
            "# What happens to each field of a request\n",
            "A field that is not listed is refused with `unknown-field`.\n",
            meanings,
            "## `POST /v1/chat/completions`\n",
            _table(("field", "treatment"), _treatments(REQUEST_FIELDS)),
            "## A message\n",
            _table(("field", "treatment"), _treatments(MESSAGE_FIELDS)),
            _PARTS,
        ]
    )


def documents() -> str:
    """Return the page of every kind of document and its fields."""
    parts = [
        "# Documents\n",
        _DOCUMENT,
    ]
    for kind, model in KINDS.items():
        schema = model.model_json_schema()
        parts.append(f"## {kind}\n")
        parts.append(_table(("field", "form", "needed"), _fields(schema, schema, "")))
    terms = [(f"45 CFR {term}", text) for term, text in REQUIRED_TERMS.items()]
    options = [(f"45 CFR {term}", text) for term, text in OPTIONAL_TERMS.items()]
    parts += [
        "## The terms of an Agreement\n",
        "None of these may be missing:\n",
        _table(("paragraph", "term"), terms),
        "These two are permissions; absent means that such a use is refused:\n",
        _table(("paragraph", "term"), options),
        "## Identifier classes\n",
        "What `sees.identifiers` may name, and the paragraphs that each class stands for:\n",
        _table(
            ("class", "paragraphs"),
            [(f"`{label}`", ", ".join(p)) for label, p in PARAGRAPHS.items()],
        ),
    ]
    return "\n".join(parts)


def exchange_states() -> str:
    """Return the diagram of an exchange's states."""
    lines = [
        "# The states of an exchange\n",
        "```mermaid",
        "stateDiagram-v2",
        "    [*] --> RECEIVED",
    ]
    for state, events in TRANSITIONS.items():
        lines += [f"    {state.name} --> {to.name}: {event.name}" for event, to in events.items()]
        lines += [] if events else [f"    {state.name} --> [*]"]
    lines += [
        "```\n",
        _TABLE_LAW,
    ]
    return "\n".join(lines)


PAGES: Final[dict[str, Callable[[], str]]] = {
    "docs/reference/command-line.md": command_line,
    "docs/reference/gateway-fields.md": gateway_fields,
    "docs/reference/documents.md": documents,
    "docs/reference/exchange-states.md": exchange_states,
}


def stale() -> list[str]:
    """Return the pages that are not what the code says."""
    return [
        name
        for name, page in PAGES.items()
        if not (ROOT / name).exists() or (ROOT / name).read_text(encoding="utf-8") != _NOTE + page()
    ]


def _commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Yield (full name, command) of every command that does something."""
    if hasattr(command, "commands"):
        for name, inner in sorted(command.commands.items()):
            yield from _commands(inner, (*path, name))
    else:
        yield " ".join(path), command


def _spelling(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.name).upper()
    return ", ".join(parameter.opts)


def _treatments(table: dict[str, Treatment]) -> list[tuple[str, str]]:
    order = list(Treatment)
    listed = sorted(table.items(), key=lambda item: (order.index(item[1]), item[0]))
    return [(f"`{name}`", treatment.value) for name, treatment in listed]


def _fields(schema: dict[str, Any], root: dict[str, Any], prefix: str) -> Iterator[Sequence[str]]:
    required = set(schema.get("required", ()))
    for name, field in schema["properties"].items():
        inner = _resolved(field, root)
        needed = "yes" if name in required else "no"
        if "properties" in inner:
            yield (f"`{prefix}{name}`", "mapping", needed)
            yield from _fields(inner, root, f"{prefix}{name}.")
        else:
            yield (f"`{prefix}{name}`", _form(inner, root), needed)


def _resolved(field: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """Return what a field refers to, leaving out that it may be null."""
    options = [option for option in field.get("anyOf", ()) if option.get("type") != "null"]
    if len(options) == 1:
        return _resolved(options[0], root)
    if "$ref" in field:
        found: dict[str, Any] = root["$defs"][field["$ref"].rpartition("/")[2]]
        return found
    return field


def _form(field: dict[str, Any], root: dict[str, Any]) -> str:
    if "enum" in field:
        return "one of " + ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if field.get("type") == "array":
        return "list of " + _form(_resolved(field["items"], root), root)
    form = {"date": "date"}.get(field.get("format", ""), str(field.get("type", "any")))
    return f"{form} `{field['pattern']}`".replace("|", "\\|") if "pattern" in field else form


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the pages, or check them."""
    if "--check" in sys.argv[1:]:
        found = stale()
        for name in found:
            print(f"{name} is not what the code says: run `make reference`")
        return 1 if found else 0
    for name, page in PAGES.items():
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(_NOTE + page(), encoding="utf-8")
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
