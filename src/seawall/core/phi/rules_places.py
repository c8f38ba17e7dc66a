"""Places smaller than a state, and organisations that place a person: 164.514(b)(2)(i)(B).

States, countries, national payers, makers and studies stay, and so do names of
departments ("Cardiology Clinic") that every hospital has.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from seawall.core.phi.dates import MONTHS
from seawall.core.phi.expressions import Expression
from seawall.core.phi.identifiers import Label
from seawall.core.phi.spans import Span
from seawall.core.phi.words import GENERIC_SITE_WORDS, LEAD_INS, NO_PLACES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seawall.core.phi.clinical import ClinicalLexicon
    from seawall.core.phi.gazetteers import Gazetteers

_CERTAIN: Final = 0.95
_LIKELY: Final = 0.8
_POSSIBLE: Final = 0.6

_STATES: Final = (
    "AL|AK|AZ|AR|CA|CO|CT|DE|DC|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|"
    "NM|NY|NC|ND|OH|OK|OR|PA|PR|RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY"
)
_STATE_NAMES: Final = (
    "Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut|Delaware|Florida|Georgia|"
    "Hawaii|Idaho|Illinois|Indiana|Iowa|Kansas|Kentucky|Louisiana|Maine|Maryland|Massachusetts|"
    "Michigan|Minnesota|Mississippi|Missouri|Montana|Nebraska|Nevada|New Hampshire|New Jersey|"
    "New Mexico|New York|North Carolina|North Dakota|Ohio|Oklahoma|Oregon|Pennsylvania|"
    "Rhode Island|South Carolina|South Dakota|Tennessee|Texas|Utah|Vermont|Virginia|Washington|"
    "West Virginia|Wisconsin|Wyoming|D\\.C\\."
)
_CAPITALISED: Final = r"[A-Z][A-Za-z]*\.?(?:['-][A-Za-z]+)*"
_STREET_KINDS: Final = (
    "Street|St|Avenue|Ave|Av|Boulevard|Blvd|Road|Rd|Drive|Dr|Lane|Ln|Court|Ct|Place|Pl|Square|Sq|"
    "Terrace|Ter|Circle|Cir|Way|Parkway|Pkwy|Highway|Hwy|Trail|Trl|Row|Loop|Alley|Plaza|Crossing|"
    "Run|Path|Pike|Turnpike|Commons|Heights|Hill|Ridge|Bend|Cove|Crescent|Mews|Quay|Esplanade|"
    "Broadway|Mall|Walk|ST|AVE|RD|BLVD|LN|STREET|AVENUE|ROAD|LANE|DRIVE|COURT"
)
_UNIT: Final = (
    r"(?:[,\s]{1,3}(?i:apt|apartment|suite|ste|unit|floor|fl|bldg|building|room|rm|#)\.?\s?#?"
    r"[A-Za-z]?\d{0,5}[A-Za-z]?\b)?"
)
_STREET: Final = Expression(
    r"\b\d{1,6}[A-Za-z]?(?:-\d{1,4})?\s+(?:(?:North|South|East|West|NE|NW|SE|SW|N|S|E|W)\b\.?\s+)?"
    rf"(?:{_CAPITALISED}|\d{{1,3}}(?:st|nd|rd|th))(?:\s+{_CAPITALISED}){{0,3}}\s+"
    rf"(?:{_STREET_KINDS})\b\.?(?:\s(?:NE|NW|SE|SW|N|S|E|W)\b)?{_UNIT}"
    r"|\b\d{1,5} [a-z]+ (?:street|avenue|ave|boulevard|blvd|road|lane)\b"
)
_POST_BOX: Final = Expression(r"(?i)\bp\.?\s?o\.?\s?box\s+\d{1,6}\b")
_CITY_STATE: Final = Expression(
    rf"\b((?:{_CAPITALISED}[ \t]+){{0,2}}{_CAPITALISED}),[ \t]{{0,3}}"
    rf"(?:({_STATES})|(?:{_STATE_NAMES}))\b(?:,?[ \t]+(\d{{5}}(?:-\d{{4}})?)\b)?"
)
_REST_OF_ADDRESS: Final = Expression(
    rf"[,\s]{{1,3}}(?:{_CAPITALISED}[ \t]+){{0,2}}{_CAPITALISED},[ \t\n]{{0,3}}"
    rf"(?:{_STATES}|{_STATE_NAMES})\b(?:,?[ \t]+\d{{5}}(?:-\d{{4}})?\b)?"
)
_CITY_AFTER: Final = Expression(rf",[ \t]((?:{_CAPITALISED}[ \t]+){{0,2}}{_CAPITALISED})")
_ZIP: Final = Expression(
    rf"\b(?:{_STATES}|{_STATE_NAMES})[ \t]+(\d{{5}}(?:-\d{{4}})?)\b"
    r"|(?i:\b(?:zip|zip ?code|postal ?code|postcode)\b\"?(?:\s?(?:is|of|:|=))?\s?\"?)"
    r"(\d{5}(?:-\d{4})?)\b"
    r"|\b(\d{5}-\d{4})\b"
)
_COUNTY: Final = Expression(
    rf"\b((?:{_CAPITALISED}[ \t]+){{0,2}}{_CAPITALISED}[ \t]+(?:County|Parish|Borough|Township))\b"
)
_RESIDES: Final = Expression(
    r"(?i:\b(?:lives? in|living in|lived in|resid(?:es?|ing) (?:in|at)|resident of|"
    r"moved (?:to|from)|"
    r"relocated (?:to|from)|travell?(?:ed|s|ing) (?:to|from)|visiting from|born in|raised in|"
    r"grew up in|native of|home in|hometown(?: is| of)|returned from|flew (?:to|from)|near|"
    r"city(?: is| of|:)|town of|village of|neighborhood of|(?:home )?address(?: is|:)?)"
    rf"[ \t]+(?:the[ \t]+)?)((?:{_CAPITALISED}[ \t]+){{0,3}}{_CAPITALISED})"
)
_PREPOSITION: Final = Expression(
    r"\b(?:in|at|from|near|to|our|outside|around|downtown|via|through|In|At|From|Our)[ \t]+"
    rf"(?:the[ \t]+)?((?:{_CAPITALISED}[ \t]+){{0,2}}{_CAPITALISED})"
)
_HEAD: Final = (
    "Hospitals?|Hosp|Clinics?|HealthCenter|Med|"
    "Medical (?:Center|Centre|Ctr|Cntr|Group|Associates|Plaza|Practice|Office)|"
    "Med(?:ical)?\\.? C(?:en)?tr|Med Center|Med Cntr|Health (?:System|Systems|Center|Services|"
    "Network|Department|Partners|Care)|Health[Cc]are(?: System| Center)?|Health|"
    "(?:Cancer|Heart|Surgery|Surgical|Imaging|Dialysis|Rehabilitation|Rehab|Nursing|Care|Eye|"
    "Urology|Cardiology|Trauma|Wellness|Community|Diagnostic|Birth|Recovery|Treatment|Urgent Care|"
    "Oncology|Pediatric|Women's|Senior|Day|Learning|Child) (?:Center|Centre|Institute)|"
    "Urgent Care|Family (?:Practice|Medicine|Clinic|Health)|Pediatrics|Cardiology|Oncology|"
    "Orthopa?edics|Dermatology|Infirmary|Sanatorium|Nursing Home|Rehab(?:ilitation)?|"
    "Senior Living|Assisted Living|Hospice|Pharmacy|Drugstore|Laborator(?:y|ies)|Labs|"
    "(?:Elementary|Middle|High|Primary|Secondary|Grammar|Medical|Law|Nursing) School|"
    "School District|School|Elementary|Academy|Preschool|Daycare|University|College|Institute|"
    "Church|Temple|Synagogue|Mosque|Cathedral|Ministries|Foundation|Inc|LLC|L\\.L\\.C|LLP|PLLC|"
    "Corp|Corporation|Company|Ltd|Industries|Enterprises|Bank|Credit Union|"
    "(?:Police|Fire|Sheriff's) (?:Department|Office)|Prison|Jail|Correctional Facility|Shelter|"
    "Center|Centre|Dental|Manor|General|Memorial|Presbyterian|Methodist"
)
_ORGANIZATION: Final = Expression(
    rf"\b((?:[A-Z][A-Za-z0-9'&.-]*(?:[ \t]+(?:of|the|and|for|&|de|del|la)){{0,2}},?[ \t]+){{1,6}})"
    rf"((?:{_HEAD})\b\.?)((?:[ \t]+(?:of|at|for|in)[ \t]+(?:the[ \t]+)?[A-Z][a-z]+"
    r"(?:[ \t]+[A-Z][a-z]+){0,2})?)"
)
_LETTERHEAD: Final = Expression(
    r"(?m)^[ \t]*((?:[A-Z][A-Z'&.-]+,?[ \t]+){1,6})((?:HOSPITAL|CLINIC|MEDICAL CENT(?:ER|RE)|"
    r"HEALTH CENTER|HEALTH SYSTEM|MEDICAL GROUP|MEDICAL ASSOCIATES|SURGERY CENTER|INFIRMARY|"
    r"NURSING HOME|HOSPICE|PHARMACY|UNIVERSITY|SCHOOL|CHURCH))[ \t]*(?:$|[,;|(-])"
)
_UNIVERSITY_OF: Final = Expression(
    r"\b((?:University|College|Church|Hospital|Bank|City|Town|School District|Diocese) of "
    r"(?:the )?[A-Z][A-Za-z'-]+(?:[ \t]+[A-Z][A-Za-z'-]+){0,3})"
)
_LOWER_HEAD: Final = Expression(
    rf"\b((?:{_CAPITALISED}[ \t]+){{1,3}})(clinics?|hospital|medical center|medical centre|hosp|"
    r"med center|med ctr|medical|health center|campus|branch|pharmacy|office|facility|university|"
    r"college|high school|elementary school|school|church|er|ed|hospice)\b"
)
_SAINT: Final = Expression(r"\b((?:St\.?|Saint|Mt\.|Mount)[ \t]+[A-Z][a-z]+(?:'s|s')?)")
_SAINT_DEVICE: Final = Expression(
    r"(?i)^('s)? (?:wort|valve|medical|pacemaker|device|icd|lead|fire|dance)\b"
)
_CARE_SITE: Final = Expression(
    r"(?i:\b(?:seen|admitted|treated|evaluated|discharged|transferred|hospitali[sz]ed|presented|"
    r"checked in|follow(?:ed|ing|s)?(?:[ -]up)?|visited|referred|scheduled|appointment|assessed|"
    r"examined|diagnosed|born|delivered|surgery|care|stay|visit|workup|consult(?:ed|ation)?|dx'?d|"
    r"arrived|brought)(?: again| recently| last)? "
    rf"(?:at|from|to|in)[ \t]+(?:the[ \t]+)?)((?:{_CAPITALISED}[ \t]+){{0,3}}{_CAPITALISED})"
)
_EMPLOYER: Final = Expression(
    r"(?i:\b(?:works? (?:at|for)|working (?:at|for)|worked (?:at|for)|employed (?:by|at)|"
    r"employer(?: is|:)?|employee of|attends|student at|enrolled (?:at|in)|teaches at|"
    r"teacher at|studies at|volunteers at|retired from|job at|studying at|school:|pharmacy:|"
    r"hospital:|facility:|clinic:|organi[sz]ation:)"
    r"[ \t]+(?:the[ \t]+)?)"
    rf"((?:{_CAPITALISED}[ \t]+(?:(?:of|and|&)[ \t]+)?){{0,4}}{_CAPITALISED})"
)
# Splits what a rule matched; each letter has one way to match, so it is linear in `re` too.
_TOKEN: Final = re.compile(rb"[A-Za-z][A-Za-z'&-]*\.?")


_TITLES: Final = frozenset({"dr", "mr", "mrs", "ms", "prof", "st", "mt"})
# Also a credential, a word or a clinical abbreviation.
_AMBIGUOUS_STATES: Final = frozenset(
    map(
        str.encode,
        ("AL", "CA", "CO", "CT", "DE", "HI", "ID", "IN", "LA", "MA", "MD", "ME", "MS", "OK"),
    )
) | {b"OR", b"PA"}
_NATIONAL: Final = frozenset(
    {"american", "national", "international", "world", "european", "british", "federal", "united"}
)
_BLOCKING_KINDS: Final = frozenset(
    {"drug", "condition", "symptom", "test", "procedure", "anatomy", "specialty", "unit"}
)
_STATE_WORDS: Final = frozenset(_STATE_NAMES.lower().split("|"))
_CIVIC: Final = frozenset(
    {"general", "city", "county", "community", "memorial", "regional", "university", "state"}
)
_CARE_HEAD: Final = Expression(r"(?:Hosp|Med|Clinic|Health)")
_NOT_PLACES: Final = NO_PLACES | set(MONTHS)


class PlaceFinder:
    """Finds addresses, towns and organisations by context and by lists."""

    def __init__(self, gazetteers: Gazetteers, clinical: ClinicalLexicon) -> None:
        self._lists: Final = gazetteers
        self._clinical: Final = clinical

    def find(self, text: bytes) -> Iterator[Span]:
        """Yield places and organisations in the ASCII bytes of a shadow."""
        yield from self._find_addresses(text)
        yield from self._find_organizations(text)
        for match in _SAINT.finditer(text):
            start, end = match.span(1)
            saint = _words(text, start, end)[-1]
            if not _SAINT_DEVICE.search(text[end : end + 16]) and not self._is_clinical(saint):
                yield Span(start, end, Label.ORGANIZATION, "rule", _POSSIBLE)
        for match in _CARE_SITE.finditer(text):
            yield from self._take(text, match.span(1), Label.ORGANIZATION, _LIKELY)
        for match in _EMPLOYER.finditer(text):
            yield from self._take(text, match.span(1), Label.ORGANIZATION, _LIKELY)

    def _find_addresses(self, text: bytes) -> Iterator[Span]:
        for match in _STREET.finditer(text):
            words = _words(text, *match.span())
            if not any(self._is_clinical(word) for word in words[:-1]):
                start, end = match.span()
                rest = _REST_OF_ADDRESS.match_at(text, end)
                yield Span(start, rest.span()[1] if rest else end, Label.LOCATION, "rule", _CERTAIN)
        for match in _POST_BOX.finditer(text):
            yield Span(*match.span(), Label.LOCATION, "rule", _CERTAIN)
        yield from self._find_cities_with_state(text)
        for match in _COUNTY.finditer(text):
            start, end = match.span(1)
            start = self._after_leading_words(text, start, end)
            if len(_words(text, start, end)) > 1:
                yield Span(start, end, Label.LOCATION, "rule", _LIKELY)
        for match in _RESIDES.finditer(text):
            yield from self._take(text, match.span(1), Label.LOCATION, _LIKELY)
        for match in _PREPOSITION.finditer(text):
            yield from self._listed_city(text, *match.span(1))

    def _find_cities_with_state(self, text: bytes) -> Iterator[Span]:
        for match in _CITY_STATE.finditer(text):
            start, end = match.span(1)
            start = self._after_leading_words(text, start, end)
            zip_start, zip_end = match.span(3)
            if start < end and self._may_be_city(text, start, end, match.group(2), zip_start >= 0):
                yield Span(start, match.span()[1], Label.LOCATION, "rule", _CERTAIN)
            elif zip_start >= 0:
                yield Span(zip_start, zip_end, Label.LOCATION, "rule", _CERTAIN)
        for match in _ZIP.finditer(text):
            for group in (1, 2, 3):
                if match.span(group)[0] >= 0:
                    yield Span(*match.span(group), Label.LOCATION, "rule", _LIKELY)

    def _find_organizations(self, text: bytes) -> Iterator[Span]:
        for match in _ORGANIZATION.finditer(text):
            yield from self._organization(text, *match.span(1), match.span()[1])
        for match in _LETTERHEAD.finditer(text):
            yield from self._organization(text, *match.span(1), match.span(2)[1])
        for match in _UNIVERSITY_OF.finditer(text):
            yield Span(*match.span(1), Label.ORGANIZATION, "rule", _LIKELY)
        for match in _LOWER_HEAD.finditer(text):
            yield from self._before_lower_head(text, *match.span(1), match.span()[1])

    # -- judging words ---------------------------------------------------------------------

    def _is_clinical(self, word: str) -> bool:
        return self._clinical.kind_of(word) in _BLOCKING_KINDS

    def _is_generic(self, word: str) -> bool:
        return word in GENERIC_SITE_WORDS or self._is_clinical(word)

    def _is_no_place(self, word: str) -> bool:
        return word in _NOT_PLACES or word in self._lists.kept or self._is_generic(word)

    def _after_leading_words(self, text: bytes, start: int, end: int) -> int:
        """Return where a run of capitalised words begins once words that lead in are left out."""
        for match in _TOKEN.finditer(text[start:end]):
            word = _plain(match.group())
            if word not in LEAD_INS:
                return start + match.span()[0]
        return end

    def _may_be_city(
        self,
        text: bytes,
        start: int,
        end: int,
        state: bytes | None,
        has_zip: bool,  # noqa: FBT001
    ) -> bool:
        phrase = text[start:end].decode().lower()
        if has_zip or phrase in self._lists.cities:
            return True
        if state in _AMBIGUOUS_STATES or self._is_no_place(phrase):
            return False
        return not any(self._is_no_place(word) for word in phrase.split())

    def _take(
        self, text: bytes, span: tuple[int, int], label: Label, score: float
    ) -> Iterator[Span]:
        """Take the words after a phrase that introduces a place, up to one that is none."""
        start, stop = span
        end = start
        phrase_end = start
        informative = False
        for match in _TOKEN.finditer(text[start:stop]):
            word = _plain(match.group())
            if word in _NOT_PLACES or (
                end == start and word in self._lists.ordinary and not self._is_town(word)
            ):
                break
            if end > start and word in self._lists.ordinary and word not in GENERIC_SITE_WORDS:
                break
            informative = informative or not self._is_no_place(word)
            end = phrase_end = start + match.span()[1]
            if (match.group() or b"").endswith(b".") and word not in _TITLES:
                phrase_end = end - 1
                break
        name = text[start:phrase_end].decode().lower()
        is_acronym = phrase_end - start <= 3 and text[start:phrase_end].isupper()  # noqa: PLR2004
        if informative and not is_acronym and name not in self._lists.kept:
            yield Span(start, _without_possessive(text, phrase_end), label, "rule", score)

    def _is_town(self, word: str) -> bool:
        return word in self._lists.cities and not self._is_clinical(word)

    def _listed_city(self, text: bytes, start: int, end: int) -> Iterator[Span]:
        words = [match.span() for match in _TOKEN.finditer(text[start:end])]
        for count in range(len(words), 0, -1):
            until = start + words[count - 1][1]
            name = text[start:until].decode().rstrip(".").lower()
            named_after = self._clinical.names_disease(text, start + len(name))
            if name in self._lists.cities and not named_after and not self._is_plain(name):
                yield Span(start, start + len(name), Label.LOCATION, "gazetteer", _POSSIBLE)
                return

    def _is_plain(self, name: str) -> bool:
        return name in self._lists.ordinary or name in self._lists.kept or self._is_no_place(name)

    def _organization(self, text: bytes, start: int, end: int, stop: int) -> Iterator[Span]:
        """Trim what leads in, and keep the name if a word of it tells one site from another."""
        begin = start
        words: list[str] = []
        for match in _TOKEN.finditer(text[start:end]):
            raw = match.group() or b""
            word = _plain(raw)
            is_sentence_end = raw.endswith(b".") and len(word) > 3 and word not in _TITLES  # noqa: PLR2004
            leads_in = word in LEAD_INS or (word in self._lists.kept and word not in _STATE_WORDS)
            if is_sentence_end or (not words and leads_in):
                begin, words = start + match.span()[1], []
                continue
            words.append(word)
        while begin < stop and text[begin : begin + 1] in b" \t,":
            begin += 1
        is_named = not all(map(self._is_generic, words)) or (
            _CARE_HEAD.match_at(text, end) is not None and not _CIVIC.isdisjoint(words)
        )
        if not words or words[0] in _NATIONAL or not is_named:
            return
        phrase = text[begin:stop].decode().lower()
        if phrase not in self._lists.kept and begin < stop:
            end = stop - 1 if text[stop - 1 : stop] == b"." else stop
            yield Span(begin, end, Label.ORGANIZATION, "rule", _LIKELY)
            city = _CITY_AFTER.match_at(text, end)
            if city is not None:
                yield from self._listed_city(text, *city.span(1))

    def _before_lower_head(self, text: bytes, start: int, end: int, stop: int) -> Iterator[Span]:
        tokens = [
            (start + m.span()[0], _plain(m.group())) for m in _TOKEN.finditer(text[start:end])
        ]
        for index, (begin, _) in enumerate(tokens):
            rest = [word for _, word in tokens[index:]]
            phrase = " ".join(rest)
            if phrase in self._lists.cities:
                yield Span(begin, stop, Label.ORGANIZATION, "rule", _LIKELY)
                return
            if not any(self._is_no_place(word) or word in self._lists.ordinary for word in rest):
                yield Span(begin, stop, Label.ORGANIZATION, "rule", _LIKELY)
                return


def _plain(raw: bytes | None) -> str:
    return (raw or b"").decode().rstrip(".").lower().removesuffix("'s")


def _words(text: bytes, start: int, end: int) -> list[str]:
    return [_plain(match.group()) for match in _TOKEN.finditer(text[start:end])]


def _without_possessive(text: bytes, end: int) -> int:
    return end - 2 if text[end - 2 : end] == b"'s" else end
