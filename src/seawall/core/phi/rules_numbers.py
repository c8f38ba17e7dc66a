"""What numbers, codes and addresses on a network look like: 164.514(b)(2)(i)(C)-(O).

Each finder reads the ASCII bytes of a shadow and yields spans in its offsets.
Medical codes after the name of their system stay, and so do emergency numbers.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from seawall.core.phi.dates import UNIT_FOLLOWS, is_isolated
from seawall.core.phi.expressions import Expression
from seawall.core.phi.identifiers import Label
from seawall.core.phi.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

_CERTAIN: Final = 0.95
_LIKELY: Final = 0.8
_POSSIBLE: Final = 0.6

EMERGENCY_NUMBERS: Final = frozenset(
    {"911", "988", "8002221222", "8002738255"}  # Poison Control, the former lifeline
)

_AGE: Final = Expression(
    r"(?i)\b(9\d|1[0-3]\d)(?:[\s-]*(?:years?|yrs?|yr)[\s-]*(?:olds?|of age)\b|"
    r"[\s-]?y[\s./]{0,2}o\b|"
    r"\s?[mf]\s(?:with|who|w/|presents?|presenting|c/o|s/p|here|pt|patient|admitted|hx)|"
    r"[\s-](?:year\s)?(?:male|female|man|woman|gentleman|lady)\b)"
    r"|\b(?:age[ds]?|turn(?:ed|ing|s)|aged?:|age of|age is)[\s:]{1,3}(9\d|1[0-3]\d)\b"
    r"|\b(9\d|1[0-3]\d)(?:st|nd|rd|th)\sbirthday\b"
    r"|\bin (?:his|her|their) (?:early |mid[- ]?|late )?((?:90|100)'?s|nineties)\b"
    r"|\b(nonagenarian|(?:super)?centenarian)\b"
    r"|\bborn (?:in )?((?:18\d\d|19[0-3]\d))\b"
)
_AGE_WORDS: Final = Expression(
    r"(?i)\b(ninety(?:[\s-](?:one|two|three|four|five|six|seven|eight|nine))?|"
    r"(?:one|a) hundred(?:[\s-](?:and[\s-])?(?:one|two|three|four|five|six|seven|eight|nine|ten))?)"
    r"[\s-](?:years?|yrs?)[\s-](?:old|of[\s-]age)\b"
)
_PHONE: Final = Expression(
    r"(?:\+?1[-. ]{0,2})?(?:\(\d{3}\)[-. ]{0,2}|\b\d{3}[-. ]{1,2}|\b\d{3}/)\d{3}[-. ]{1,2}\d{4}\b"
    r"(?:,?\s{0,2}(?:x|ext\.?|extension|#)\s{0,2}\d{1,6}\b)?"
    r"|\+[2-9]\d{0,2}[-. ()]{0,2}\d(?:[-. ()]{0,2}\d){6,12}\b"
)
_PHONE_IN_CONTEXT: Final = Expression(
    r"(?i)\b(?:phone|telephone|tel|cell|mobile|call|contact|text|pager|fax|ph|landline|voicemail|"
    r"reach(?:ed)?)\b(?:[^\d\n+]{0,24})?"
    r"(\+?\(?\d[\d().+ -]{5,16}\d(?:\s{0,2}(?:x|ext\.?|extension)\s{0,2}\d{1,6})?)\b"
)
_LOCAL_PHONE: Final = Expression(r"\b[2-9]\d{2}[-.]\d{4}\b(?:\s{0,2}(?:x|ext\.?)\s{0,2}\d{1,6}\b)?")
_FAX_BEFORE: Final = Expression(r"(?i)\b(?:fax|facsimile|f)\b[^\d\n]{0,16}$")
_EMAIL: Final = Expression(
    r"(?i)[a-z0-9_%+'-][a-z0-9._%+'-]*\s?(?:@|\[at\]|\(at\))\s?"
    r"[a-z0-9-]+(?:(?:\.|\s?\[dot\]\s?|\(dot\))[a-z0-9-]+)+"
)
_SSN: Final = Expression(
    r"(?i)\b\d{3}([- .])\d{2}[- .]\d{4}\b|(?:\b[x]{3}|[*#]{3})[- ]?(?:[x]{2}|[*#]{2})[- ]?\d{4}\b"
)
_SSN_IN_CONTEXT: Final = Expression(
    r"(?i)\b(?:ssn|ss#|social security(?: number| no\.?| #)?|social)\b"
    r"(?:[^\d\n]{0,30}?)(\d{3}[- .]?\d{2}[- .]?\d{4}|\d{4})\b"
)
_SSN_LAST_FOUR: Final = Expression(
    r"(?i)\blast (?:four|4)(?: digits)?(?: of| are|:| is| the| his| her| my| social| ssn){0,5}:? "
    r"(\d{4})\b"
)
_URL: Final = Expression(
    r"(?i)\b(?:https?|ftps?|sftp|wss?)://[^\s<>\"'`\])}]+|\bwww\.[a-z0-9-]+\.[^\s<>\"'`\])}]+"
    r"|\b(?:[a-z0-9-]+\.)+(?:com|org|net|edu|io|health|care|me|app)(?:/[^\s<>\"'`\])}]*)?\b"
)
_PUBLIC_HOSTS: Final = Expression(
    r"(?i)^(?:[a-z]+://)?(?:[a-z0-9-]+\.)*(?:hl7\.org|loinc\.org|snomed\.info|unitsofmeasure\.org|"
    r"ihe\.net|cdc\.gov|nih\.gov|fda\.gov|cms\.gov|hhs\.gov|who\.int|ama-assn\.org|dicom\.nema\.org|"
    r"w3\.org)(?:[/:?#]|$)"
)
_IPV4: Final = Expression(r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b")
_IPV6: Final = Expression(r"(?i)(?:\b[0-9a-f]{1,4})?(?::{1,2}[0-9a-f]{1,4}){2,7}\b")
_VERSION_BEFORE: Final = Expression(r"(?i)\b(?:v|ver|version|release|build|firmware|section)\.? ?$")
_HANDLE: Final = Expression(r"(?:^|[\s(,:\"])(@[A-Za-z][A-Za-z0-9_.]*[A-Za-z0-9_])")
_USERNAME: Final = Expression(
    r"(?i)\b(?:user ?name|user ?id|login|log-in|screen name|handle|skype|instagram|twitter|"
    r"telegram|venmo)\b\s?(?:id|name)?\s?(is\s|:|=)?\s?\"?(@?[a-z][a-z0-9_.-]{2,}[a-z0-9])"
)
_NOT_DIGITS: Final = bytes(set(range(256)) - set(b"0123456789"))


def _digits(text: bytes) -> str:
    digits = text.translate(None, _NOT_DIGITS).decode()
    return digits[1:] if len(digits) == 11 and digits[0] == "1" else digits  # noqa: PLR2004


def find_ages(text: bytes) -> Iterator[Span]:
    """Yield ages over 89; the number only, so that "-year-old" stays."""
    for match in _AGE.finditer(text):
        for group in range(1, 7):
            start, end = match.span(group)
            if start >= 0:
                yield Span(start, end, Label.AGE, "rule", _CERTAIN)
    for match in _AGE_WORDS.finditer(text):
        yield Span(*match.span(1), Label.AGE, "rule", _CERTAIN)


def find_phones(text: bytes) -> Iterator[Span]:
    """Yield telephone and fax numbers, but 911, 988 and Poison Control."""
    for match in _PHONE.finditer(text):
        yield from _phone(text, *match.span(), _CERTAIN)
    for match in _PHONE_IN_CONTEXT.finditer(text):
        start, end = match.span(1)
        if 7 <= len(_digits(text[start:end])) <= 15 and is_isolated(text, start, end):  # noqa: PLR2004
            yield from _phone(text, start, end, _LIKELY, is_named=True)
    for match in _LOCAL_PHONE.finditer(text):
        yield from _phone(text, *match.span(), _POSSIBLE)


def _phone(
    text: bytes, start: int, end: int, score: float, *, is_named: bool = False
) -> Iterator[Span]:
    digits = _digits(text[start:end])
    if digits in EMERGENCY_NUMBERS or not is_isolated(text, start, end):
        return
    # No quantity has ten digits, but a dose may follow "call": 2400000 units.
    is_certain = is_named and len(digits) >= 10  # noqa: PLR2004
    if not is_certain and UNIT_FOLLOWS.match_at(text, end):
        return
    is_fax = _FAX_BEFORE.search(text[max(0, start - 24) : start]) is not None
    yield Span(start, end, Label.FAX if is_fax else Label.PHONE, "rule", score)


def find_ssns(text: bytes) -> Iterator[Span]:
    """Yield Social Security numbers: whole, masked, or the last four after their name."""
    for match in _SSN.finditer(text):
        if is_isolated(text, *match.span()):
            yield Span(*match.span(), Label.SSN, "rule", _CERTAIN)
    for expression in (_SSN_IN_CONTEXT, _SSN_LAST_FOUR):
        for match in expression.finditer(text):
            if is_isolated(text, *match.span(1)):
                yield Span(*match.span(1), Label.SSN, "rule", _LIKELY)


def find_network(text: bytes) -> Iterator[Span]:
    """Yield e-mail, web and IP addresses; addresses of public code systems stay."""
    if b"@" in text or b"(at)" in text or b"[at]" in text:
        for match in _EMAIL.finditer(text):
            yield Span(*match.span(), Label.EMAIL, "rule", _CERTAIN)
    for match in _URL.finditer(text):
        start, end = match.span()
        end = start + len(text[start:end].rstrip(b".,;:!?"))
        if text[start - 1 : start] != b"@" and not _PUBLIC_HOSTS.search(text[start:end]):
            yield Span(start, end, Label.URL, "rule", _LIKELY)
    for match in _IPV4.finditer(text):
        start, end = match.span()
        if _VERSION_BEFORE.search(text[max(0, start - 12) : start]) is None:
            yield from _ip(text, start, end)
    if b":" in text:
        for match in _IPV6.finditer(text):
            yield from _ip(text, *match.span())


def _ip(text: bytes, start: int, end: int) -> Iterator[Span]:
    try:
        ipaddress.ip_address(text[start:end].decode())
    except ValueError:
        return
    if is_isolated(text, start, end):
        yield Span(start, end, Label.IP, "rule", _LIKELY)


def find_usernames(text: bytes, ordinary: frozenset[str]) -> Iterator[Span]:
    """Yield handles and names of accounts; "@bedtime" is no handle."""
    if b"@" in text:
        for match in _HANDLE.finditer(text):
            start, end = match.span(1)
            if text[start + 1 : end].decode().lower() not in ordinary:
                yield Span(start, end, Label.USERNAME, "rule", _LIKELY)
    for match in _USERNAME.finditer(text):
        start, end = match.span(2)
        name = text[start:end].decode()
        if name.lower() not in ordinary and (match.span(1)[0] >= 0 or not name.isalpha()):
            yield Span(start, end, Label.USERNAME, "rule", _LIKELY)
