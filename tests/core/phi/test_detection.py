"""The detector on case files and on any text."""

from __future__ import annotations

import datetime as dt
import json
import re
from itertools import pairwise, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seawall.core.phi.detection import _CACHED_MATCHERS
from seawall.core.phi.known import KnownIdentifiers, PersonName, PostalAddress

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seawall.core.phi.detection import Detector
    from seawall.core.phi.spans import Span

VECTORS = Path(__file__).parents[2] / "vectors" / "phi"
_MARK = re.compile(r"\[\[[A-Z]+:(.*?)\]\]", re.DOTALL)

WITH_DETECTOR = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150
)


def cases(name: str) -> list[dict[str, Any]]:
    """Return the cases of one file, in order."""
    lines = (VECTORS / name).read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line.strip()]


def unmarked(marked: str) -> str:
    """Return the text of a case without its marks."""
    return _MARK.sub(r"\1", marked)


def marked(text: str, spans: Iterable[Span]) -> str:
    """Return the text with its spans marked inline, to compare with a case."""
    pieces: list[str] = []
    at = 0
    for span in spans:
        pieces += [text[at : span.start], f"[[{span.label}:{text[span.start : span.end]}]]"]
        at = span.end
    return "".join([*pieces, text[at:]])


def _patient(given_name: str, family: str) -> KnownIdentifiers:
    return KnownIdentifiers(names=(PersonName((given_name,), family),))


KOEPP = KnownIdentifiers(
    names=(PersonName(("Abdul",), "Koepp"),),
    birth_date=dt.date(1956, 8, 3),
    record_numbers=("e925b0f3-8006-43f6-aa31-94bd215e55e7",),
    ssns=("999-22-1962",),
    phones=("555-978-4581",),
    addresses=(PostalAddress(("313 Lockman Row Suite 4",), "Peabody", "01940"),),
    other_ids=("S99942380",),
)
OHARA = KnownIdentifiers(
    names=(PersonName(("李", "Mary Anne"), "O'Hara-Jones"), PersonName()),
    record_numbers=("AB-0042-7781", "12", "00123456"),
    ssns=("12",),
    phones=("123",),
    faxes=("555-978-4582", "5551234"),
    emails=("m.ohara@example.com",),
    addresses=(PostalAddress(("12 North Elm Street Apt 3", "PO"), "Hope", "K1A 0B1"),),
)
PATIENTS = {
    "ohara": OHARA,
    "koepp": KOEPP,
    "will-long": _patient("Will", "Long"),
    "may-hart": _patient("May", "Hart"),
    "parkinson": _patient("James", "Parkinson"),
    "jones": _patient("Kim", "Jones"),
    "foote": _patient("Rose", "Foote"),
}
# Every sentence is clinical from its first to its last word: none may change.
CLINICAL_SENTENCES = [
    "Heart failure, the left foot is cool, no known allergies.",
    "Long-acting insulin 10 units; long QT on ECG; may repeat the dose.",
    "She may need a foot exam and will take aspirin 81 mg daily.",
    "The rash was rose in color; brown sputum, white count 12.4.",
    "Young-onset Parkinson disease and Bell's palsy were excluded.",
    "We grant that hope, faith and joy help; his mood rose.",
    "Hodgkin lymphoma, Wilson's disease and Crohn's disease: negative.",
    "Foley catheter out; warm hands; summer cold; no chest pain.",
]
HARD_NAMES = [
    ("Will", "Hart"), ("May", "Foote"), ("Rose", "Long"), ("Joy", "Grant"), ("Hope", "Young"),
    ("Faith", "Brown"), ("Summer", "Bell"), ("James", "Parkinson"), ("Anna", "Wilson"),
    ("Paul", "Crohn"), ("Mary", "Hodgkin"), ("Grant", "May"), ("Young", "Will"),
    ("Joan", "White"), ("Ann", "Foley"), ("Peter", "Hand"), ("Grace", "Cold"), ("Amy", "Hope"),
    ("Dawn", "Summer"), ("Lee", "Rose"), ("Sue", "Warm"), ("Al", "Joy"), ("Bo", "Head"),
    ("Ida", "Fever"), ("Max", "Payne"),
]  # fmt: skip


@pytest.mark.parametrize(
    "case", [*cases("safe-harbor.jsonl"), *cases("edges.jsonl")], ids=lambda case: case["why"]
)
def test_each_safe_harbor_case_is_marked_as_written(
    detector: Detector, case: dict[str, Any]
) -> None:
    """Every identifier of a case is found, with its label, and nothing else is."""
    text = unmarked(case["text"])

    assert case["text"] == marked(text, detector.find(text))


@pytest.mark.parametrize("case", cases("clinical-safety.jsonl"), ids=lambda case: case["why"])
def test_clinical_text_without_identifiers_is_left_alone(
    detector: Detector, case: dict[str, Any]
) -> None:
    """No drug, dose, result, eponym or abbreviation is taken for an identifier."""
    assert case["text"] == marked(case["text"], detector.find(case["text"]))


@pytest.mark.parametrize("case", cases("known.jsonl"), ids=lambda case: case["why"])
def test_each_known_identifier_is_marked_as_written(
    detector: Detector, case: dict[str, Any]
) -> None:
    """What is known of a patient is found in every form, and words of care are not."""
    text = unmarked(case["text"])

    assert case["text"] == marked(text, detector.find(text, [PATIENTS[case["patient"]]]))


@pytest.mark.parametrize("case", cases("logistics.jsonl"), ids=lambda case: case["why"])
def test_clinical_content_is_told_from_the_logistics_of_care(
    detector: Detector, case: dict[str, Any]
) -> None:
    """A diagnosis, drug, dose, result or symptom is clinical; an appointment is not."""
    assert case["clinical"] == bool(detector.clinical_terms(case["text"]))


@pytest.mark.parametrize(
    ("name", "sentence"), list(product(HARD_NAMES, CLINICAL_SENTENCES)), ids=str
)
def test_no_clinical_word_is_masked_for_a_patient_named_like_it(
    detector: Detector, name: tuple[str, str], sentence: str
) -> None:
    """In 200 notes about patients named Hart, Foote, May and so on, only the name is found."""
    text = f"Mr. {name[1]} was seen. {sentence}"
    expected = f"Mr. [[NAME:{name[1]}]] was seen. {sentence}"

    assert expected == marked(text, detector.find(text, [_patient(*name)]))


@WITH_DETECTOR
@given(text=st.text(st.characters(), max_size=200))
def test_spans_of_any_text_are_ordered_and_in_range(detector: Detector, text: str) -> None:
    """Any text at all, unpaired surrogates included, gives spans in order without overlap."""
    spans = detector.find(text, [KOEPP])

    assert all(0 <= span.start < span.end <= len(text) for span in spans)
    assert all(first.end <= second.start for first, second in pairwise(spans))


@WITH_DETECTOR
@given(
    before=st.text(st.characters(codec="utf-8"), max_size=40),
    after=st.text(st.characters(codec="utf-8"), max_size=40),
)
def test_a_known_full_name_is_always_covered(detector: Detector, before: str, after: str) -> None:
    """Wherever the patient's full name stands between spaces, a span covers it."""
    text = f"{before} Abdul Koepp {after}"
    start = len(before) + 1
    covered = {at for span in detector.find(text, [KOEPP]) for at in range(span.start, span.end)}

    assert set(range(start, start + len("Abdul Koepp"))) <= covered


@pytest.mark.parametrize(
    "hidden", ["Ab\u200bdul K\u043eepp", "Abdul\u00a0Koe\u0301pp", "\uff21bdul \u202eKoepp"]
)
def test_hidden_and_lookalike_characters_do_not_hide_a_name(
    detector: Detector, hidden: str
) -> None:
    """Zero-width, combining, full-width, bidi and lookalike characters are seen through."""
    text = f"\U0001f600 patient {hidden} came"
    [span] = detector.find(text, [KOEPP])

    assert hidden == text[span.start : span.end]


def test_offsets_count_code_points_after_characters_that_fold_to_many(detector: Detector) -> None:
    """Ligatures and emoji before a date do not shift its span."""
    text = "\ufb01\ufb01 \U0001f469\u200d\U0001f467 ½ on 2023-04-12."
    [span] = detector.find(text)

    assert text[span.start : span.end] == "2023-04-12"


@pytest.mark.parametrize(
    "unit", ["A" * 50, "a.", "1-", "Dr. ", "(555) ", "[", "Jan ", ":a", "\uff21"]
)
def test_repetition_does_not_raise_or_hang(detector: Detector, unit: str) -> None:
    """A hostile text of one repeated piece ends with spans in range."""
    text = unit * 2000

    assert all(span.end <= len(text) for span in detector.find(text, [KOEPP]))


def test_clinical_terms_stand_where_they_say(detector: Detector) -> None:
    """Offsets of clinical terms are code points of the original text."""
    text = "é: takes lisinopril 10\u00a0mg"

    assert ["lisinopril", "10\u00a0mg"] == [
        text[term.start : term.end] for term in detector.clinical_terms(text)
    ]


def test_the_cache_of_matchers_is_bounded(detector: Detector) -> None:
    """Many patients in a row do not grow the detector without bound."""
    for number in range(_CACHED_MATCHERS + 5):
        detector.find("x", [_patient("Zed", f"Quux{'a' * (number % 7)}")])

    assert len(detector._matchers) == _CACHED_MATCHERS


def test_case_files_mark_labels_in_capitals() -> None:
    """Each mark of a case file has the form [[LABEL:text]], so that none is skipped silently."""
    texts = [
        case["text"]
        for name in ("safe-harbor.jsonl", "edges.jsonl", "known.jsonl")
        for case in cases(name)
    ]

    assert not [text for text in texts if "[[" in re.sub(r"\[\[[A-Z]+:[^\[\]]+\]\]", "", text)]
