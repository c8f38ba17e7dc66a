"""The check of BALP's rules: IHE's own examples pass, and every broken rule is named.

What a rule is, an independent reader takes from IHE's FSH: so nothing of it can be forgotten.
"""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from fhir.resources.R4B.auditevent import AuditEvent

from fsh_reader import NAMES, Law, examples, laws
from seawall.core.audit.balp import PROFILES, violations

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = examples()
NOTHING = {"system": "https://nowhere.example", "code": "nothing"}


def members(event: dict[str, Any], path: str, profile: str) -> list[tuple[Any, Any]]:
    """Return (holder, key) of what a path with slices leads to, one for each that is there."""
    found: list[tuple[Any, Any]] = [({"": event}, "")]
    for step in path.split("."):
        name, _, slice_name = step.rstrip("]").partition("[")
        reached: list[tuple[Any, Any]] = []
        for holder, key in found:
            node = holder[key]
            if not isinstance(node, dict) or name not in node:
                continue
            if not isinstance(node[name], list):
                reached.append((node, name))
                continue
            row = node[name]
            reached += [
                (row, at)
                for at, member in enumerate(row)
                if not slice_name or in_slice(member, f"{name}[{slice_name}]", profile)
            ]
        found = reached
    return found


def in_slice(member: Any, slice_path: str, profile: str) -> bool:
    """Whether a member of a list has the code by which a slice is told."""
    told_by = [
        law.value if law.kind == "codes" else {law.value}
        for law in laws(profile)
        if law.kind in ("fixed", "codes")
        and law.path in (slice_path, f"{slice_path}.{discriminator(slice_path, profile)}")
    ]
    own: Any = member if slice_path.startswith("subtype") else None
    coded = own or member.get(discriminator(slice_path, profile), {})
    codings = coded.get("coding", [coded])
    return any((c.get("system"), c.get("code")) in told_by[-1] for c in codings)


def discriminator(slice_path: str, profile: str) -> str:
    """Return by which element the slices of a list are told apart."""
    return "role" if profile == "IHE.IUA.71" and slice_path.startswith("entity") else "type"


def tells_optional(law: Law, profile: str) -> bool:
    """Whether this is the element by which an optional slice is told.

    With another code a member is simply not of the slice, as open slicing allows.
    """
    optional = [one.path for one in laws(profile) if one.kind == "slice" and one.value[0] == 0]
    return law.path in [f"{path}.{discriminator(path, profile)}" for path in optional]


def broken(event: dict[str, Any], law: Law, profile: str) -> Iterator[dict[str, Any]]:
    """Yield events in which this rule, if it applies, is broken."""
    if tells_optional(law, profile):
        return
    made = copy.deepcopy(event)
    there = members(made, law.path, profile)
    holder, key = there[0] if there else (None, None)
    if law.kind in ("count", "slice"):
        least, most = law.value
        if there and 0 < least == len(there):
            remove(made, holder, key)
            yield made
        if most == "1" and there and isinstance(holder, list):
            yield duplicated(event, law, profile)
        if most == "0" and not there:
            yield from added(event, law, profile)
    elif holder is not None and law.kind in ("fixed", "codes"):
        change(holder, key)
        yield made
    elif holder is not None and law.kind == "obeys":
        holder[key]["who"] = {"display": "somebody else"}
        yield made


def remove(event: dict[str, Any], holder: Any, key: Any) -> None:
    """Take one element away, and a list that becomes empty."""
    del holder[key]
    for name in ("agent", "entity", "subtype"):
        if event.get(name) == []:
            del event[name]


def duplicated(event: dict[str, Any], law: Law, profile: str) -> dict[str, Any]:
    """Return the event with one member twice."""
    made = copy.deepcopy(event)
    holder, key = members(made, law.path, profile)[0]
    holder.append(copy.deepcopy(holder[key]))
    return made


def added(event: dict[str, Any], law: Law, profile: str) -> Iterator[dict[str, Any]]:
    """Yield the event with an element that must not be there, if its holder is there."""
    made = copy.deepcopy(event)
    above, _, name = law.path.rpartition(".")
    if above and (there := members(made, above, profile)):
        holder, key = there[0]
        holder[key][name] = {"display": "too much"}
        yield made
    elif not above:
        made[name] = [{"url": "https://nowhere.example"}]
        yield made


def change(holder: Any, key: Any) -> None:
    """Give an element another code or value."""
    value = holder[key]
    if isinstance(value, bool):
        holder[key] = not value
    elif isinstance(value, str):
        holder[key] = {"C": "R"}.get(value, "C") if value.isalpha() else "4"
    else:
        holder[key] = {"coding": [NOTHING]} if "coding" in value else NOTHING


def place_of(law: Law) -> str:
    """Return what a violation of a rule must name: its slice, or its element."""
    return law.path.split("]")[0] + "]" if "]" in law.path else law.path


def mutations() -> Iterator[Any]:
    """Yield every example with every rule of its profile broken, each once."""
    for name, profile, event in [*EXAMPLES, ("token", "IHE.IUA.71", token_event())]:
        seen = set()
        for law in laws(profile):
            for number, made in enumerate(broken(event, law, profile)):
                text = json.dumps(made, sort_keys=True)
                if text not in seen:
                    seen.add(text)
                    label = f"{name}-{law.path}-{law.kind}-{number}"
                    yield pytest.param(profile, law, made, id=label)


def token_event() -> dict[str, Any]:
    """Return an event of the one profile of which IHE gives no example in FSH."""
    client = {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "110150"}
    system = "https://profiles.ihe.net/ITI/BALP/CodeSystem/UserAgentTypes"
    network = {"address": "a.example", "type": "1"}
    recipient = {
        "system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType",
        "code": "IRCP",
    }
    return {
        "resourceType": "AuditEvent",
        "type": {"system": client["system"], "code": "110114"},
        "subtype": [{"system": "urn:ihe:event-type-code", "code": "ITI-71"}],
        "action": "E",
        "recorded": "2026-03-02T09:30:00.000Z",
        "outcome": "0",
        "source": {"observer": {"display": "server"}},
        "agent": [
            {
                "type": {"coding": [client]},
                "who": {"identifier": {"value": "app"}},
                "requestor": False,
                "network": network,
            },
            {
                "type": {"coding": [{"system": system, "code": "AuthzOauthService"}]},
                "who": {"display": "server"},
                "requestor": False,
                "network": network,
            },
            {"type": {"coding": [recipient]}, "who": {"display": "person"}, "requestor": True},
        ],
        "entity": [
            {
                "type": {
                    "system": "http://terminology.hl7.org/CodeSystem/audit-entity-type",
                    "code": "2",
                },
                "role": {
                    "system": "http://terminology.hl7.org/CodeSystem/object-role",
                    "code": "24",
                },
                "query": "Z3JhbnQ=",
            }
        ],
    }


MUTATIONS = list(mutations())


def test_every_profile_has_its_table() -> None:
    """No profile of the FSH that is here is left out, and none is made up."""
    assert {item.fields["Id"] for item in NAMES.values()} == PROFILES.keys()


@pytest.mark.parametrize(
    ("name", "profile", "event"), EXAMPLES, ids=[name for name, _, _ in EXAMPLES]
)
def test_an_example_of_ihe_passes(name: str, profile: str, event: dict[str, Any]) -> None:
    """IHE's examples keep the rules of their profiles, and are AuditEvents of FHIR R4B."""
    assert (name, []) == (name, violations(event, profile))
    AuditEvent.model_validate(event)


def test_there_are_many_examples_and_ways_to_break_them() -> None:
    """The reader finds IHE's examples and rules, or the tests above and below show nothing."""
    assert 41 <= len(EXAMPLES)
    assert 1_000 < len(MUTATIONS)


@pytest.mark.parametrize(("profile", "law", "event"), MUTATIONS)
def test_a_broken_rule_is_named(profile: str, law: Law, event: dict[str, Any]) -> None:
    """An element taken away, doubled, put in or changed is a violation at its slice or element."""
    found = violations(event, profile)

    assert [] != [said for said in found if said.startswith(place_of(law))], (law, found)


def test_the_token_event_passes() -> None:
    """What is mutated above is right to begin with."""
    assert [] == violations(token_event(), "IHE.IUA.71")


def test_a_stranger_among_closed_slices_is_seen() -> None:
    """Where a profile closes its slices, an agent or entity of another type is a violation."""
    event = token_event()
    event["agent"][2]["type"] = {"coding": [NOTHING]}
    event["entity"].append({"role": NOTHING, "what": {"display": "more"}})

    assert [
        "agent has a member of no slice",
        "entity occurs 2 times and not 1..1",
        "entity has a member of no slice",
    ] == violations(event, "IHE.IUA.71")


def test_an_event_that_claims_an_unknown_profile_fails() -> None:
    """A claim that cannot be checked is a violation."""
    event = {**token_event(), "meta": {"profile": ["https://nowhere.example/profile"]}}

    assert ["meta.profile is none that is known here"] == violations(event)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"recorded": "2026-03-02"}, "recorded is not of its form"),
        ({"recorded": None}, "recorded is not of its form"),
        ({"action": "X"}, "action is not C or R or U or D or E"),
        ({"outcome": "1"}, "outcome is not 0 or 4 or 8 or 12"),
        ({"id": "with space"}, "id is not of its form"),
        ({"source": {}}, "source.observer occurs 0 times and not 1..1"),
        ({"agent": [{}]}, "agent[0].requestor occurs 0 times and not 1..1"),
        ({"agent": [{"requestor": 1}]}, "agent[0].requestor is not True or False"),
        ({"entity": [{"detail": [{}]}]}, "entity[0].detail[0].type occurs 0 times and not 1..1"),
    ],
)
def test_rules_of_fhir_itself_are_checked(change: dict[str, Any], expected: str) -> None:
    """An event without a profile still keeps FHIR's own rules."""
    assert [expected] == violations({**token_event(), **change})


def test_a_reference_to_something_else_is_no_patient() -> None:
    """A profile's patient is a Patient, by address or by type."""
    [event] = [event for name, _, event in EXAMPLES if name == "ex-auditBasicReadServer"]
    made = copy.deepcopy(event)
    made["entity"][0]["what"] = {"reference": "Group/ex-group"}

    expected = "entity[patient].what is not a reference to a Patient"
    assert [expected] == violations(made, "IHE.BasicAudit.PatientRead")


def test_a_text_is_no_code() -> None:
    """Where a coding is wanted, a text of the same letters is a violation."""
    assert "type is not 110114" in violations({**token_event(), "type": "110114"}, "IHE.IUA.71")
