"""An offline factor: codes on paper and a device's one-time codes, made before they are needed.

For people who sign in at an identity provider, for the day when it does not answer. A
code of the paper and the code that the device shows are asked for together; each works
once. Both are things that somebody has: the paper is kept where a key would be, the
device unlocks by its owner. 45 CFR 164.312(a)(2)(ii), 164.312(d); NIST SP 800-63B, look-up
secrets: a code of 112 bits or more needs no slow hash.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from seawall.core.errors import Tampered
from seawall.core.identity.account import digest_of, plain_code
from seawall.core.ledger.encoding import decode, encode
from seawall.core.policy.factor import Factor

if TYPE_CHECKING:
    from collections.abc import Sequence

CODES: Final = 5
"""How many codes a paper has: an outage may outlast one session."""
CODE_BYTES: Final = 15
"""120 random bits: 24 letters in six groups of four."""
METHODS: Final = ("mfa", "offline", "otp")
"""How a session says it: by RFC 8176 `otp` and `mfa`; `offline` is a word of ours."""
OFFLINE: Final = "offline"

_GROUP: Final = 4


@dataclass(frozen=True, slots=True)
class OfflineKit:
    """An offline factor as it is kept, sealed."""

    device: Factor = field(repr=False)
    """The secret of the device's codes, and which was used last."""
    codes: tuple[str, ...] = field(repr=False)
    """Digests of the codes of the paper that were not used yet."""
    version: int = 0
    """Of the person's document, when it was made: whoever left since has it no more."""

    @classmethod
    def new(cls, secret: str, codes: Sequence[str], version: int = 0) -> OfflineKit:
        """Return a factor of these codes, none of which was used."""
        return cls(Factor(secret), tuple(digest_of(plain_code(code)) for code in codes), version)

    def used(self, code: str, step: int | None) -> OfflineKit | None:
        """Return what is left after a sign-in; None unless both codes are right and unused.

        `step` is the time step of the device's code, None if that is wrong.
        """
        digest = digest_of(plain_code(code))
        # Every one is compared, each in constant time, whatever the device's code is.
        fits = [hmac.compare_digest(one, digest) for one in self.codes]
        if not any(fits) or step is None or step <= self.device.used:
            return None
        return OfflineKit(
            self.device.accepted(step),
            tuple(one for one in self.codes if one != digest),
            self.version,
        )

    def to_json(self) -> bytes:
        """Return what is sealed: canonical JSON."""
        device = {"secret": self.device.secret, "used": self.device.used}
        said = {"v": 1, "device": device, "codes": list(self.codes)}
        return encode(said | ({"version": self.version} if self.version else {}))

    @classmethod
    def from_json(cls, raw: bytes) -> OfflineKit:
        """Read what was sealed; `Tampered` if it has another form."""
        try:
            read = decode(raw)
            device = Factor(str(read["device"]["secret"]), int(read["device"]["used"]))
            made = cls(device, tuple(map(str, read["codes"])), int(read.get("version", 0)))
            is_sound = made.to_json() == raw and len(made.codes) <= CODES
        except (Tampered, KeyError, TypeError, ValueError, AttributeError):
            is_sound = False
        if not is_sound:
            raise Tampered(
                "offline-factor-malformed",
                "a sealed offline factor does not have its form",
                "restore the database from a backup, and treat the change as an incident",
            )
        return made


def code_of(random: bytes) -> str:
    """Return random bytes as a code that people read from paper: groups of four letters."""
    said = base64.b32encode(random).decode().lower()
    return "-".join(said[at : at + _GROUP] for at in range(0, len(said), _GROUP))
