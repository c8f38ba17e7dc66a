"""How things are named in audit events: code and identifier elements, and naming systems.

A naming system of ours is an address below the log's own host (`https://HOST/sid/patient`), which
nobody else can claim. It is a name, and need lead nowhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from seawall.core.audit.codes import Code

LONGEST: Final = 500
"""No text of an event is longer: what bounds an event."""

_URI: Final = "urn:ietf:rfc:3986"
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Names:
    """The naming systems of a log's host."""

    origin: str
    host: str

    @classmethod
    def of(cls, origin: str) -> Names:
        """Return the names of the host that an origin begins with."""
        return cls(origin, text(origin.partition("/")[0]))

    def system(self, kind: str) -> str:
        """Return the naming system of a kind of thing."""
        return f"https://{self.host}/sid/{kind}"

    def identifier(self, kind: str, value: Any) -> dict[str, str]:
        """Return an identifier of a thing."""
        return {"system": self.system(kind), "value": text(value)}

    def address(self, place: Any) -> dict[str, str]:
        """Return the identifier of what has an address of its own, such as a log."""
        return {"system": _URI, "value": f"https://{text(place)}"}

    def server(self) -> dict[str, Any]:
        """Return the reference to Seawall itself on this host."""
        return reference(self.address(self.host), "Seawall")


def text(value: Any) -> str:
    """Return a value as a text that FHIR allows: not empty, nothing unprintable, bounded."""
    said = _UNPRINTABLE.sub("�", "unknown" if value is None else str(value)).strip()
    return said[:LONGEST].strip() or "unknown"


def coding(code: Code) -> dict[str, str]:
    """Return a Coding."""
    return {"system": code[0], "code": code[1]}


def concept(code: Code) -> dict[str, Any]:
    """Return a CodeableConcept of one coding."""
    return {"coding": [coding(code)]}


def reference(identifier: dict[str, str], display: str | None = None) -> dict[str, Any]:
    """Return a reference by identifier alone: what it names has no address for a FHIR client."""
    held: dict[str, Any] = {"identifier": identifier}
    return held if display is None else {**held, "display": display}
