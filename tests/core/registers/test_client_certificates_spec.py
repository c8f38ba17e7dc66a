"""What a Client document says of client certificates; older documents stay as they are."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from seawall.core.errors import Invalid
from seawall.core.registers.client import ClientSpec
from seawall.core.registers.spec import canonical_spec, read_spec

KEY: Final = {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}
THUMBPRINT: Final = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"
"""A thumbprint in its form: 43 characters of base64url."""


def a_client(**fields: Any) -> ClientSpec:
    """Read a Client's spec."""
    return read_spec(ClientSpec, "Client", "app", {"title": "app", "public_key": KEY, **fields})


def test_a_document_that_says_nothing_of_certificates_keeps_its_digest() -> None:
    """What is digested has no field that the first release did not have, while it is off."""
    written = json.loads(canonical_spec(a_client()))

    assert {"title", "public_key", "use_cases", "may_apply"} == written.keys()


@pytest.mark.parametrize(
    ("fields", "is_bound"),
    [
        ({}, False),
        ({"certificate_bound": True}, True),
        ({"certificate_thumbprints": [THUMBPRINT]}, True),
    ],
    ids=["nothing", "bound", "named"],
)
def test_a_client_is_bound_by_either_field(fields: dict[str, Any], *, is_bound: bool) -> None:
    """Naming certificates binds as the switch does; neither leaves tokens unbound."""
    assert is_bound == a_client(**fields).is_certificate_bound


@pytest.mark.parametrize(
    "thumbprint",
    [THUMBPRINT[:-1], THUMBPRINT + "=", THUMBPRINT[:-1] + "1", "03:80:ED", THUMBPRINT + "\n", ""],
    ids=["short", "padded", "not canonical", "hexadecimal", "newline", "empty"],
)
def test_what_is_no_thumbprint_is_refused(thumbprint: str) -> None:
    """A thumbprint that could never match is an error, not a client that is locked out."""
    with pytest.raises(Invalid):
        a_client(certificate_thumbprints=[thumbprint])
