"""The clinic's documents: what stands, and one of each way to be refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from seawall.core.registers.agreement import REQUIRED_TERMS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FAULTS: Final = ["reset", "stall", "cut", "garbage", "error", "huge", "500", "429", "redirect"]
COVERED: Final = ["sandbox", "echo", "toolless", "abroad", "resting", *(f"on-{f}" for f in FAULTS)]
UNDER_OWN_AGREEMENT: Final = ["unsigned", "expired", "incomplete", "terminated", "early", "partial"]


def agreement(**changed: Any) -> dict[str, Any]:
    """Return the spec of an agreement that stands and covers everything, with changes."""
    return {
        "parties": {"covered_entity": "Riverside", "business_associate": "Sandbox"},
        "effective": "2020-01-01",
        "expires": "2999-12-31",
        "terms": sorted(REQUIRED_TERMS),
        "covers": {
            "endpoints": COVERED,
            "features": ["chat-completions", "tools"],
            "countries": ["US"],
        },
        "signed": {"by": ["A", "B"], "dated": "2020-01-01", "digest": f"sha256:{'0' * 64}"},
        **changed,
    }


def agreements() -> dict[str, dict[str, Any]]:
    """Return the specs of the clinic's agreements: one that stands, and one per way to fail."""
    features = ["chat-completions", "tools"]

    def own(name: str, **covers: Any) -> dict[str, Any]:
        return {"endpoints": [name], "features": features, "countries": ["US"], **covers}

    changes: dict[str, dict[str, Any]] = {
        "unsigned": {"signed": None},
        "expired": {"expires": "2020-02-01"},
        "incomplete": {"terms": sorted(REQUIRED_TERMS)[1:]},
        "terminated": {"terminated": "2021-01-01"},
        "early": {"effective": "2999-01-01"},
    }
    failing = {name: agreement(covers=own(name), **change) for name, change in changes.items()}
    partial = agreement(covers=own("partial", features=["chat-completions"]))
    return {"standing": agreement(), **failing, "partial": partial}


def endpoints(url: str, secret: str, trust: Path) -> dict[str, dict[str, Any]]:
    """Return the specs of the clinic's endpoints, all of them the one sandbox model."""

    def endpoint(switches: str = "", **changed: Any) -> dict[str, Any]:
        return {
            "dialect": "openai",
            "url": url,
            "model": f"seawall-sandbox-1{switches}",
            "model_version": "1",
            "country": "US",
            "features": ["chat-completions", "tools"],
            "retention": "nothing",
            "agreement": "standing",
            "secret": f"file:{secret}",
            "trust": str(trust),
            **changed,
        }

    return {
        "sandbox": endpoint(),
        "echo": endpoint("+echo"),
        "toolless": endpoint(features=["chat-completions"]),
        "abroad": endpoint(country="CA"),
        "uncovered": endpoint(),
        "consumer-chat": endpoint(agreement=None),
        "resting": endpoint("+500"),
        **{f"on-{fault}": endpoint(f"+{fault}") for fault in FAULTS},
        **{name: endpoint(agreement=name) for name in UNDER_OWN_AGREEMENT},
    }


def use_cases() -> dict[str, dict[str, Any]]:
    """Return the specs of the clinic's use cases."""
    everywhere = [*COVERED, *UNDER_OWN_AGREEMENT, "uncovered", "consumer-chat", "no-such-endpoint"]

    def use_case(purpose: str, **fields: Any) -> dict[str, Any]:
        said = {"title": "A function", "justification": "it needs what it sees"}
        return {**said, "purpose": purpose, "endpoints": everywhere, **fields}

    seen = ["NAME", "PHONE", "DATE"]
    return {
        "visit-summary": use_case("treatment", sees={"identifiers": [], "clinical_text": True}),
        "appointment-reminders": use_case("operations", sees={"identifiers": seen}),
        "blocking": use_case("treatment", sees={"clinical_text": True}, answers="block"),
        "elsewhere": use_case("treatment", endpoints=["sandbox"]),
    }


def documents(
    url: str, secret: str, trust: Path, keys: Mapping[str, Mapping[str, str]]
) -> list[dict[str, Any]]:
    """Return every document of the clinic."""
    granted = {
        "app": [*use_cases(), "no-such-use-case"],
        "narrow": ["visit-summary"],
        "bare": [],
        "changing": ["visit-summary"],
        "admin": [],
        "auditor": [],
        "operator": [],
    }
    clients = {
        name: {
            "title": f"the client {name}",
            "public_key": {part: value for part, value in keys[name].items() if part != "d"},
            "use_cases": named,
            "may_apply": name in ("admin", "operator"),
            "may_audit": name in ("admin", "auditor"),
            "may_audit_system": name == "admin",
        }
        for name, named in granted.items()
    }
    kinds = {
        "Agreement": agreements(),
        "UseCase": use_cases(),
        "Endpoint": endpoints(url, secret, trust),
        "Client": clients,
    }
    return [
        {"kind": kind, "name": name, "spec": spec}
        for kind, specs in kinds.items()
        for name, spec in specs.items()
    ]
