"""A document cannot have the server send what is not an endpoint's secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from practice import OPERATOR, documents, opened
from seawall.core.errors import Invalid

if TYPE_CHECKING:
    from practice import Practice
    from seawall.core.phi.detection import Detector


async def apply(practice: Practice, secret: str) -> Any:
    """Apply an endpoint with a reference to a secret."""
    endpoint = next(document for document in documents() if document["kind"] == "Endpoint")
    changed = {**endpoint, "spec": {**endpoint["spec"], "secret": secret}}
    return await practice.documents.apply(OPERATOR, [changed])


@pytest.mark.parametrize(
    "secret",
    [
        "env:PATH",
        "env:SEAWALL_PASSPHRASE",
        "env:SEAWALL_SECRET_",
        "file:/etc/passwd",
        "file:../passphrase",
        "file:..",
        "file:a/b",
        "file:key\n",
        "file:",
        "a value itself",
    ],
)
async def test_other_secrets_are_refused_when_applied(secret: str, detector: Detector) -> None:
    """A variable not made for endpoints, and a path, are refused; nothing is recorded."""
    practice = await opened(detector)
    before = len(practice.entries())

    with pytest.raises(Invalid):
        await apply(practice, secret)

    assert before == len(practice.entries())


@pytest.mark.parametrize("secret", ["env:SEAWALL_SECRET_MODEL", "file:model-key_1"])
async def test_secrets_of_endpoints_are_accepted(secret: str, detector: Detector) -> None:
    """A variable SEAWALL_SECRET_... and a file of the folder `secrets` may be named."""
    practice = await opened(detector)

    (applied,) = await apply(practice, secret)

    assert "changed" == applied.change
