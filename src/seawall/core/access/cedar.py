"""Cedar policies as text: read, counted, checked; what they do is decided elsewhere.

Text from a tenant is bounded before Cedar's parser sees it: the parser is recursive and
ends the whole process on a text of many nested brackets, so that is never handed in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import cedarpy
import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_BYTES: Final = 8_192
"""The longest text of policies that a tenant may have in one document."""
MOST_POLICIES: Final = 20
MOST_BRACKETS: Final = 300
"""So many brackets may be opened in all, wherever they stand, in a string or a comment too."""

_BRACKET: Final = re.compile(r"[(\[{]")
_TOTAL: Final = frozenset(
    {
        *("Value", "Var", "Set", "Record", "!", "&&", "||", "if-then-else", "is", "in", "like"),
        *("==", "!=", "<", "<=", ">", ">=", ".", "has"),
        *("contains", "containsAll", "containsAny", "isEmpty"),
    }
)
"""What cannot fail where the schema fits: no sum, no product, no function of an extension."""
_COMPLAINTS: Final = (
    ("optional attribute", "reads an attribute that may be absent without asking `has` first"),
    ("attribute", "reads an attribute that there is not"),
    ("enumerated", "names a role or a purpose that there is not"),
    ("action", "names an action that there is not"),
    ("entity type", "names a type of entity that there is not"),
)
"""What Cedar's validator complains of, by words of what it says, and how we say it."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy that was parsed."""

    id: str | None
    """Its `@id`, or None."""
    effect: str
    actions: frozenset[str] | None
    """The actions and groups that its scope names; None for every action."""
    body: dict[str, Any]
    """The policy in Cedar's JSON form."""

    def said(self, annotation: str) -> str:
        """Return what an annotation says; empty where there is none."""
        return str(self.body.get("annotations", {}).get(annotation) or "")


def parse_policies(text: str) -> tuple[Policy, ...]:
    """Return the policies of a text in order; `ValueError` unless all can be read.

    A template is refused: it decides nothing until somebody fills it in.
    """
    parsed = orjson.loads(cedarpy.policies_to_json_str(text))
    if parsed["templates"] or parsed["templateLinks"]:
        raise ValueError("a policy is a template")
    found = parsed["staticPolicies"]
    return tuple(_policy(found[key]) for key in sorted(found, key=_position))


def parse_bounded(text: str) -> tuple[Policy, ...]:
    """Return the policies of a text that somebody sent; `ValueError` says what is wrong with it.

    What the error says holds nothing of the text.
    """
    if len(text.encode()) > MOST_BYTES:
        raise ValueError(f"the policies are longer than {MOST_BYTES} bytes")
    if len(_BRACKET.findall(text)) > MOST_BRACKETS:
        raise ValueError(f"the policies open more than {MOST_BRACKETS} brackets")
    try:
        found = parse_policies(text)
        # What is nested less deep than the parser takes may be too deep for the sets.
        policy_set({str(at): policy for at, policy in enumerate(found)})
    except ValueError:
        raise ValueError(
            "this is not a text of Cedar policies, is one of templates, or is nested too deep"
        ) from None
    if not 1 <= len(found) <= MOST_POLICIES:
        raise ValueError(f"there are none, or more than {MOST_POLICIES} policies")
    return found


def policy_set(named: Mapping[str, Policy]) -> cedarpy.PolicySet:
    """Return policies ready to be asked, under these names; `ValueError` if they cannot be."""
    bodies = {name: policy.body for name, policy in named.items()}
    written = {"staticPolicies": bodies, "templates": {}, "templateLinks": []}
    try:
        text = orjson.dumps(written).decode()
    except orjson.JSONEncodeError:
        raise ValueError("a policy is nested too deep") from None
    return cedarpy.PolicySet.from_json_str(text)


def misfits(text: str, schema: str) -> tuple[str, ...]:
    """Return what of a text of policies does not fit a schema, in words without its values."""
    result = cedarpy.validate_policies(text, _schema(schema))
    if result.validation_passed:
        return ()
    return tuple(sorted({_told(error.policy_id, error.error) for error in result.errors}))


def may_fail(policy: Policy) -> bool:
    """Whether a policy that fits the schema might err for some question, as a sum too large does.

    Cedar skips what errs, so that everything is refused while such a policy stands.
    """
    waiting: list[Any] = [condition["body"] for condition in policy.body.get("conditions", ())]
    while waiting:
        expression = waiting.pop()
        for operator, inner in expression.items():
            if operator not in _TOTAL:
                return True
            waiting += _operands(operator, inner)
    return False


def _operands(operator: str, inner: Any) -> list[Any]:
    """Return the expressions that stand in one, by Cedar's JSON form; the rest are names."""
    if operator in {"Value", "Var"}:
        return []
    if isinstance(inner, list):
        return list(inner)
    if operator == "Record":
        return list(inner.values())
    named = ("left", "right", "arg", "if", "then", "else", "in")
    return [inner[name] for name in named if isinstance(inner.get(name), dict)]


@lru_cache(maxsize=4)
def _schema(text: str) -> cedarpy.Schema:
    return cedarpy.Schema.from_str(text)


def _policy(body: dict[str, Any]) -> Policy:
    identity = body.get("annotations", {}).get("id")
    return Policy(
        None if identity is None else str(identity), body["effect"], _actions(body["action"]), body
    )


def _actions(scope: dict[str, Any]) -> frozenset[str] | None:
    """Return what a scope names; a form that is not known here counts for every action."""
    match scope:
        case {"op": "==" | "in", "entity": {"id": str(name)}}:
            return frozenset({name})
        case {"op": "in", "entities": [*entities]}:
            return frozenset(str(entity["id"]) for entity in entities)
        case _:
            return None


def _position(key: str) -> int:
    return int(key.removeprefix("policy"))


def _told(policy: str, error: str) -> str:
    # Only what stands between the values that it quotes is Cedar's own.
    words = re.sub(r'`[^`]*`|"[^"]*"', "", error)
    told = (said for sign, said in _COMPLAINTS if sign in words)
    number = policy.removeprefix("policy")
    which = f"policy {int(number) + 1}" if number.isdigit() else "a policy"
    return f"{which} {next(told, 'compares what cannot be compared')}"
