"""Tokens of services: what telling who calls costs, beside the signature check alone."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import uvloop
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey

from benchmarks.clinic import CLIENT, TENANT, new_installation
from benchmarks.clinic import furnish as furnish_clinic
from benchmarks.table import Table, figure, say
from seawall.adapters.dpop import SignedProofs
from seawall.adapters.tokens import SignedTokens, make_client_key
from seawall.app.check_proofs import CheckProofs
from seawall.app.issue_token import AUDIENCE, IssueToken, Presented
from seawall.app.revocations import Revocations
from seawall.core.identity.dpop import ShownProof, token_digest
from seawall.core.registers.client import ClientSpec, thumbprint

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from benchmarks.effort import Effort
    from seawall.compose import Installation, Writer

_SEED: Final = bytes(32)
_PATH: Final = "/v1/models"
_PROOF_KEY: Final = ECKey.generate_key("P-256")


@dataclass(frozen=True, slots=True)
class _Desk:
    """What identifies, and what makes tokens to be identified."""

    installation: Installation
    issue_token: IssueToken
    tokens: SignedTokens
    key: str

    def token(self, number: int, **more: Any) -> str:
        """Return a token of the client, with claims beside the usual ones."""
        now = self.installation.clock.now_ms() // 1000
        claims = {
            "iss": AUDIENCE,
            "aud": AUDIENCE,
            "sub": f"{TENANT}/{CLIENT}",
            "iat": now,
            "exp": now + 600,
            "jti": f"{time.monotonic_ns():x}-{number}",
            "key": self.key,
            **more,
        }
        return self.tokens.issue(claims)

    def proven(self, number: int) -> Presented:
        """Return a token that is bound to a key, with a proof."""
        public = {n: str(_PROOF_KEY.as_dict(private=False)[n]) for n in ("kty", "crv", "x", "y")}
        token = self.token(number, cnf={"jkt": thumbprint(public)})
        claims = {
            "htm": "GET",
            "htu": f"https://{self.installation.settings.name}{_PATH}",
            "iat": self.installation.clock.now_ms() // 1000,
            "jti": f"{time.monotonic_ns():x}-{number}",
            "ath": token_digest(token),
            "nonce": self.issue_token.nonce(),
        }
        header = {"alg": "ES256", "typ": "dpop+jwt", "jwk": public}
        proof = jwt.encode(header, claims, _PROOF_KEY, algorithms=["ES256"])
        return Presented(token, None, ShownProof(proof, "GET", _PATH))


def measure(effort: Effort) -> Table:
    """Return the table of what identifying a caller costs."""
    with tempfile.TemporaryDirectory(prefix="seawall-benchmarks-") as place:
        rows = uvloop.run(_measure(effort, Path(place)))
    return Table(
        "Tokens of services: CPU time for one, one after the other",
        ("what", "CPU µs", "over the signature alone"),
        rows,
        (
            (
                "The register, expiry, keys in force, revocation and binding are looked at each "
                "time; a signature that held is remembered. Both sides take turns in each round."
            ),
        ),
    )


async def _measure(effort: Effort, place: Path) -> list[tuple[str, str, str]]:
    installation = new_installation(place / "data")
    await furnish_clinic(installation, "https://localhost:1/v1")
    async with installation.write() as writer:
        desk = _desk(installation, writer)
        measured: dict[str, list[float]] = {}
        for at in range(effort.rounds):
            say(f"tokens: round {at + 1} of {effort.rounds}")
            for title, seconds in (await _round(desk, effort.appends)).items():
                measured.setdefault(title, []).append(1e6 * seconds)
    found = {title: median(times) for title, times in measured.items()}
    rows = []
    for title, floor in _ROWS.items():
        over = "" if floor is None else f"{found[title] / found[floor]:.2f}"
        rows.append((title, figure(found[title]), over))
    return rows


_TOKEN: Final = "joserfc alone, a token"  # noqa: S105  a row's title
_PROOF: Final = "joserfc alone, a token and a proof"
_ROWS: Final[dict[str, str | None]] = {
    _TOKEN: None,
    "a token, seen first": _TOKEN,
    "a token, seen again": _TOKEN,
    "a limited token, seen again": _TOKEN,
    _PROOF: None,
    "a bound token and its proof, seen first": _PROOF,
}


def _desk(installation: Installation, writer: Writer) -> _Desk:
    clock, random = installation.clock, installation.random
    tokens = SignedTokens(_SEED, clock)
    url = installation.settings.token_url
    issue_token = IssueToken(
        documents=writer.documents,
        tokens=tokens,
        ledger=writer.ledger,
        clock=clock,
        random=random,
        token_url=url,
        proofs=CheckProofs(
            proofs=SignedProofs(),
            clock=clock,
            random=random,
            origin=url.removesuffix("/oauth2/token"),
        ),
        acting=writer.access_room.acting,
        revocations=Revocations(installation.store, clock),
    )
    client = writer.documents.register(TENANT).find(ClientSpec, CLIENT)
    if client is None:
        raise RuntimeError("the client is not registered")
    return _Desk(installation, issue_token, tokens, client.spec.public_key.thumbprint)


async def _round(desk: _Desk, count: int) -> dict[str, float]:
    """Return the seconds of CPU time that one of each takes."""
    fresh = [desk.token(at) for at in range(count)]
    limited = [
        Presented(desk.token(at, scope="use-case:sees-everything", patient="x" * 43))
        for at in range(count)
    ]
    proven = [desk.proven(at) for at in range(count)]
    shown = [Presented(token) for token in fresh]
    identify = desk.issue_token.identify
    for one in limited:
        await identify(one)
    key = OKPKey.import_key({**make_client_key(_SEED)})
    return {
        _TOKEN: await _each(fresh, lambda token: _decode(token, key, "Ed25519")),
        "a token, seen first": await _each(shown, identify),
        "a token, seen again": await _each(shown, identify),
        "a limited token, seen again": await _each(limited, identify),
        _PROOF: await _each(proven, lambda one: _decode_both(one, key)),
        "a bound token and its proof, seen first": await _each(proven, identify),
    }


async def _each(given: Sequence[Any], work: Callable[[Any], Awaitable[Any]]) -> float:
    begun = time.process_time()
    for one in given:
        await work(one)
    return (time.process_time() - begun) / len(given)


async def _decode(token: str, key: OKPKey | ECKey, algorithm: str) -> None:
    jwt.decode(token, key, algorithms=[algorithm])


async def _decode_both(one: Presented, key: OKPKey) -> None:
    await _decode(one.token, key, "Ed25519")
    if one.proof is not None:
        await _decode(one.proof.proof, _PROOF_KEY, "ES256")
