"""A small reader of FHIR Shorthand: IHE's examples as JSON, and the rules of its profiles.

Only what the files under tests/vectors/balp use, and only profiles of AuditEvent. It shares
nothing with `seawall.core.audit.balp`, so that one mistake cannot hide in both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER: Final = Path(__file__).parent / "vectors" / "balp"
SYSTEMS: Final = "https://profiles.ihe.net/ITI/BALP/CodeSystem"

_LISTS: Final = {
    *("agent", "entity", "subtype", "purposeOfEvent", "meta.security", "source.type"),
    *("agent.policy", "agent.purposeOfUse", "agent.role"),
}
_CONCEPTS: Final = {"agent.type", "purposeOfEvent", "agent.purposeOfUse", "agent.role"}
_PRIMITIVES: Final = {"action", "outcome", "agent.network.type"}
_STEP: Final = re.compile(r"(\w+)(?:\[([^\]]+)\])?(?:\.|$)")
_CODE: Final = re.compile(r"(\S*?)#(\S+)")
_LINE: Final = re.compile(r"\*\s+(\S+)\s+(.*)")


@dataclass
class Item:
    """One Profile, Instance, ValueSet or RuleSet of a file: its fields and its rule lines."""

    kind: str
    name: str
    fields: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)


def items() -> list[Item]:
    """Return all items of all files."""
    found: list[Item] = []
    for path in sorted(FOLDER.glob("*.fsh")):
        text = re.sub(r'""".*?"""', '"text"', path.read_text("utf-8"), flags=re.DOTALL)
        text = re.sub(r"(^|\s)//.*", "", text)
        for raw in text.splitlines():
            line = raw.rstrip()
            if head := re.match(r"(Profile|Instance|ValueSet|CodeSystem|RuleSet):\s*(\S+)", line):
                found.append(Item(head[1], head[2]))
            elif named := re.match(r"(Parent|Id|InstanceOf):\s*(\S+)", line):
                found[-1].fields[named[1]] = named[2]
            elif line.startswith("*"):
                found[-1].lines.append(line)
            elif line.startswith((" ", "\t")) and line.strip() and found[-1].lines:
                found[-1].lines[-1] += f" {line.strip()}"  # `contains` goes on over lines
    return found


def aliases() -> dict[str, str]:
    """Return what short names of code systems stand for."""
    text = (FOLDER / "Aliases.fsh").read_text("utf-8")
    return dict(re.findall(r"Alias: (\w+) = (\S+)", text))


ITEMS: Final = items()
ALIASES: Final = aliases()
NAMES: Final = {
    name: item
    for item in ITEMS
    if item.kind == "Profile"
    for name in (item.name, item.fields["Id"])
}


def code_of(text: str) -> tuple[str, str] | None:
    """Return (system, code) of `system#code "display"`."""
    found = _CODE.match(text)
    if found is None or text.startswith('"'):
        return None
    system = ALIASES.get(found[1], found[1])
    return (system if ":" in system or not system else f"{SYSTEMS}/{system}"), found[2]


def examples() -> list[tuple[str, str, dict[str, Any]]]:
    """Return the name, the profile's id and the JSON of each example of an AuditEvent."""
    return [
        (item.name, NAMES[item.fields["InstanceOf"]].fields["Id"], _json(item))
        for item in ITEMS
        if item.kind == "Instance" and item.fields["InstanceOf"] in NAMES
    ]


def _json(item: Item) -> dict[str, Any]:
    event: dict[str, Any] = {"resourceType": "AuditEvent", "id": item.name}
    places: dict[tuple[str, str], int] = {}
    latest: dict[str, int] = {}
    for line in item.lines:
        path, said = (part.strip() for part in line[1:].split(" = ", 1))
        node: Any = event
        steps = _STEP.findall(path)
        whole = ""
        for at, (name, key) in enumerate(steps):
            whole = f"{whole}.{name}".strip(".")
            is_last = at == len(steps) - 1
            if whole not in _LISTS:
                if is_last:
                    node[name] = _value(said, whole)
                else:
                    node = node.setdefault(name, {})
                continue
            row = node.setdefault(name, [])
            index = _index(key, whole, len(row), places, latest)
            row.extend({} for _ in range(index + 1 - len(row)))
            if is_last:
                row[index] = _value(said, whole)
            else:
                node = row[index]
    return event


def _index(
    key: str, path: str, count: int, places: dict[tuple[str, str], int], latest: dict[str, int]
) -> int:
    """Return which member of a list is meant: by number, `+`, `=`, or the name of a slice."""
    if key.isdecimal():
        latest[path] = int(key)
    elif key == "+":
        latest[path] = count
    elif key == "":
        return 0
    elif key != "=":
        return places.setdefault((path, key), count)
    return latest[path]


def _value(said: str, path: str) -> Any:
    if (target := re.match(r"Reference\((\S+)\)", said)) is not None:
        return {"reference": target[1]}
    if (code := code_of(said)) is not None:
        if path in _PRIMITIVES:
            return code[1]
        coding = {"system": code[0], "code": code[1]}
        return {"coding": [coding]} if path in _CONCEPTS else coding
    if said in ("true", "false"):
        return said == "true"
    return said[1:-1] if said.startswith('"') else said


@dataclass(frozen=True)
class Law:
    """One rule of a profile: `count` (least, most), `fixed`, `codes`, `slice` or `obeys`."""

    path: str
    kind: str
    value: Any


def laws(profile: str) -> list[Law]:
    """Return the rules of a profile and of its parents, by its id."""
    item = NAMES[profile]
    parent = item.fields["Parent"]
    found = laws(NAMES[parent].fields["Id"]) if parent in NAMES else []
    for line in item.lines:
        found += _laws_of(line)
    return found


def _laws_of(line: str) -> list[Law]:
    matched = _LINE.match(line)
    if matched is None or matched[2].startswith("^") or "^" in matched[1]:
        return []
    path, said = matched[1], matched[2].strip()
    if path == "insert":  # requireAtLeastOneMatch(path, slice, pattern)
        where, name, pattern = (one.strip() for one in said[said.index("(") + 1 : -1].split(","))
        place = f"{where}[{name}]"
        return [Law(place, "slice", (1, "1")), Law(place, "fixed", code_of(pattern))]
    if said.startswith("contains"):
        parts = re.findall(r"([\w-]+)\s+(\d+)\.\.(\d+|\*)?", said)
        return [Law(f"{path}[{name}]", "slice", (int(a), b or "*")) for name, a, b in parts]
    return [Law(path, kind, value) for kind, value in _law_of(said)]


def _law_of(said: str) -> Iterator[tuple[str, Any]]:
    """Yield what one line about one element says, or nothing that is a rule here."""
    if said.startswith("="):
        value = said[1:].strip()
        yield "fixed", code_of(value) or value == "true"
    elif said.startswith("from"):
        yield "codes", _value_set(said.split()[1])
    elif said.startswith("obeys"):
        yield "obeys", said.split()[1]
    elif (card := re.match(r"(\d+)\.\.(\d+|\*)?", said)) is not None:
        yield "count", (int(card[1]), card[2] or "*")


def _value_set(name: str) -> set[tuple[str, str]]:
    [item] = [one for one in ITEMS if one.kind == "ValueSet" and one.name == name]
    found = {code for line in item.lines if (code := code_of(line[1:].strip())) is not None}
    if not found:  # `codes from system NAME`
        named = item.lines[-1].split()[-1]
        [system] = [one for one in ITEMS if one.kind == "CodeSystem" and one.name == named]
        found = {
            (f"{SYSTEMS}/{named}", code[1])
            for line in system.lines
            if (code := code_of(line[1:].strip())) is not None
        }
    return found
