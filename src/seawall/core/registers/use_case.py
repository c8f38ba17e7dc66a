"""One function of AI, and what it may see: minimum necessary as a document.

45 CFR 164.502(b), 164.514(d): for each function, the classes of identifiers
and whether clinical text may reach the model. A class that is not named is
replaced; clinical text that is not allowed makes the request be refused.
"""

from __future__ import annotations

from typing import Literal

from pydantic import StrictBool  # noqa: TC002  pydantic reads the annotation

from seawall.core.phi.identifiers import Label  # noqa: TC001  pydantic reads the annotation
from seawall.core.policy.purpose import Purpose  # noqa: TC001  as above
from seawall.core.registers.spec import Name, Spec, Words

AnswerRule = Literal["flag", "mask", "block"]
"""What happens to an identifier in an answer that was not in the request."""


class Sees(Spec):
    """What a use case may show to a model. Empty means nothing."""

    identifiers: frozenset[Label] = frozenset()
    clinical_text: StrictBool = False


class UseCaseSpec(Spec):
    """The content of a UseCase document."""

    title: Words
    purpose: Purpose
    sees: Sees = Sees()
    justification: Words
    """Why the function needs what it sees (45 CFR 164.514(d)(2)(i)(B))."""
    endpoints: frozenset[Name] = frozenset()
    answers: AnswerRule = "mask"
