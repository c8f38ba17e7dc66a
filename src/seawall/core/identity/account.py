"""What is sealed about a person's account: how the person can be shown here.

A password alone never shows anybody: an account opens by a passkey that verified its
user, or by a password with a second factor. A recovery code gives a new enrolment and
no session. 45 CFR 164.312(d); that there are two factors is practice (NIST SP 800-63B,
section 2.2).
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field, replace
from typing import Any, Final, NoReturn

from seawall.core.errors import Tampered
from seawall.core.ledger.encoding import decode, encode
from seawall.core.policy.factor import Factor

MOST_PASSKEYS: Final = 10
RECOVERY_CODES: Final = 10
LINK_MS: Final = 86_400_000
"""So long an enrolment link works."""
RECOVERED_MS: Final = 900_000
"""So long somebody who used a recovery code has to enrol a new factor."""
TRANSPORTS: Final = ("ble", "cable", "hybrid", "internal", "nfc", "smart-card", "usb")
"""How an authenticator is reached (WebAuthn, section 5.8.4); another word is left out."""

_PASSWORD_CHARACTERS: Final = 512
_KEY_CHARACTERS: Final = 4096


@dataclass(frozen=True, slots=True)
class Passkey:
    """A credential that was registered (WebAuthn, section 4), without any private key."""

    id: str
    """Its id in base64url, as the authenticator made it."""
    public_key: str
    """Its COSE public key in base64url."""
    count: int
    """How often the authenticator says that it signed; 0 where it does not count."""
    transports: tuple[str, ...] = ()
    name: str = ""
    """What its owner calls it."""
    made_ms: int = 0
    may_be_synced: bool = False
    """Whether its provider may copy it to other devices (backup eligibility)."""
    is_synced: bool = False
    verifies_user: bool = False
    """Whether it verified its user when it was registered (`uvInitialized`, section 7.2).

    One that did not may be given a PIN by whoever finds it: it never shows anybody alone.
    """

    def is_cloned(self, count: int) -> bool:
        """Whether a new count says that there is another copy (WebAuthn, section 6.1.1)."""
        return bool(count or self.count) and count <= self.count

    def fields(self) -> dict[str, Any]:
        """Return it as it is written."""
        return {
            "id": self.id,
            "key": self.public_key,
            "count": self.count,
            "transports": list(self.transports),
            "name": self.name,
            "made": self.made_ms,
            "syncable": self.may_be_synced,
            "synced": self.is_synced,
            "verifies": self.verifies_user,
        }


@dataclass(frozen=True, slots=True)
class Link:
    """An enrolment that is pending: by a secret that only its one-time link has."""

    digest: str
    until_ms: int
    keeps_password: bool = False
    """Whether it was given for a recovery code, so that the password may stay."""

    def opens(self, secret: str, now_ms: int) -> bool:
        """Whether this is the secret, in time; compared in constant time."""
        return hmac.compare_digest(self.digest, digest_of(secret)) and now_ms < self.until_ms


@dataclass(frozen=True, slots=True)
class Account:
    """An account as it is kept, sealed."""

    password: str = field(default="", repr=False)
    """The argon2id hash in its own form; empty for none."""
    passkeys: tuple[Passkey, ...] = ()
    codes: Factor | None = field(default=None, repr=False)
    """The secret of one-time codes, and which were used."""
    recovery: tuple[str, ...] = field(default=(), repr=False)
    """Digests of the recovery codes that are left."""
    link: Link | None = None

    @property
    def factors(self) -> tuple[str, ...]:
        """The kinds of factors that it has, and nothing of them."""
        held = (
            ("password", bool(self.password)),
            ("passkey", bool(self.passkeys)),
            ("code", self.codes is not None),
            ("recovery", bool(self.recovery)),
        )
        return tuple(name for name, has in held if has)

    @property
    def is_enough(self) -> bool:
        """Whether somebody can sign in by it: alone by a passkey that verifies its user."""
        if any(one.verifies_user for one in self.passkeys):
            return True
        return bool(self.password) and bool(self.passkeys or self.codes)

    def passkey(self, credential: str) -> Passkey | None:
        """Return a passkey by its id."""
        return next((one for one in self.passkeys if one.id == credential), None)

    def with_shown(self, credential: str, count: int, *, is_synced: bool) -> Account:
        """Return the account after a passkey was shown."""
        made = tuple(
            replace(one, count=count, is_synced=is_synced) if one.id == credential else one
            for one in self.passkeys
        )
        return replace(self, passkeys=made)

    def without_recovery(self, code: str) -> Account | None:
        """Return the account after a recovery code was used; None if it is none of those left."""
        digest = digest_of(plain_code(code))
        # Every one is compared, each in constant time.
        fitting = [one for one in self.recovery if hmac.compare_digest(one, digest)]
        if not fitting:
            return None
        return replace(self, recovery=tuple(one for one in self.recovery if one != digest))

    def to_json(self) -> bytes:
        """Return what is sealed: canonical JSON."""
        said: dict[str, Any] = {
            "v": 1,
            "password": self.password,
            "passkeys": [one.fields() for one in self.passkeys],
            "recovery": list(self.recovery),
        }
        if self.codes is not None:
            said["codes"] = {"secret": self.codes.secret, "used": self.codes.used}
        if self.link is not None:
            said["link"] = {
                "digest": self.link.digest,
                "until": self.link.until_ms,
                "keeps": self.link.keeps_password,
            }
        return encode(said)

    @classmethod
    def from_json(cls, raw: bytes) -> Account:
        """Read what was sealed; `Tampered` if it has another form."""
        try:
            read = decode(raw)
            made = cls(
                _text(read["password"], _PASSWORD_CHARACTERS),
                tuple(_passkey(one) for one in read["passkeys"]),
                _codes(read),
                tuple(_text(one, 64) for one in read["recovery"]),
                _link(read),
            )
            # What is written again differs if a field was missing, more or of another type.
            is_sound = (
                made.to_json() == raw
                and len(made.passkeys) <= MOST_PASSKEYS
                and len(made.recovery) <= RECOVERY_CODES
            )
        except (Tampered, KeyError, TypeError, ValueError, AttributeError):
            is_sound = False
        if not is_sound:
            _refuse()
        return made


def digest_of(secret: str) -> str:
    """Return the SHA-256 of a secret of many bits, in hex; never of a password."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def plain_code(code: str) -> str:
    """Return a recovery code as it is digested: without what people put between its parts."""
    return "".join(letter for letter in code.lower() if letter not in " -\t")


def _text(value: object, longest: int) -> str:
    if not isinstance(value, str) or len(value) > longest:
        raise ValueError("not a text of this length")
    return value


def _number(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("not a number of this kind")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("not a flag")
    return value


def _passkey(read: dict[str, Any]) -> Passkey:
    return Passkey(
        id=_text(read["id"], _KEY_CHARACTERS),
        public_key=_text(read["key"], _KEY_CHARACTERS),
        count=_number(read["count"]),
        transports=tuple(_text(one, 20) for one in read["transports"]),
        name=_text(read["name"], 100),
        made_ms=_number(read["made"]),
        may_be_synced=_flag(read["syncable"]),
        is_synced=_flag(read["synced"]),
        verifies_user=_flag(read["verifies"]),
    )


def _codes(read: dict[str, Any]) -> Factor | None:
    if "codes" not in read:
        return None
    return Factor(_text(read["codes"]["secret"], 64), _number(read["codes"]["used"]))


def _link(read: dict[str, Any]) -> Link | None:
    if "link" not in read:
        return None
    link = read["link"]
    return Link(_text(link["digest"], 64), _number(link["until"]), _flag(link["keeps"]))


def _refuse() -> NoReturn:
    raise Tampered(
        "account-malformed",
        "a sealed account does not have its form",
        "restore the database from a backup, and treat the change as an incident",
    )
