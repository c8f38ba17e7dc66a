"""The eighteen Safe Harbor identifiers, and the labels under which we find them.

45 CFR 164.514(b)(2)(i)(A)-(R) names eighteen kinds of identifier "of the
individual or of relatives, employers, or household members". A detector works
with fewer, broader labels, because a text seldom tells whether a number is an
account or a licence; each label says which paragraphs it stands for.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Label(StrEnum):
    """One class of identifier, as documents, entries and placeholders name it."""

    NAME = "NAME"
    LOCATION = "LOCATION"
    ORGANIZATION = "ORGANIZATION"
    DATE = "DATE"
    AGE = "AGE"
    PHONE = "PHONE"
    FAX = "FAX"
    EMAIL = "EMAIL"
    SSN = "SSN"
    ID = "ID"
    URL = "URL"
    IP = "IP"
    USERNAME = "USERNAME"
    BIOMETRIC = "BIOMETRIC"
    PHOTO = "PHOTO"
    OTHER = "OTHER"


PARAGRAPHS: Final[dict[Label, tuple[str, ...]]] = {
    Label.NAME: ("45 CFR 164.514(b)(2)(i)(A)",),
    Label.LOCATION: ("45 CFR 164.514(b)(2)(i)(B)",),
    # A care site, employer or school places the person as an address does.
    Label.ORGANIZATION: ("45 CFR 164.514(b)(2)(i)(B)", "45 CFR 164.514(b)(2)(i)(R)"),
    Label.DATE: ("45 CFR 164.514(b)(2)(i)(C)",),
    Label.AGE: ("45 CFR 164.514(b)(2)(i)(C)",),
    Label.PHONE: ("45 CFR 164.514(b)(2)(i)(D)",),
    Label.FAX: ("45 CFR 164.514(b)(2)(i)(E)",),
    Label.EMAIL: ("45 CFR 164.514(b)(2)(i)(F)",),
    Label.SSN: ("45 CFR 164.514(b)(2)(i)(G)",),
    Label.ID: (
        "45 CFR 164.514(b)(2)(i)(H)",
        "45 CFR 164.514(b)(2)(i)(I)",
        "45 CFR 164.514(b)(2)(i)(J)",
        "45 CFR 164.514(b)(2)(i)(K)",
        "45 CFR 164.514(b)(2)(i)(L)",
        "45 CFR 164.514(b)(2)(i)(M)",
    ),
    Label.URL: ("45 CFR 164.514(b)(2)(i)(N)",),
    Label.IP: ("45 CFR 164.514(b)(2)(i)(O)",),
    Label.USERNAME: ("45 CFR 164.514(b)(2)(i)(R)",),
    Label.BIOMETRIC: ("45 CFR 164.514(b)(2)(i)(P)",),
    Label.PHOTO: ("45 CFR 164.514(b)(2)(i)(Q)",),
    Label.OTHER: ("45 CFR 164.514(b)(2)(i)(R)",),
}
"""Where the rule names what each label finds; together they are (A) to (R)."""
