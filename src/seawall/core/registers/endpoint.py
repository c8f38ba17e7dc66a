"""One deployment of a model: where it is, what it can do, and how it is reached.

Secrets are references (`env:NAME`, `file:NAME`), never values, so that a
document can be shown, stored and exported.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints, field_validator

from seawall.core.registers.spec import Country, Name, Spec, Words

SecretReference = Annotated[
    str,
    StringConstraints(pattern=r"^(env:SEAWALL_SECRET_[A-Z0-9_]{1,50}|file:[A-Za-z0-9_-]{1,64})$"),
]
"""Where a secret is: a variable SEAWALL_SECRET_..., or a file of the folder `secrets`.

No other variable and no other file, so that whoever may apply documents cannot
have the server send its passphrase, or anything else it can read, somewhere.
"""


class EndpointSpec(Spec):
    """The content of an Endpoint document."""

    dialect: Literal["openai"]
    url: Annotated[str, StringConstraints(pattern=r"^https://[^\s@?#/][^\s@?#]*$", max_length=500)]
    """The base URL; https only (45 CFR 164.312(e)(1)), without credentials, query or fragment."""
    model: Words
    """The name under which the upstream knows the model."""
    model_version: Words
    country: Country
    features: frozenset[Name]
    retention: Words
    """What the vendor keeps after inference, in the words of its terms."""
    agreement: Name | None = None
    """The Agreement that covers this endpoint; none means that no PHI may reach it."""
    secret: SecretReference | None = None
    trust: str | None = None
    """Path of a PEM file of certificate authorities; none means the system's."""

    @field_validator("url")
    @classmethod
    def _without_trailing_slash(cls, url: str) -> str:
        return url.rstrip("/")
