"""What a tenant forbids besides: Cedar policies that can only narrow who may do what.

A tenant's policies forbid and never permit, so that none of them can give anybody more
than the shipped ones do. 45 CFR 164.308(a)(4)(ii)(B)-(C) (addressable).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AfterValidator, StrictBool, StringConstraints

from seawall.core.access.cedar import MOST_BYTES, may_fail, misfits, parse_bounded
from seawall.core.access.schema import schema_text
from seawall.core.errors import Invalid, Refused
from seawall.core.registers.spec import Spec, Words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from seawall.core.registers.register import Register
    from seawall.core.registers.spec import Document

MOST_IN_FORCE: Final = 50
"""So many Policy documents of a tenant forbid something at once; each costs every decision."""

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
        """Raise `Invalid` if the policies do not fit the schema (`policy-unfit`), or could err.

        A version that was applied earlier is read without this. If it no longer fits, all that
        its tenant's people and services may do is refused until it is applied anew or withdrawn,
        but for what `is_spared` of the engine names.
        """
        wrong = () if self.withdrawn else misfits(self.forbid, schema_text())
        if wrong:
            raise Invalid(
                "policy-unfit",
                f"the policies do not fit the schema of access: {'; '.join(wrong)}",
                "the schema is rules/access.cedarschema of the package; docs/reference/access.md",
            )
        if not self.withdrawn and any(map(may_fail, parse_bounded(self.forbid))):
            raise Invalid(
                "policy-unfit",
                "the policies compute: a sum, a difference, a product or a function could fail",
                "compare with <, <=, ==, !=, >= and >, and with values that are written out",
            )


def check_batch(parsed: Iterable[Mapping[str, Any]]) -> None:
    """Raise `Refused` (`policies-many`) for more documents than can be in force, all unread."""
    if sum(fields.get("kind") == "Policy" for fields in parsed) > MOST_IN_FORCE:
        raise _many()


def check_count(register: Register, document: Document[Spec]) -> None:
    """Raise `Refused` (`policies-many`) if one more than `MOST_IN_FORCE` would be in force."""
    if not isinstance(document.spec, PolicySpec) or document.spec.withdrawn:
        return
    others = sum(
        isinstance(one.spec, PolicySpec) and not one.spec.withdrawn and one.name != document.name
        for one in register
    )
    if others >= MOST_IN_FORCE:
        raise _many()


def _many() -> Refused:
    return Refused(
        "policies-many",
        f"a tenant has at most {MOST_IN_FORCE} Policy documents in force",
        "withdraw one that is not needed, or write several prohibitions in one document",
    )
