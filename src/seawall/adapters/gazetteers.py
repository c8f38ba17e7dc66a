"""Reads the packaged lists of names and clinical words, and builds a detector over them."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Final, cast

from seawall.core.phi.clinical import TERM_KINDS, ClinicalLexicon
from seawall.core.phi.detection import Detector
from seawall.core.phi.gazetteers import Gazetteers

if TYPE_CHECKING:
    from seawall.core.phi.clinical import TermKind

_FOLDER: Final = files("seawall.adapters") / "gazetteer"


def load_detector() -> Detector:
    """Return a detector over the packaged lists; takes a fraction of a second, so keep it."""
    return Detector(load_gazetteers(), load_clinical_lexicon())


def load_gazetteers() -> Gazetteers:
    """Return the packaged lists of names, places and ordinary words."""
    return Gazetteers(
        given=_lines("given-names.txt"),
        surnames=_lines("surnames.txt"),
        cities=_lines("cities.txt"),
        hospitals=_lines("hospitals.txt"),
        ordinary=_lines("ordinary-words.txt"),
        kept=_lines("kept-names.txt"),
    )


def load_clinical_lexicon() -> ClinicalLexicon:
    """Return the packaged clinical words; a line of an unknown kind is a programmer's mistake."""
    terms = [line.split("\t") for line in _lines("clinical-terms.txt")]
    if any(len(term) != 2 or term[0] not in TERM_KINDS for term in terms):  # noqa: PLR2004  kind and term
        raise RuntimeError("a line of clinical-terms.txt is not a kind, a tab and a term")
    return ClinicalLexicon((cast("TermKind", kind), term) for kind, term in terms)


def _lines(name: str) -> list[str]:
    text = (_FOLDER / name).read_text(encoding="utf-8")
    return [line for line in text.split("\n") if line and not line.startswith("#")]
