"""An extractive summary of a clinical note: its salient sections, word for word.

Nothing is rephrased, so drugs, doses, results, sides and negations stay exactly
as the clinician wrote them, and placeholders as the gateway wrote them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

SECTIONS: Final[dict[str, str]] = {
    "diagnosis": "Diagnosis",
    "diagnoses": "Diagnosis",
    "discharge diagnosis": "Diagnosis",
    "reason for referral": "Reason for referral",
    "reason for call": "Reason for call",
    "hospital course": "Hospital course",
    "assessment": "Assessment",
    "impression": "Assessment",
    "assessment and plan": "Assessment and plan",
    "assessment/plan": "Assessment and plan",
    "plan": "Plan",
    "recommendations": "Plan",
    "advice given": "Plan",
    "medications": "Medications",
    "current medications": "Medications",
    "discharge medications": "Medications",
    "allergies": "Allergies",
    "follow-up": "Follow-up",
    "follow up": "Follow-up",
    "disposition": "Follow-up",
}
"""Headings that a summary keeps (in lower case), and what it calls them."""

CUES: Final = (
    "assess", "diagnos", "plan", "prescri", "start", "stop", "continue", "increase", "mg",
    "allerg", "follow", "return", "denies", "positive", "negative", "refer",
)  # fmt: skip
"""What makes a sentence salient in a note without headings."""

SENTENCES_PER_SECTION: Final = 10
"""Enough for whole lists: half a list of drugs would be worse than none."""

SENTENCES_WITHOUT_SECTIONS: Final = 5
_HEADING: Final = re.compile(r"^[ \t]{0,8}([A-Za-z][A-Za-z /-]{2,40}):[ \t]{0,8}")
_SENTENCE_END: Final = re.compile(
    r"(?<=[a-z0-9)%\]][.?!])(?<!\b[DM]r\.)(?<!\bMs\.)(?<!\bMrs\.) (?=[A-Z\[])"
)
_BULLET: Final = re.compile(r"^(?:[-*•]|[0-9]{1,2}[.)]) {1,4}")


def summarise(note: str, patient: str) -> str:
    """Summarise `note` in its own words, naming the patient first."""
    head = f"Summary for {patient}:" if patient else "Summary:"
    lines = list(_salient_sections(note)) or _salient_sentences(note)
    return "\n".join([head, *(f"- {line}" for line in lines)])


def _salient_sections(note: str) -> Iterator[str]:
    for heading, lines in _sections(note):
        sentences = [s for line in lines for s in _sentences(line)]
        if heading in SECTIONS and sentences:
            yield f"{SECTIONS[heading]}: {' '.join(sentences[:SENTENCES_PER_SECTION])}"


def _sections(note: str) -> list[tuple[str, list[str]]]:
    """Split a note into (heading in lower case, lines); text without a heading has an empty one.

    A blank line ends a section that has begun, so that no signature runs into it.
    """
    sections: list[tuple[str, list[str]]] = [("", [])]
    for line in note.splitlines():
        match = _HEADING.match(line)
        if match is not None:
            sections.append((match.group(1).lower(), []))
        elif not line.strip() and any(sections[-1][1]):
            sections.append(("", []))
        sections[-1][1].append(line[match.end() :] if match else line)
    return sections


def _salient_sentences(note: str) -> list[str]:
    """Return the sentences with the most cues, in the note's order; without any, the first ones."""
    sentences = [s for line in note.splitlines() for s in _sentences(line)]
    scored = [(sum(cue in s.lower() for cue in CUES), s) for s in sentences]
    best = sorted((score for score, _ in scored if score), reverse=True)
    least = min(best[:SENTENCES_WITHOUT_SECTIONS], default=0)
    return [s for score, s in scored if score >= least][:SENTENCES_WITHOUT_SECTIONS]


def _sentences(line: str) -> list[str]:
    bare = _BULLET.sub("", line.strip())
    return [s for s in _SENTENCE_END.split(bare) if s]
