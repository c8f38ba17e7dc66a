"""Names of people in running text: 164.514(b)(2)(i)(A).

A title, a credential, a word of kinship or a greeting says that a name follows;
without one, a given name must be followed by a surname or an initial. Titles,
credentials and words of kinship are no part of the span.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from seawall.core.phi.dates import MONTHS
from seawall.core.phi.expressions import Expression
from seawall.core.phi.identifiers import Label
from seawall.core.phi.spans import Span, is_inside
from seawall.core.phi.words import NAME_STOPS, SENTENCE_WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from seawall.core.phi.clinical import ClinicalLexicon
    from seawall.core.phi.gazetteers import Gazetteers
    from seawall.core.phi.shadow import Shadow

    NameTest = Callable[[list[str]], bool]

_CERTAIN: Final = 0.95
_LIKELY: Final = 0.8
_POSSIBLE: Final = 0.6

_WORD: Final = r"[A-Z][A-Za-z]*(?:['-][A-Za-z]+)*\.?"
_PARTICLE: Final = (
    r"(?:(?:de|la|del|van|von|der|den|bin|ibn|al|da|dos|di|le|el|ter|st\.)[ \t]+){0,2}"
)
_SEQUENCE: Final = rf"((?:{_WORD})(?:(?:[ \t]{{1,3}}|[ \t]*\n[ \t]*){_PARTICLE}(?:{_WORD})){{0,4}})"
_LINE: Final = rf"((?:{_WORD})(?:[ \t]{{1,3}}{_PARTICLE}(?:{_WORD})){{0,4}})"
_ANY_CASE: Final = r"([A-Za-z]+(?:['-][A-Za-z]+)*\.?(?:[ \t]+[A-Za-z]+(?:['-][A-Za-z]+)*\.?){0,2})"

_TITLE: Final = Expression(
    r"\b(?:Drs?\b\.?|Mr\b\.?|Mrs\b\.?|Ms\b\.?|Mx\b\.?|Prof\b\.?|DR\.|MR\.|MRS\b\.?|MS\.|PROF\b\.?|"
    rf"Sra?\.|Rev\b\.|Fr\.|Hon\.|Lt\.|Sgt\.|Capt\.|Col\.)[ \t\n]{{0,3}}{_SEQUENCE}"
)
_WEAK_TITLE: Final = Expression(
    r"\b(?:[Dd]octor|Miss|[Pp]rofessor|[Nn]urse(?: [Pp]ractitioner)?|Sister|Father|Pastor|Reverend|"
    rf"Judge|Officer|Sergeant|Captain|Attorney|Rabbi|Imam|Coach|Therapist)[ \t]+{_LINE}"
)
_LOWER_TITLE: Final = Expression(
    r"\b(?:dr|mr|mrs|ms|Dr|Mr|Mrs|Ms)\b\.?[ \t]+([a-z]{3,}(?:['-][a-z]+)*)(?:[ \t]+([a-z]+))?"
)
_FIELD: Final = Expression(
    r"(?i:\b(?:(?:patient|pt|full|first|last|given|family|middle|maiden|legal|preferred|former|"
    r"member|subscriber|guarantor|insured|spouse|mother|father|parent|child|caregiver|provider|"
    r"doctor|physician|contact|nick|user|customer|client|guardian)(?:'?s)?[ _]?)?names?\b"
    r"\"?[ \t]*(?:\bis\b|:|=)[ \t]*\"?)"
    rf"{_ANY_CASE}"
)
_LABELLED: Final = Expression(
    r"(?i:\b(?:patient|pt|client|re|attn|attention|provider|physician|attending|pcp|surgeon|"
    r"resident|nurse|therapist|consultant|referring(?: provider| physician)?|dictated by|"
    r"reviewed by|author|emergency contact|guardian|next of kin|nok|caregiver|spouse|cc|from|to|"
    r"name|who|contact|poa|proxy|witness|interpreter|employer contact|subject|member)[ \t]*:[ \t]*)"
    rf"{_LINE}"
)
_CUE: Final = Expression(
    r"(?i:\b(?:named|called|by|signed|dear|hi|hello|hey|i am|i'm|this is|my name is|"
    r"spoke (?:with|to)|talked (?:with|to)|met with|per|regards,?|sincerely,?|thanks,?|"
    r"thank you,?|cheers,?|best,?|for|patient|pt|client|about|with|from|told|ask(?:ed)?|contact|"
    r"call|tell|remind|help|see|saw|like|daughter|son|and|to|male,|female,|man,|woman,)"
    rf"[ \t\n]+){_LINE}"
)
_STRONG_CUES: Final = Expression(
    r"(?i)\b(?:named|by|signed|dear|hi|hello|hey|i am|i'm|this is|my name is|spoke (?:with|to)|"
    r"talked (?:with|to)|met with|regards,?|sincerely,?|patient|pt|client|male,|female,|man,|"
    r"woman,|contact|call|tell|remind|told|asked)[ \t\n]+$"
)
_KIN: Final = Expression(
    r"(?i:\b(?:wife|husband|spouse|partner|son|daughter|mother|father|mom|mum|dad|brother|sister|"
    r"aunt|uncle|cousin|niece|nephew|grandmother|grandfather|grandma|grandpa|grandson|"
    r"granddaughter|fianc[e?]e?|girlfriend|boyfriend|stepmother|stepfather|stepson|stepdaughter|"
    r"roommate|friend|neighbor|caregiver|guardian|twin|parents?|children|kids|boss|teacher|"
    r"daughter-in-law|son-in-law|mother-in-law|father-in-law|sister-in-law|brother-in-law)"
    r"(?:'s name is| is named| is called| named| called| is|,)?[ \t(,:]+)"
    rf"{_LINE}"
)
_CREDENTIAL: Final = Expression(
    rf"\b{_LINE},?[ \t]+(?:M\.?D\.?|D\.?O\.?|R\.?N\.?|B\.?S\.?N\.?|N\.?P\.?|A\.?P\.?R\.?N\.?|PA-C|"
    r"P\.?A\.?|Ph\.?D\.?|Pharm\.?D\.?|D\.?D\.?S\.?|D\.?P\.?M\.?|LCSW|LPN|CRNA|CNM|DNP|FNP|FNP-BC|"
    r"MBBS|FACS|FACP|Psy\.?D\.?|Esq\.?|Jr\.?|Sr\.?)(?:[^A-Za-z]|$)"
)
_LAST_FIRST: Final = Expression(
    r"\b([A-Z][A-Za-z]+(?:['-][A-Za-z]+)*),[ \t]?([A-Z][A-Za-z]+(?:-[A-Za-z]+)?)"
    r"((?:[ \t]{1,2}[A-Z]\b\.?)?)"
)
_RUNNING: Final = Expression(rf"\b((?:{_WORD})(?:[ \t]{{1,3}}{_PARTICLE}(?:{_WORD})){{1,4}})")
_SUBJECT: Final = Expression(
    r"\b([A-Z][a-z]+(?:-[A-Z][a-z]+)?)(?:'s\b|,? (?:is an?|was (?:seen|admitted|discharged|born|"
    r"diagnosed|started|given|referred|told|evaluated)|has (?:a|an|been|had|no)|had|reports?|"
    r"reported|presents?|presented|denies|denied|states?|stated|complains|takes|took|underwent|"
    r"lives|works|called|says|said|wants|needs|came|comes|feels|felt|asked|asks|will be|"
    r"is (?:here|now|currently|taking|doing|not|on|scheduled|due|allergic|\d))\b"
    r"|, (?:a|an|age|aged|who) )"
)
# Splits what a rule matched; each letter has one way to match, so it is linear in `re` too.
_TOKEN: Final = re.compile(rb"[A-Za-z]+(?:['-][A-Za-z]+)*\.?")

_STOP: Final = NAME_STOPS | {*MONTHS, *(month[:3] for month in MONTHS if month != "may")}
_PARTICLES: Final = frozenset(
    {"de", "la", "del", "van", "von", "der", "den", "bin", "ibn", "al", "da", "dos", "di", "le"}
)
_BLOCKING_KINDS: Final = frozenset(
    {"drug", "condition", "symptom", "test", "procedure", "anatomy", "specialty", "unit"}
)


class NameFinder:
    """Finds names by context and by lists; takes no ordinary or clinical word without context."""

    def __init__(self, gazetteers: Gazetteers, clinical: ClinicalLexicon) -> None:
        self._lists: Final = gazetteers
        self._clinical: Final = clinical

    def find(self, shadow: Shadow) -> Iterator[Span]:
        """Yield names in offsets of the shadow; spans of different rules may overlap.

        A disease, sign or device that is named after somebody stays.
        """
        spans = list(self._find(shadow.ascii))
        phrases = self._clinical.find_phrases(shadow) if spans else []
        for span in spans:
            named_after = span.score < _CERTAIN and self._clinical.names_disease(
                shadow.ascii, span.end
            )
            if not named_after and not is_inside(phrases, span.start, span.end):
                yield span

    def _find(self, text: bytes) -> Iterator[Span]:
        for match in _TITLE.finditer(text):
            yield from self._take(text, match.span(1), _CERTAIN, self._is_titled)
        for match in _WEAK_TITLE.finditer(text):
            yield from self._take(text, match.span(1), _LIKELY, self._is_cued)
        for match in _LABELLED.finditer(text):
            yield from self._take(text, match.span(1), _CERTAIN, self._is_cued)
        for match in _FIELD.finditer(text):
            yield from self._take(text, match.span(1), _CERTAIN, self._is_listed)
        for match in _KIN.finditer(text):
            yield from self._take(text, match.span(1), _LIKELY, self._is_cued)
        for match in _CUE.finditer(text):
            start = match.span(1)[0]
            strong = _STRONG_CUES.search(text[match.span()[0] : start]) is not None
            test = self._is_listed if strong else self._is_given
            yield from self._take(text, match.span(1), _LIKELY, test)
        yield from self._find_without_cue(text)

    def _find_without_cue(self, text: bytes) -> Iterator[Span]:
        for match in _RUNNING.finditer(text):
            yield from self._find_in_run(text, *match.span(1))
        for match in _CREDENTIAL.finditer(text):
            yield from self._before_credential(text, *match.span(1))
        for match in _LAST_FIRST.finditer(text):
            last, first = (_word(text, *match.span(group)) for group in (1, 2))
            if self._is_family(last) and self._is_first(first):
                yield Span(*match.span(), Label.NAME, "rule", _LIKELY)
        for match in _SUBJECT.finditer(text):
            if self._is_first(_word(text, *match.span(1))):
                yield Span(*match.span(1), Label.NAME, "rule", _POSSIBLE)
        for match in _LOWER_TITLE.finditer(text):
            yield from self._after_lower_title(text, match.span(1), match.span(2))

    # -- what a word may be ----------------------------------------------------------------

    def is_blocked(self, word: str) -> bool:
        """Say whether a word in lower case is no name unless something says so."""
        return (
            word in _STOP
            or word in self._lists.ordinary
            or word in self._lists.kept
            or self.is_clinical(word)
        )

    def is_clinical(self, word: str) -> bool:
        """Say whether a word in lower case is a clinical one that no list may take."""
        return self._clinical.kind_of(word) in _BLOCKING_KINDS

    def _is_first(self, word: str) -> bool:
        return word in self._lists.given and not self.is_blocked(word)

    def _is_family(self, word: str) -> bool:
        parts = word.split("-")
        return not self.is_blocked(word) and all(
            part.replace("'", "") in self._lists.surnames for part in parts
        )

    def _is_titled(self, words: list[str]) -> bool:
        word = words[0]
        if len(word) == 1:
            return len(words) > 1 and len(words[-1]) > 1
        if word in _STOP:
            return False
        known = word in self._lists.surnames or word in self._lists.given
        return known or not self.is_blocked(word)

    def _is_cued(self, words: list[str]) -> bool:
        return len(words[0]) > 1 and (
            not self.is_blocked(words[0]) or self._is_given_and_family(words)
        )

    def _is_listed(self, words: list[str]) -> bool:
        return self._is_given(words) or (
            not self.is_blocked(words[0]) and words[0] in self._lists.surnames
        )

    def _is_given(self, words: list[str]) -> bool:
        return self._is_first(words[0]) or self._is_given_and_family(words)

    def _is_given_and_family(self, words: list[str]) -> bool:
        """Say whether a given name, maybe an ordinary word too, precedes a certain surname."""
        return (
            len(words) > 1
            and words[0] in self._lists.given
            and words[0] not in _STOP
            and self._is_family(words[-1])
        )

    # -- where a name ends -----------------------------------------------------------------

    def _take(
        self, text: bytes, span: tuple[int, int], score: float, test: NameTest
    ) -> Iterator[Span]:
        start, end, words = self._extent(text, *span)
        is_acronym = len(words) == 1 and end - start <= 3 and text[start:end].isupper()  # noqa: PLR2004
        if words and not (is_acronym and score < _CERTAIN) and test(words):
            yield Span(start, end, Label.NAME, "rule", score)

    def _extent(self, text: bytes, start: int, end: int) -> tuple[int, int, list[str]]:
        """Return how far a name reaches: up to a word that cannot belong to it."""
        words: list[str] = []
        last = start
        for match in _TOKEN.finditer(text[start:end]):
            at, until = (start + offset for offset in match.span())
            raw = text[at:until].decode()
            word = raw.rstrip(".").lower()
            stem = word.removesuffix("'s")
            if words and not self._may_continue(words, stem, raw):
                break
            words.append(stem)
            is_initial = len(stem) == 1
            last = at + len(stem) + (1 if is_initial and raw.endswith(".") else 0)
            if stem != word or (raw.endswith(".") and not is_initial):
                break
        return start, last, words

    def _may_continue(self, words: list[str], word: str, raw: str) -> bool:
        if len(word) == 1:
            return raw.isupper() and (raw.endswith(".") or word not in "aivx")
        if word in _PARTICLES:
            return True
        if word in _STOP:
            return False
        if word in self._lists.kept or self.is_clinical(word):
            return False
        if word in self._lists.ordinary:
            # "Emily Brown": an ordinary word is a surname only right after a given name.
            return (
                word in self._lists.surnames
                and words[-1] in self._lists.given
                and not raw.isupper()
                and raw[0].isupper()
                and word not in SENTENCE_WORDS
            )
        return True

    # -- rules that look at lists ----------------------------------------------------------

    def _find_in_run(self, text: bytes, start: int, end: int) -> Iterator[Span]:
        """Find "Given Surname" or "Given S." anywhere in a run of capitalised words."""
        tokens = [
            (start + match.span()[0], start + match.span()[1])
            for match in _TOKEN.finditer(text[start:end])
        ]
        skip_to = start
        for at, until in tokens[:-1]:
            if (
                at < skip_to
                or text[until - 1 : until] == b"."
                or not self._may_begin(text, at, until)
            ):
                continue
            _, last, words = self._extent(text, at, end)
            is_mid_sentence = text[at - 2 : at - 1].isalpha() and text[at - 2 : at - 1].islower()
            is_mid_sentence = is_mid_sentence or text[at - 2 : at - 1] == b","
            if len(words) > 1 and self._is_running_name(words, may_be_ordinary=is_mid_sentence):
                yield Span(at, last, Label.NAME, "rule", _LIKELY)
                skip_to = last

    def _may_begin(self, text: bytes, at: int, until: int) -> bool:
        word = _word(text, at, until)
        return any(part in self._lists.given for part in (word, word.split("-")[0])) and (
            word not in _STOP
        )

    def _is_running_name(self, words: list[str], *, may_be_ordinary: bool) -> bool:
        first, last = words[0], words[-1]
        if len(last) == 1:
            is_listed = first in self._lists.ordinary and first not in SENTENCE_WORDS
            return not self.is_blocked(first) or (
                may_be_ordinary and is_listed and not self.is_clinical(first)
            )
        surname = last in self._lists.surnames or last.split("-")[0] in self._lists.surnames
        if self.is_blocked(first):
            return surname and not self.is_blocked(last)
        return surname or last in self._lists.given

    def _before_credential(self, text: bytes, start: int, end: int) -> Iterator[Span]:
        tokens = [match.span() for match in _TOKEN.finditer(text[start:end])]
        first = len(tokens)
        while first > 0:
            word = _word(text, start + tokens[first - 1][0], start + tokens[first - 1][1])
            if self.is_blocked(word) or len(tokens) - first == 3:  # noqa: PLR2004  given, middle, family
                break
            first -= 1
        words = [_word(text, start + at, start + until) for at, until in tokens[first:]]
        if any(word in self._lists.surnames or word in self._lists.given for word in words):
            yield Span(start + tokens[first][0], end, Label.NAME, "rule", _LIKELY)

    def _after_lower_title(
        self, text: bytes, first: tuple[int, int], second: tuple[int, int]
    ) -> Iterator[Span]:
        word = _word(text, *first)
        if not (word in self._lists.surnames and not self.is_blocked(word)):
            return
        start, end = first
        if second[0] >= 0 and word in self._lists.given and self._is_family(_word(text, *second)):
            end = second[1]
        yield Span(
            start, start + len(word) if end == first[1] else end, Label.NAME, "rule", _LIKELY
        )


def _word(text: bytes, start: int, end: int) -> str:
    """Return a word in lower case, without a possessive ending or a full stop."""
    return text[start:end].decode().rstrip(".").lower().removesuffix("'s")
