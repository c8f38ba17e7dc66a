"""What is known of the cryptographic modules in use, and whether it is enough for FIPS.

A program can see in which mode a module says to be, and try whether it behaves so. It cannot
see a certificate: whether a module of this version, on this machine, is validated under
FIPS 140-3, the list of NIST's validation program says. Nothing here makes this product validated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from seawall.core.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable

Mode = Literal["fips", "not-fips", "broken", "unknown", "not-approved"]
"""`broken` says to be in FIPS mode and cannot encrypt; `unknown` cannot be asked;
`not-approved` is an algorithm that no module offers in FIPS mode."""

MEANING: Final[dict[Mode, str]] = {
    "fips": "says FIPS mode, and behaves so",
    "not-fips": "not in FIPS mode",
    "broken": "says FIPS mode, but has no FIPS provider that works",
    "unknown": "cannot be asked",
    "not-approved": "no FIPS module offers this",
}


@dataclass(frozen=True, slots=True)
class CryptoModule:
    """One module, or one algorithm of its own, as it was found."""

    name: str
    version: str
    used_for: str
    mode: Mode
    is_used: bool = True
    """Whether this installation, as it is set up, uses it."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a module says of its mode, and what it does."""

    says_fips: bool
    encrypts: bool
    """Whether an approved algorithm works: AES-256-GCM, or SHA-256."""
    allows_md5: bool
    """Whether an algorithm works that no FIPS mode allows."""


def mode_of(seen: Behaviour) -> Mode:
    """Return the mode of a module: its own word counts only if it behaves so."""
    if not seen.says_fips:
        return "not-fips"
    if not seen.encrypts:
        return "broken"
    return "not-fips" if seen.allows_md5 else "fips"


def require_fips(modules: Iterable[CryptoModule]) -> None:
    """Raise `Refused` (`fips-required`) unless each module in use runs in FIPS mode.

    What cannot be asked counts as not; no module at all does too.
    """
    used = [module for module in modules if module.is_used]
    lacking = [module.name for module in used if module.mode != "fips"]
    if lacking or not used:
        raise Refused(
            "fips-required",
            f"fips_required is set, and these are not in FIPS mode: {', '.join(lacking) or 'all'}",
            "`seawall crypto` says more; docs/how-to/run-with-fips-cryptography.md says how",
        )
