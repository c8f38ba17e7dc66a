"""Minimum necessary on one request: which found identifiers go, and whether the rest may.

45 CFR 164.502(b), 164.514(d)(2). A use case names what it may see; everything
else that was found is replaced. Clinical text cannot be replaced without
losing its sense, so a use case that may not see it refuses the request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seawall.core.policy.decision import Refusal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from seawall.core.phi.spans import Span
    from seawall.core.registers.use_case import Sees


def to_replace(spans: Iterable[Span], sees: Sees) -> list[Span]:
    """Return the spans whose class the use case may not see."""
    return [span for span in spans if span.label not in sees.identifiers]


def refuse_clinical(kinds: Collection[str], sees: Sees) -> Refusal | None:
    """Return why clinical content of these `kinds` may not go, or None if it may."""
    if sees.clinical_text or not kinds:
        return None
    return Refusal(
        "minimum-necessary",
        "the request holds clinical text, which this use case may not see "
        f"(found: {', '.join(sorted(kinds))}; 45 CFR 164.502(b))",
        "send only what the function needs, or ask under a use case that may see clinical text",
    )
