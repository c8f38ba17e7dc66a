"""What a tenant forbids besides: Cedar policies that can only narrow who may do what.

A tenant's policies forbid and never permit, so that none of them can give anybody more
than the shipped ones do. 45 CFR 164.308(a)(4)(ii)(B)-(C) (addressable).
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, StrictBool, StringConstraints

from seawall.core.access.cedar import MOST_BYTES, misfits, parse_bounded
from seawall.core.access.schema import schema_text
from seawall.core.errors import Invalid, Refused
from seawall.core.registers.spec import Spec, Words

_ID: Final = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")


def _forbidding(text: str) -> str:
    """Return a text of policies that forbid; `ValueError` or `Refused` for any other.

    The text is read by Cedar's own parser, so what it does is what is judged: no
    comment, annotation or odd character hides anything.
    """
    policies = parse_bounded(text)
    if any(policy.effect != "forbid" for policy in policies):
        raise Refused(
            "policy-widens",
            "a policy of this document permits something, and a tenant's policies only forbid",
            "write `forbid`; who is to be permitted more is given a role, or a client its powers",
        )
    given = [policy.id for policy in policies if policy.id is not None]
    if len(set(given)) < len(given):
        raise ValueError("two policies have the same @id")
    if not all(map(_ID.fullmatch, given)):
        raise ValueError("an @id begins with a letter, and has lower case, digits and '-' only")
    return text


class PolicySpec(Spec):
    """The content of a Policy document."""

    title: Words
    reason: Words
    """Why this is forbidden, for whoever is refused by it and asks."""
    forbid: Annotated[
        str,
        StringConstraints(min_length=1, max_length=MOST_BYTES),
        AfterValidator(_forbidding),
    ]
    """One or more `forbid` policies in the Cedar language, by the schema access.cedarschema."""
    withdrawn: StrictBool = False
    """Whether it forbids nothing any more; a document is never deleted."""

    def check_applied(self) -> None:
        """Raise `Invalid` (`policy-unfit`) if the policies do not fit the schema of this release.

        A version that was applied earlier is read without this. If it no longer fits, its
        tenant's every question is refused until it is applied anew or withdrawn at the terminal.
        """
        wrong = () if self.withdrawn else misfits(self.forbid, schema_text())
        if wrong:
            raise Invalid(
                "policy-unfit",
                f"the policies do not fit the schema of access: {'; '.join(wrong)}",
                "the schema is rules/access.cedarschema of the package; docs/reference/access.md",
            )
