"""Valid things of each kind, for tests that need one and do not care which."""

from __future__ import annotations

from typing import Any

from seawall.core.policy.grant import terms
from seawall.core.registers.client import ClientSpec, PublicKey
from seawall.core.registers.endpoint import EndpointSpec
from seawall.core.registers.spec import Document, Spec
from seawall.core.seal.envelope import Context, Sealed, seal


def an_entry(action: str = "test.happened", **fields: Any) -> dict[str, Any]:
    """Return an entry of the tenant `clinic`."""
    return {"v": 1, "action": action, "tenant": "clinic", **fields}


def a_granting_entry(
    *,
    kinds: tuple[str, ...] = ("exchange.request",),
    subjects: tuple[str, ...] = ("p-1",),
    until_ms: int,
    tenant: str = "clinic",
) -> dict[str, Any]:
    """Return an entry whose receipt opens `kinds` of `subjects` until then."""
    granted = terms(kinds=kinds, subjects=subjects, until_ms=until_ms)
    return {**an_entry("phi.open"), "tenant": tenant, "grant": granted}


def a_context(
    item: str = "x-1",
    *,
    tenant: str = "clinic",
    kind: str = "exchange.request",
    subject: str = "p-1",
) -> Context:
    """Return the context of a sealed request of one patient."""
    return Context(tenant, kind, subject, item)


def a_sealed(plaintext: bytes = b"text", context: Context | None = None) -> Sealed:
    """Return a sealed value under a key of no key ring."""
    return seal(
        plaintext,
        key=bytes(32),
        key_id="k-1",
        key_version=1,
        nonce=bytes(12),
        context=context or a_context(),
    )


def a_client(title: str = "Front desk") -> ClientSpec:
    """Return a Client's spec."""
    return ClientSpec(title=title, public_key=PublicKey(x="A" * 43))


def a_document(name: str = "front-desk", version: int = 1, title: str = "") -> Document[Spec]:
    """Return one version of a Client document."""
    return Document("Client", name, version, a_client(title or f"{name} {version}"))


def an_endpoint(url: str = "https://127.0.0.1:1/v1", **fields: Any) -> EndpointSpec:
    """Return an Endpoint's spec."""
    return EndpointSpec.model_validate(
        {
            "dialect": "openai",
            "url": url,
            "model": "seawall-sandbox-1",
            "model_version": "1",
            "country": "US",
            "features": ["chat"],
            "retention": "nothing is kept",
            **fields,
        }
    )
