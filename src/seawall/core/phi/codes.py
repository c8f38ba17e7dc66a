"""Codes of medical terminologies, told from other numbers by their form.

The name of a system before a number is no proof: only what the system can hold
is a code of it. LOINC's check digit is modulo 10 (LOINC Users' Guide, appendix
C), SNOMED CT's is Verhoeff's (SNOMED CT Release File Specifications, 5.4).
"""

from __future__ import annotations

from typing import Final

from seawall.core.phi.expressions import Expression

_SYSTEM: Final = Expression(
    r"(?i)\b(icd|cpt|hcpcs|loinc|ndc|snomed|sct|rxnorm|rxcui|cvx|atc|ms-drg|drg|pmid|doi|nct|isbn|"
    r"umls|cui|dsm)(?:[- ]?(?:9|10|11|ct|cm|pcs|iv|v|5)){0,3}\b(?: ?codes?)?[\s:#=()\"-]{0,5}$"
)
_BEFORE: Final = 28
_FORMS: Final[dict[str, Expression]] = {
    system: Expression(rf"(?i)^(?:{form})$")
    for system, form in {
        "icd": r"[a-z]\d[0-9a-z](?:\.?[0-9a-z]{1,4})?|\d{3}(?:\.\d{1,2})?|[0-9a-z]{7}",
        "cpt": r"(?:\d{5}|\d{4}[a-z])(?:-\d{2})?",
        "hcpcs": r"(?:\d{5}|[a-z]\d{4})(?:-[0-9a-z]{2})?",
        "loinc": r"\d{1,7}-\d",
        "ndc": r"\d{4}-\d{4}-\d{2}|\d{5}-\d{3}-\d{2}|\d{5}-\d{4}-\d{1,2}|\d{11}",
        "snomed": r"\d{6,18}",
        "sct": r"\d{6,18}",
        "rxnorm": r"\d{1,7}",
        "rxcui": r"\d{1,7}",
        "cvx": r"\d{1,3}",
        "atc": r"[a-z]\d{2}(?:[a-z]{1,2}(?:\d{2})?)?",
        "ms-drg": r"\d{3}",
        "drg": r"\d{3}",
        "pmid": r"\d{1,8}",
        "doi": r"10\.\d{4,9}.*",
        "nct": r"\d{8}",
        "isbn": r"(?:97[89]-?)?\d[\d-]{7,11}[\dx]",
        "umls": r"c\d{7}",
        "cui": r"c\d{7}",
        "dsm": r"\d{3}(?:\.\d{1,2})?|\d",
    }.items()
}
_TIMES: Final = tuple(
    tuple(int(digit) for digit in row)
    for row in (
        "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
        "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
    )
)  # fmt: skip
"""Multiplication in the dihedral group of order ten."""
_TURN: Final = tuple(int(digit) for digit in "1576283094")


def is_code_of_system_before(text: bytes, start: int, end: int) -> bool:
    """Say whether `text[start:end]` is a code, of the system that is named right before it."""
    match = _SYSTEM.search(text[max(0, start - _BEFORE) : start])
    if match is None:
        return False
    system = (match.group(1) or b"").decode().lower()
    value = text[start:end]
    if _FORMS[system].match_at(value, 0) is None:
        return False
    if system == "loinc":
        return _has_loinc_check(value.decode())
    return system not in ("snomed", "sct") or _has_verhoeff_check(value.decode())


def _has_loinc_check(code: str) -> bool:
    """Say whether the digit after the dash is that of the number before it."""
    number, check = code.split("-")
    doubled = [int(digit) * (2 - at % 2) for at, digit in enumerate(reversed(number))]
    total = sum(digit - 9 if digit > 9 else digit for digit in doubled)  # noqa: PLR2004
    return (10 - total % 10) % 10 == int(check)


def _has_verhoeff_check(number: str) -> bool:
    """Say whether the last digit is the check digit of those before it."""
    check = 0
    for at, digit in enumerate(reversed(number)):
        turned = int(digit)
        for _ in range(at % 8):
            turned = _TURN[turned]
        check = _TIMES[check][turned]
    return check == 0
