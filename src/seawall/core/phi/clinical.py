"""Words of care: what masking must never alter, and what some use cases may not see.

Two questions are answered here. Is this word clinical, so that no name list may
take it? And does this text hold clinical content, which a use case such as
appointment reminders may not carry? The second answers no for the logistics of
care (a cardiology appointment, an annual physical), and yes for any diagnosis,
drug, dose, result or symptom.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

from ahocorasick_rs import AhoCorasick, Implementation, MatchKind

from seawall.core.phi.expressions import Expression

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from seawall.core.phi.shadow import Shadow

TermKind = Literal[
    "condition",
    "drug",
    "symptom",
    "test",
    "procedure",
    "anatomy",
    "specialty",
    "unit",
    "finding",
    "eponym",
]
ContentKind = Literal["condition", "drug", "dose", "result", "symptom", "test", "procedure"]

TERM_KINDS: Final[frozenset[str]] = frozenset(get_args(TermKind))

_CONTENT: Final[dict[TermKind, ContentKind]] = {
    "condition": "condition",
    "drug": "drug",
    "symptom": "symptom",
    "test": "test",
    "procedure": "procedure",
}
"""Kinds whose mention alone is clinical content; anatomy and specialties name clinics too."""

_DOSE: Final = Expression(
    r"(?i)\b\d+(?:[.,]\d+)?\s?(?:mg|mcg|ug|meq|mmol|milligrams?|micrograms?|units?|iu|ml|"
    r"tablets?|tabs?|capsules?|caps?|puffs?|pills?)(?:/(?:kg|day|hr|h|min|ml|dl|l))?\b"
    r"|\b[a-z]{4,40}\d+(?:[.,]\d+)?(?:mg|mcg|ug|ml|units?|iu)\b"
    r"|\btake (?:\d|one|two|three|half)\b[^.\n]{0,60}\b(?:daily|a day|per day|at bedtime|"
    r"as needed|every \d+ hours)\b"
)
_RESULT: Final = Expression(
    r"(?i)\b(?:bp|hr|rr|spo2|o2 sat|temp|bmi|ef|lvef|a1c|inr|k|na|cr|hgb|hct|wbc|plt|glucose|"
    r"pulse|weight|height)[\s\":=]{0,4}(?:is|was|of|at)?\s?\d{1,3}(?:[./]\d{1,3})?\b"
    r"|\b(?:[89]\d|1\d\d|2[0-4]\d)/(?:[4-9]\d|1[0-4]\d)\b"
    r"|\b\d{2,3}/\d{2,3}\s?mm\s?hg\b|\b\d+(?:\.\d+)?\s?(?:mg/dl|g/dl|mmol/l|ng/ml|pg/ml|meq/l|"
    r"iu/l|u/l|mm/hr|bpm|mmhg)\b|\b(?:icd-?(?:9|10)(?:-?cm)?|cpt|loinc|snomed(?: ct)?|rxnorm|ndc)"
    r"(?: codes?)?:?\s?[a-z]?\d[\d.a-z-]*"
)
_ICD_10: Final = Expression(
    r"\b[A-TV-Z]\d[0-9AB]\.[0-9A-Z]{1,4}\b"
    r"|(?i:\b(?:dx|diagnos[ie]s|problem|icd-?10(?:-?cm)?|icd|condition)(?: codes?)?[\s\":=]{1,4})"
    r"[A-TV-Za-tv-z]\d[0-9A-Ba-b](?:\.?[0-9A-Za-z]{1,4})?\b"
)
"""A code of ICD-10-CM: with its point anywhere, without it after a word for a diagnosis."""
_NAMED_CERTAINLY: Final = Expression(
    r"(?i)(?:'?s?'?)[\s-]+(?:disease|syndromes?|palsy|signs?|catheter|lymphoma|criteria|scale|"
    r"classification|reflex|man(?:o?eu|eu)ver|contracture|thyroiditis|esophagus|sarcoma|"
    r"phenomenon|neuroma|triad|murmur|chorea|fundoplication|thyrotoxicosis|ophthalmopathy|"
    r"clamps?|scissors|elevators?|osteotomy|tendon|(?:elastic )?(?:wrap|bandage)|drain|drill|"
    r"retractors?|dilators?|flap|fascia|frame|table|knee holder|forceps|needle|suture|pins?|"
    r"maneuver|attachment|(?:mechanical |aortic |mitral )?valve|tube|rongeur|curette|speculum)\b"
)
_NAMED_PERHAPS: Final = Expression(
    r"(?i)(?:'?s?'?)[\s-]+(?:procedure|scores?|fracture|tumou?r|nodes?|nodules?|cyst|an(?:a)?emia|"
    r"stain|ulcer|law|angina|hernia|gland|duct|canal|ligament|loop|bod(?:y|ies)|nodosa|purpura|"
    r"ataxia|dementia|paralysis|forceps|stent|needle|bandage|operation|equation|formula|ring|"
    r"pouch|spots?|lesions?|medullae|parkinson|white|qt)\b"
)
_PHRASE_KINDS: Final[frozenset[str]] = frozenset(
    {"condition", "drug", "symptom", "test", "procedure", "anatomy", "unit"}
)


@dataclass(frozen=True, slots=True)
class ClinicalTerm:
    """`text[start:end]` is clinical content; offsets are code points of the original text."""

    start: int
    end: int
    kind: ContentKind


class ClinicalLexicon:
    """Clinical words and phrases. A term in capitals matches only capitals (ALS, PAD)."""

    def __init__(self, terms: Iterable[tuple[TermKind, str]]) -> None:
        plain: dict[str, TermKind] = {}
        capitals: dict[str, TermKind] = {}
        eponyms: set[str] = set()
        for kind, term in terms:
            if kind == "eponym":
                eponyms.add(term)
                continue
            (capitals if term.isupper() else plain)[term] = kind
        self._kinds: Final = plain | {term.lower(): kind for term, kind in capitals.items()}
        self._eponyms: Final = frozenset(eponyms)
        self._plain: Final = _automaton(plain)
        self._capitals: Final = _automaton(capitals)
        self._phrases: Final = _automaton(
            {
                term: kind
                for term, kind in plain.items()
                if (not term.isalpha() or term.endswith("s")) and kind in _PHRASE_KINDS
            }
        )

    def kind_of(self, word: str) -> TermKind | None:
        """Return the kind of a word or phrase in lower case; a plural counts as its singular."""
        return self._kinds.get(word) or (self._kinds.get(word[:-1]) if word[-1:] == "s" else None)

    def find_phrases(self, shadow: Shadow) -> list[tuple[int, int]]:
        """Return where terms of several words, or with an eponym, stand in the shadow."""
        return [(start, end) for start, end, _ in _bounded(self._phrases, shadow.text.lower())]

    def is_eponym(self, word: str, text: bytes, end: int) -> bool:
        """Say whether a word in lower case, ending at `end`, names a disease, sign or device.

        Only a word after which something is named is one: the disease of a patient
        whose name is in no textbook is that patient's disease.
        """
        return word in self._eponyms and (
            self.names_disease(text, end) or _NAMED_PERHAPS.match_at(text, end) is not None
        )

    def names_disease(self, text: bytes, end: int) -> bool:
        """Say whether what follows a name, such as "disease" or "palsy", is named after people."""
        return _NAMED_CERTAINLY.match_at(text, end) is not None

    def find_content(self, shadow: Shadow) -> list[ClinicalTerm]:
        """Return the clinical content of a text, ordered by start; terms may touch a dose."""
        found: list[tuple[int, int, ContentKind]] = [
            (*match.span(), kind)
            for expression, kind in _MEASURES
            for match in expression.finditer(shadow.ascii)
        ]
        for automaton, text in ((self._plain, shadow.text.lower()), (self._capitals, shadow.text)):
            found.extend(
                (start, end, _CONTENT[kind])
                for start, end, kind in _bounded(automaton, text)
                if kind in _CONTENT
            )
        return [
            ClinicalTerm(*shadow.to_original(start, end), kind)
            for start, end, kind in sorted(found)
        ]


_MEASURES: Final[tuple[tuple[Expression, ContentKind], ...]] = (
    (_DOSE, "dose"),
    (_RESULT, "result"),
    (_ICD_10, "condition"),
)

_Automaton = tuple[AhoCorasick, list[TermKind]]


def _automaton(terms: dict[str, TermKind]) -> _Automaton:
    matcher = AhoCorasick(
        list(terms),
        matchkind=MatchKind.LeftmostLongest,
        implementation=Implementation.ContiguousNFA,
    )
    return matcher, list(terms.values())


def _bounded(automaton: _Automaton, text: str) -> Iterator[tuple[int, int, TermKind]]:
    """Yield the terms that stand as words of their own; a plural ending is allowed."""
    matcher, kinds = automaton
    for index, start, end in matcher.find_matches_as_indexes(text):
        if start > 0 and text[start - 1].isalnum():
            continue
        rest = text[end : end + 3]
        tail = len(rest) - len(rest.lstrip("es"))
        after = rest[:1] if not rest[:1].isalnum() else rest[tail : tail + 1]
        if not after.isalnum():
            yield start, end, kinds[index]
