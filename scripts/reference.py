"""Write the reference pages that the code determines, so that they cannot drift.

    python scripts/reference.py           write docs/reference/*.md and the diagram
    python scripts/reference.py --check   fail if a page is not what the code says

Each page is a function that returns text; tests/test_house.py runs the check.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import typer

from api_page import api_page, resolved, table
from seawall.adapters.policies import load_policies
from seawall.cli import app
from seawall.core import errors
from seawall.core.access.matrix import matrix, matrix_markdown
from seawall.core.access.schema import schema_text
from seawall.core.gateway.exchange import TRANSITIONS
from seawall.core.gateway.openai_chat import MESSAGE_FIELDS, REQUEST_FIELDS, Treatment
from seawall.core.phi.identifiers import PARAGRAPHS
from seawall.core.policy.exceptions import BY_PARTY
from seawall.core.policy.exceptions import PARAGRAPHS as EXCEPTIONS
from seawall.core.registers.agreement import OPTIONAL_TERMS, REQUIRED_TERMS, Standing
from seawall.core.registers.register import KINDS
from seawall.http.errors import status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCE: Final = ROOT / "src" / "seawall"
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
_ELEMENTS: Final = """\
What `elements` may name. A path is of FHIR R4, as its JSON writes it; the resource type must
exist, the names below it are not looked up. `*` is all of a resource. At most 128 elements.

| written | what it is |
|---|---|
| `Patient.name` | The element, and what is below it. |
| `Condition.*` | Every element of every Condition. |
| `Observation.value[x]` | The value, of whatever type: `valueQuantity`, `valueString` and so on. |
| `Observation[category=laboratory].*` | Only where the code is this one: `category`, `class`, \
`code`, `status` or `type`. |
| `Appointment[since=-P30D].start` | Only of the last 30 days. |
| `Encounter[class=AMB,since=-P365D].period` | Where each filter holds. |
| `entire-record` | Everything. It needs an `entire_record_justification` of its own \
(45 CFR 164.514(d)(5)). |

Classes of identifiers are named in `identifiers`. To a model the entire record shows no class
that is not named there.
"""
_EXCEPTIONS: Final = """\
To what minimum necessary does not apply, and whether a UseCase may appeal to it. What a use
case sends goes to the vendor of a model, so that it cannot appeal to a paragraph about another
recipient. That the purpose is treatment is no exception: (i) is about disclosures to, and
requests by, a health care provider. An exception that is named is recorded, and unmasks nothing.
"""
_TABLE_LAW: Final = """\
An event that is not in the table raises an error and changes nothing: there is no path from
RECEIVED to SENT that does not pass RECORDED.
"""

_MATRIX: Final = """\
# Who may do what

For whoever gives somebody a role, or a client a power. Each cell was asked of the policies of
this release, with everything present that can be supplied; `seawall access matrix` prints the
same for a terminal, and `seawall access explain` says why for one case. How the policies decide
is [a page of its own](access-policies.md).

"""
_CODES: Final = """\
For whoever meets an error of Seawall's: each code, what it says, and what to do next.

Programs match on the code; the words may change. `{name}` stands for something that the
message names: a field, a setting, a kind of document; never a value that could be PHI. Over
HTTP an error has the shape that [the HTTP page](http.md#errors) shows, with the status of
this table, where a request can meet it; `-` means that only the command line raises it. At
the terminal every error ends with exit status 1. An error in which an exchange ended is in
the ledger under its code ([ledger entries](ledger-entries.md)). `seawall-verify` has no codes:
it names the numbered step that refuses ([How to verify a ledger](../how-to/verify-a-ledger.md)).
"""
_ALARMED: Final = """\
An alarm is a line of the server's log with `"event": "alarm"`, its code, the tenant and the
entry (-1: none). Someone must look. Every code under Tampered that an exchange meets is an
alarm too.
"""
_ALARMS: Final = {
    "accounts-unopened": "What persons sign in by cannot be opened: key manager or database "
    "do not answer. Nobody new signs in here until they do.",
    "emergencies-failed": "The search for emergencies whose review is late could not "
    "be made; it is tried again.",
    "emergency-access": "Somebody opened one patient's record in an emergency: the "
    "privacy officer looks at once.",
    "emergency-misuse": "A review found an emergency access inappropriate: treat it "
    "as a security incident.",
    "emergency-mode": "Emergency mode began, was renewed or ended.",
    "emergency-review-overdue": "The review of an emergency is late.",
    "factors-changed": "A person added or removed a factor, or renewed the recovery codes.",
    "factors-reset": "A person's factors were taken away by a new enrolment link.",
    "forgetting-failed": "Expired sessions could not be deleted; they count nowhere, "
    "and it is tried again.",
    "grant-unreviewed": "A grant that nobody confirmed was kept, because nobody else "
    "holds the role.",
    "offline-sign-in": "Somebody signed in by an offline factor.",
    "passkey-cloned": "A passkey's count went backwards: there may be a copy of "
    "it, and it was refused.",
    "provider-down": "An identity provider does not answer: nobody new signs in by it.",
    "recovery-code-used": "A recovery code was used for a new enrolment.",
    "policy-broken": "A policy of a tenant cannot be evaluated, so that nearly everything is "
    "refused there; breaking the glass goes on, and a security officer can withdraw it.",
    "providers-failed": "Identity providers could not be asked whether they answer.",
    "reviews-failed": "Access reviews whose day is past could not be closed; it is tried again.",
    "archiving-failed": "An archive does not answer, cannot be trusted, or holds something else "
    "than it took; `seawall ledger archive` says which. It is tried again each round.",
    "backup-failed": "A scheduled backup could not be made, or an older one not let go of; it is "
    "tried again each round. `seawall backup status` says what there is.",
    "certificate-authority-new": "The server began with a new private authority: give clients "
    "`tls/authority.pem` again.",
    "certificate-expiring": "The certificate that serves ends in 30, 7 or 1 days, or has ended.",
    "certificate-failed": "The server's own certificate cannot be renewed or looked at; tried "
    "again and again.",
    "certificate-unusable": "The new files of the server's certificate cannot be served with; the "
    "old certificate stays.",
    "closing-failed": "Exchanges that a replica left open cannot be closed yet; tried each round.",
    "indexing-failed": "The index of a log cannot follow the log; it is tried again and again.",
    "key-schedule-failed": "Which keys are due for rotation cannot be looked at; tried each hour.",
    "keys-overdue": "A rotation or a shredding is overdue; `seawall keys status` says which.",
    "lease-failed": "This replica cannot renew its claim on its open exchanges: in a minute "
    "another replica may close them as `unknown`.",
    "log-forked": "A witness cosigned more of this log than it holds, or other things: it was "
    "rolled back or forked. An entry `ledger.alarm` of the system's log says by which witness.",
    "operator-enrolled": "Somebody got a second factor, or another one: the entry `operator.enrol` "
    "of the system's log says who, and by whom. Make sure that it was meant.",
    "outcome-unknown": "The server ended before this exchange did: what left may have arrived.",
    "outcome-unrecorded": "An exchange ended, and its outcome could not be recorded.",
    "publishing-failed": "A log's checkpoint cannot be published or kept; it is tried each round.",
    "reading-totals-failed": "How often a log was fetched in a minute cannot be recorded yet; that "
    "it was is recorded.",
    "refusal-unrecorded": "A request was refused, and the refusal could not be recorded.",
    "rewrapping-failed": "Data keys that a rotation left cannot be wrapped anew yet; tried again "
    "each minute.",
    "sweeping-failed": "Payloads outside the database that nothing refers to any more cannot be "
    "deleted yet; tried each round.",
    "time-stamp-missing": "A published checkpoint got no RFC 3161 time stamp that can be trusted; "
    "it is asked for again.",
    "witness-cosignature-bad": "A witness answers without a good cosignature of its known key.",
    "witness-refuses": "A witness does not know the log, or trusts another key for it.",
    "witnessed-log-forked": "At a witness: the log's key signed another history of the size "
    "that it cosigned.",
    "witnesses-missing": "Fewer witnesses than are required cosigned a checkpoint.",
}
_FAMILY: Final[dict[str, type[errors.Error]]] = {
    "Invalid": errors.Invalid,
    "Refused": errors.Refused,
    "Refusal": errors.Refused,
    "Missing": errors.Missing,
    "Conflict": errors.Conflict,
    "Unavailable": errors.Unavailable,
    "Tampered": errors.Tampered,
    "Error": errors.Error,
}
"""What makes an error, by the name that the code calls; a policy's Refusal is raised as Refused."""
_TERMINAL: Final = ("cli", "demo", "config")
_STANDINGS: Final = [each.value for each in Standing if each is not Standing.ACTIVE]


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
            parts.append(table(("argument or option", "meaning"), rows))
    parts.append(
        "## `seawall-verify DIR`\n\n"
        "The auditor's program; see [How to verify a ledger](../how-to/verify-a-ledger.md).\n\n"
        + table(
            ("argument or option", "meaning"),
            [
                ("`DIR`", "A tlog-tiles folder, ours or another's."),
                ("`--vkey`", "The log's verifier key, or a file that holds it; else `DIR/vkey`."),
                ("`--checkpoint`", "An older checkpoint of the log: proves that nothing changed."),
                ("`--witness`", "A witness's verifier key, or a file that holds it; repeatable."),
                ("`--witnesses-required`", "How many of them must have cosigned; else all."),
                (
                    "`--timestamp-authority`",
                    "A PEM file with the root certificate of the log's RFC 3161 authority.",
                ),
                ("`--also`", "A folder with tiles and bundles that `DIR` lacks; repeatable."),
                ("`--archive`", "`DIR` is an archive: take its newest checkpoint."),
                ("`--allow-pruned`", "Verify a copy without its first entries from its first on."),
                (
                    "`--allow-older`",
                    "Verify a copy though checkpoints in it sign more entries than it holds.",
                ),
                ("`--origin`", "The log's origin, where that is not the name of its key."),
                ("`--entries`", "In step 8 read every entry of a long log too."),
                ("`--json`", "Print the steps as JSON."),
            ],
        )
    )
    return "\n".join(parts)


def gateway_fields() -> str:
    """Return the page of what happens to each field of a request."""
    meanings = table(
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
            table(("field", "treatment"), _treatments(REQUEST_FIELDS)),
            "## A message\n",
            table(("field", "treatment"), _treatments(MESSAGE_FIELDS)),
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
        parts.append(table(("field", "form", "needed"), _fields(schema, schema, "")))
        if model.names is not None:
            named = ", ".join(f"`{name}`" for name in sorted(model.names))
            parts.append(f"A document of this kind is named {named}.\n")
    terms = [(f"45 CFR {term}", text) for term, text in REQUIRED_TERMS.items()]
    options = [(f"45 CFR {term}", text) for term, text in OPTIONAL_TERMS.items()]
    parts += [
        "## The terms of an Agreement\n",
        "None of these may be missing:\n",
        table(("paragraph", "term"), terms),
        "These two are permissions; absent means that such a use is refused:\n",
        table(("paragraph", "term"), options),
        "## Identifier classes\n",
        "What `sees.identifiers` may name, and the paragraphs that each class stands for:\n",
        table(
            ("class", "paragraphs"),
            [(f"`{label}`", ", ".join(p)) for label, p in PARAGRAPHS.items()],
        ),
        "## Elements\n",
        _ELEMENTS,
        "## Exceptions\n",
        _EXCEPTIONS,
        table(
            ("exception", "paragraph", "in a UseCase"),
            [
                (f"`{one}`", paragraph, "refused" if one in BY_PARTY else "may be named")
                for one, paragraph in EXCEPTIONS.items()
            ],
        ),
    ]
    return "\n".join(parts)


def access_matrix() -> str:
    """Return the page of who may do what, as the shipped policies answer."""
    return _MATRIX + matrix_markdown(matrix(load_policies().having({})))


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


def error_codes() -> str:
    """Return the page of every code that the program can raise, found in its source."""
    rows: dict[type[errors.Error], dict[str, list[_Raised]]] = {}
    alarms: set[str] = set()
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        if name.startswith("verifier/"):  # stand-alone: it has steps, and no codes
            continue
        module = ast.parse(path.read_text(encoding="utf-8"))
        alarms.update(_alarms(module))
        for raised in _raised(module, name):
            rows.setdefault(raised.family, {}).setdefault(raised.code, []).append(raised)
    parts = ["# Error codes\n", _CODES]
    columns = ("code", "HTTP", "what it says", "what to do")
    for family in dict.fromkeys(_FAMILY.values()):
        parts.append(f"## {family.__name__}\n")
        parts.append(f"{(family.__doc__ or '').splitlines()[0]}\n")
        parts.append(table(columns, map(_code_row, sorted(rows.get(family, {}).items()))))
    parts += ["## Alarms\n", _ALARMED]
    parts.append(table(("code", "meaning"), ((f"`{c}`", _ALARMS[c]) for c in sorted(alarms))))
    return "\n".join(parts)


PAGES: Final[dict[str, Callable[[], str]]] = {
    "docs/reference/command-line.md": command_line,
    "docs/reference/gateway-fields.md": gateway_fields,
    "docs/reference/documents.md": documents,
    "docs/reference/exchange-states.md": exchange_states,
    "docs/reference/error-codes.md": error_codes,
    "docs/reference/access-matrix.md": access_matrix,
    "docs/reference/api.md": api_page,
    "src/seawall/rules/access.cedarschema": schema_text,
}


def stale() -> list[str]:
    """Return the pages that are not what the code says."""
    return [
        name
        for name in PAGES
        if not (ROOT / name).exists() or (ROOT / name).read_text(encoding="utf-8") != _written(name)
    ]


def _written(name: str) -> str:
    """Return a page as its file has it; what is no page says itself where it comes from."""
    return (_NOTE if name.endswith(".md") else "") + PAGES[name]()


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
        inner = resolved(field, root)
        needed = "yes" if name in required else "no"
        if "properties" in inner:
            yield (f"`{prefix}{name}`", "mapping", needed)
            yield from _fields(inner, root, f"{prefix}{name}.")
        else:
            yield (f"`{prefix}{name}`", _form(inner, root), needed)


def _form(field: dict[str, Any], root: dict[str, Any]) -> str:
    if "enum" in field:
        return "one of " + ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if field.get("type") == "array":
        return "list of " + _form(resolved(field["items"], root), root)
    form = {"date": "date"}.get(field.get("format", ""), str(field.get("type", "any")))
    return f"{form} `{field['pattern']}`".replace("|", "\\|") if "pattern" in field else form


class _Raised(NamedTuple):
    """One way in which a code is raised."""

    family: type[errors.Error]
    code: str
    message: str
    help: str
    is_terminal: bool


def _raised(module: ast.Module, name: str) -> Iterator[_Raised]:
    """Yield every error that a module makes; one that only passes another on is not made here."""
    calls = [node for node in ast.walk(module) if isinstance(node, ast.Call)]
    within = _functions(module)
    for call in calls:
        family = _FAMILY.get(_called(call))
        if family is None or not call.args or isinstance(call.args[0], ast.Attribute | ast.Call):
            continue
        function = within.get(call)
        for known in _bindings(call, function, calls):
            code, message, help_text = (
                *(_text(argument, known) for argument in call.args[:3]),
                *("",) * (3 - len(call.args[:3])),
            )
            for standing in _STANDINGS if "{standing}" in code else [""]:
                filled = [part.replace("{standing}", standing) for part in (code, message)]
                if not re.fullmatch(r"[a-z]+(-[a-z]+)*", filled[0]):
                    raise RuntimeError(f"{name}:{call.lineno}: this code cannot be read")
                yield _Raised(family, filled[0], filled[1], help_text, name.startswith(_TERMINAL))


def _functions(module: ast.Module) -> dict[ast.AST, ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return the innermost function around each node."""
    return {
        node: function
        for function in ast.walk(module)  # outer functions come before inner ones
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }


def _bindings(
    call: ast.Call,
    function: ast.FunctionDef | ast.AsyncFunctionDef | None,
    calls: Iterable[ast.Call],
) -> list[dict[str, ast.expr]]:
    """Return what the callers of a function that makes an error hand in for it."""
    parameters = [parameter.arg for parameter in function.args.args] if function else []
    used = {argument.id for argument in call.args if isinstance(argument, ast.Name)}
    if function is None or not used.intersection(parameters):
        return [{}]
    found = [one for one in calls if _called(one) == function.name]
    return [dict(zip(parameters, one.args, strict=False)) for one in found]


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _text(node: ast.expr, known: dict[str, ast.expr]) -> str:
    """Return a text as it will read, with what is filled in later in braces."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_text(value, {}) for value in values)
        case ast.IfExp(body=body, orelse=other):
            return f"{_text(body, known)}, or: {_text(other, known)}"
        case ast.Name(id=name) if name in known:
            return _text(known[name], {})
        case ast.FormattedValue(value=value):
            return f"{{{_name(value)}}}"
        case _:
            return "{…}"


def _name(node: ast.expr) -> str:
    """Return a word for what is filled in later."""
    match node:
        case ast.Name(id=name):
            return name.strip("_").lower().replace("_", " ")
        case ast.Attribute(attr="kind"):
            return "kind"
        case ast.Attribute(value=inner) | ast.BoolOp(values=[inner, *_]) | ast.IfExp(body=inner):
            return _name(inner)
        case _:
            return "…"


def _alarms(module: ast.Module) -> Iterator[str]:
    """Yield the codes under which a module raises alarms of its own."""
    for node in ast.walk(module):
        match node:
            case ast.Call(
                func=ast.Attribute(attr="alarm"), args=[ast.Constant(value=str(code)), *_]
            ):
                yield code
            case ast.Call(func=ast.Name(id="Rounds"), args=[ast.Constant(value=str(name)), *_]):
                yield f"{name}-failed"


def _code_row(item: tuple[str, list[_Raised]]) -> Sequence[str]:
    code, ways = item
    family = ways[0].family
    reached = any(not way.is_terminal for way in ways)
    http = str(status(family(code, ""))) if reached else "-"
    messages = dict.fromkeys(way.message for way in ways)
    helps = dict.fromkeys(way.help for way in ways if way.help)
    return (
        f"`{code}`",
        http,
        *("<br>".join(texts).replace("|", "\\|") for texts in (messages, helps)),
    )


def main() -> int:
    """Write the pages, or check them."""
    if "--check" in sys.argv[1:]:
        found = stale()
        for name in found:
            print(f"{name} is not what the code says: run `make reference`")
        return 1 if found else 0
    for name in PAGES:
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(_written(name), encoding="utf-8")
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
