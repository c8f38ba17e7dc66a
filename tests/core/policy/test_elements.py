"""What may be shown, named: the language of elements, and what scopes of them allow."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
from fhir.resources import R4B
from hypothesis import given
from hypothesis import strategies as st

from seawall.core.errors import Invalid
from seawall.core.phi.identifiers import Label
from seawall.core.policy.elements import (
    ENTIRE,
    MOST,
    Element,
    Scope,
    identifier,
    meet,
    parse_element,
    parse_scope,
)
from seawall.core.policy.fhir_names import DATA_TYPES, RESOURCES

MARKER = "quackenbush"

STEPS = st.sampled_from(["name", "value[x]", "valueQuantity", "code", "component", "valueSet"])
FILTERS = st.dictionaries(
    st.sampled_from(["category", "code", "status"]),
    st.sampled_from(["laboratory", "4548-4", "final"]),
).map(lambda held: tuple(sorted(held.items())))
SINCE = st.sampled_from([(), (("since", "-P7D"),), (("since", "-P30D"),), (("since", "-P365D"),)])
FHIR = st.builds(
    lambda name, path, filters, since: Element(name, tuple(path), tuple(sorted(filters + since))),
    st.sampled_from(["Observation", "Patient"]),
    st.lists(STEPS, max_size=3),
    FILTERS,
    SINCE,
)
ELEMENTS = st.one_of(st.sampled_from(list(Label)).map(identifier), FHIR, FHIR, st.just(ENTIRE))
SCOPES = st.frozensets(ELEMENTS, max_size=5).map(Scope)


def scope(*texts: str) -> Scope:
    """Return a scope of elements as they are written."""
    return parse_scope(" ".join(texts))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("NAME", Element("NAME")),
        ("entire-record", ENTIRE),
        ("Condition.*", Element("Condition")),
        ("Patient.name", Element("Patient", ("name",))),
        ("Observation.value[x]", Element("Observation", ("value[x]",))),
        ("Patient.contact.name.family", Element("Patient", ("contact", "name", "family"))),
        (
            "Observation[status=final,category=laboratory].value[x]",
            Element(
                "Observation", ("value[x]",), (("category", "laboratory"), ("status", "final"))
            ),
        ),
        ("Appointment[since=-P30D]", Element("Appointment", (), (("since", "-P30D"),))),
    ],
)
def test_elements_as_written(written: str, expected: Element) -> None:
    """Classes, the entire record, paths, choices and filters are read as they are written."""
    assert expected == parse_element(written)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "name",
        "Patient",
        "Patient.",
        "Patient..name",
        "Patient.name ",
        "Patient.name\n",
        "Patient.Name",
        "Patient.name[y]",
        "Patient.*.name",
        "Patient[]",
        "Patient[].name",
        "Patient[category].name",
        "Patient[category=].name",
        "Patient[category=a,category=b].name",
        "Patient[colour=red].name",
        "Patient[since=30].name",
        "Patient[since=-P0D].name",
        "Patient[since=P30D].name",
        "Patient[category=a b].name",
        "Patient[[category=a]].name",
        "Quackenbush.name",
        "Patient." + ".".join(["quackenbush"] * 9),
        "Patient." + "quackenbush" * 4,
        "ENTIRE-RECORD",
    ],
)
def test_anything_else_is_refused_without_its_value(written: str) -> None:
    """What the grammar does not know is refused, and the error does not repeat it."""
    with pytest.raises(Invalid) as caught:
        parse_element(written)

    assert "element-malformed" == caught.value.code
    assert MARKER not in repr(caught.value.args).lower()


@given(st.text(max_size=100) | st.from_regex(r"[A-Z][a-z]+(\[[a-z]+=[a-z0-9-]+\])?\.[a-z.*\[\]]+"))
def test_any_text_is_an_element_or_invalid(written: str) -> None:
    """Reading is total: whatever is read is written back as the same element."""
    try:
        element = parse_element(written)
    except Invalid:
        return

    assert element == parse_element(element.text)


@given(ELEMENTS)
def test_elements_round_trip(element: Element) -> None:
    """An element reads back from its canonical text."""
    assert element == parse_element(element.text)


@given(SCOPES)
def test_scopes_round_trip(some: Scope) -> None:
    """A scope reads back from its canonical text, whatever the order of its elements."""
    assert some == parse_scope(str(some))
    assert str(some) == str(parse_scope(" ".join(reversed(some.texts()))))


def test_scope_is_bounded() -> None:
    """A scope of one element more than may be is refused before any is read."""
    most = [f"Patient.name{number}" for number in range(MOST)]

    assert MOST == len(scope(*most).elements)
    with pytest.raises(Invalid) as caught:
        scope(*most, "Patient.other")
    assert "scope-too-large" == caught.value.code


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("Patient.*", "Patient.name"),
        ("Patient.name", "Patient.name.family"),
        ("Observation.value[x]", "Observation.valueQuantity"),
        ("Observation.value[x]", "Observation.valueQuantity.unit"),
        ("Observation.*", "Observation[category=laboratory].code"),
        ("Observation[category=laboratory].*", "Observation[category=laboratory,status=final].*"),
        ("Appointment[since=-P30D].*", "Appointment[since=-P7D].start"),
        ("entire-record", "Condition.*"),
        ("entire-record", "SSN"),
    ],
)
def test_wider_covers_narrower_and_not_the_other_way(wide: str, narrow: str) -> None:
    """A prefix, a choice of types, fewer filters or a longer time cover what is narrower."""
    one, other = parse_element(wide), parse_element(narrow)

    assert (True, False) == (one.covers(other), other.covers(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("NAME", "DATE"),
        ("NAME", "Patient.name"),
        ("Patient.name", "Practitioner.name"),
        ("Patient.name", "Patient.names"),
        ("Observation.value[x]", "Observation.valueSet"),
        ("Observation[category=laboratory].*", "Observation[category=vital-signs].*"),
    ],
)
def test_what_has_nothing_in_common(one: str, other: str) -> None:
    """Another class, type, name or code is something else, and no prefix of letters covers."""
    assert meet(parse_element(one), parse_element(other)) is None


@given(ELEMENTS, ELEMENTS)
def test_what_two_elements_share_is_in_both(one: Element, other: Element) -> None:
    """What two elements have in common is the same from either side, and covered by both."""
    met = meet(one, other)

    assert met == meet(other, one)
    assert met is None or (one.covers(met) and other.covers(met))


@given(ELEMENTS, ELEMENTS, ELEMENTS)
def test_covering_is_an_order(one: Element, other: Element, third: Element) -> None:
    """An element covers itself; covering passes on; two that cover each other are one."""
    assert one.covers(one)
    assert third.covers(one) or not (third.covers(other) and other.covers(one))
    assert one == other or not (one.covers(other) and other.covers(one))


@given(ELEMENTS, ELEMENTS, ELEMENTS)
def test_nothing_covered_by_both_is_outside_what_they_share(
    one: Element, other: Element, third: Element
) -> None:
    """Whatever both elements cover is covered by what they share."""
    met = meet(one, other)

    if one.covers(third) and other.covers(third):
        assert met is not None
        assert met.covers(third)


@given(SCOPES, ELEMENTS)
def test_empty_scope_allows_nothing(some: Scope, element: Element) -> None:
    """Empty means no; and a scope allows what one of its elements covers."""
    assert not Scope().allows(element)
    assert some.allows(element) == any(held.covers(element) for held in some.elements)


@given(SCOPES, SCOPES)
def test_difference_is_what_is_not_covered(one: Scope, other: Scope) -> None:
    """A scope covers another exactly if the other's difference from it is empty."""
    left = other.difference(one)

    assert one.covers(other) == (left == Scope())
    assert left.elements <= other.elements
    assert not any(one.allows(element) for element in left.elements)


@given(SCOPES, ELEMENTS)
def test_part_of_an_element_that_is_allowed(some: Scope, element: Element) -> None:
    """What of an element a scope allows is within both."""
    part = some.meet(element)

    assert some.covers(part)
    assert all(element.covers(each) for each in part.elements)
    assert not some.allows(element) or Scope(frozenset({element})) == part


def test_resource_types_are_of_fhir() -> None:
    """Each resource type exists in FHIR R4B too, but for those that R4 alone has."""
    later = {name.lower() for name in RESOURCES if not _is_of_r4_alone(name)}
    modules = {module.name for module in pkgutil.iter_modules(R4B.__path__)}

    assert set() == later - modules
    assert 146 == len(RESOURCES)


def _is_of_r4_alone(name: str) -> bool:
    return name.startswith(("MedicinalProduct", "Substance")) or name.endswith("EvidenceSynthesis")


def test_choices_are_of_fhir() -> None:
    """What may stand for [x] is what FHIR allows where any type may stand: Extension.value[x]."""
    fields = importlib.import_module("fhir.resources.R4B.extension").Extension.model_fields
    named = {name.removeprefix("value") for name in fields if name.startswith("value")}

    # R4B brought two types, and took one away.
    assert named - {"CodeableReference", "RatioRange"} | {"Meta"} == DATA_TYPES
