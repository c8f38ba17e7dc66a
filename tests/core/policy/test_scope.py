"""Minimum necessary: what is replaced, and when nothing helps but refusing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core.phi.identifiers import Label
from seawall.core.phi.spans import Span
from seawall.core.policy.principal import Principal
from seawall.core.policy.scope import refuse_clinical, to_replace
from seawall.core.registers.use_case import Sees

LABELS = st.sampled_from(list(Label))


def span(label: Label, start: int = 0) -> Span:
    """Return a find of one character."""
    return Span(start, start + 1, label, "rule", 0.9)


def test_use_case_that_sees_nothing_has_everything_replaced() -> None:
    """With an empty scope, every class is replaced."""
    spans = [span(label, start) for start, label in enumerate(Label)]

    assert spans == to_replace(spans, Sees())


@given(st.lists(LABELS), st.frozensets(LABELS))
def test_only_named_classes_stay(labels: list[Label], seen: frozenset[Label]) -> None:
    """A span is replaced exactly if the use case does not name its class; the order stays."""
    spans = [span(label, start) for start, label in enumerate(labels)]
    expected = [start for start, label in enumerate(labels) if label not in seen]

    assert expected == [each.start for each in to_replace(spans, Sees(identifiers=seen))]


@pytest.mark.parametrize(
    ("kinds", "sees"),
    [
        pytest.param(set(), Sees(), id="no clinical content"),
        pytest.param({"drug"}, Sees(clinical_text=True), id="clinical content that may be seen"),
    ],
)
def test_nothing_clinical_to_refuse(kinds: set[str], sees: Sees) -> None:
    """A request goes on if it holds nothing clinical, or may."""
    assert refuse_clinical(kinds, sees) is None


def test_clinical_content_is_refused_with_its_kinds() -> None:
    """Clinical content outside the scope is refused; the reason names its kinds in order."""
    refusal = refuse_clinical({"symptom", "drug"}, Sees())

    assert refusal is not None
    assert refusal.code == "minimum-necessary"
    assert "(found: drug, symptom; 45 CFR 164.502(b))" in refusal.reason
    assert refusal.help


def test_actor_as_recorded() -> None:
    """An entry names an actor by kind and name; its tenant is the log's."""
    assert Principal("client", "scheduler", "clinic").fields() == {
        "kind": "client",
        "name": "scheduler",
    }
