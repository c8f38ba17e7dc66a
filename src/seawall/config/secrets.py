"""Secrets, which are no settings: read apart from them, and shown by nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from seawall.core.errors import Missing, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Passphrase:
    """What opens the key ring, where no key manager does; shows nothing."""

    value: bytes = field(repr=False)
    is_secret: bool = False
    """Whether it is a mounted secret of random bytes, and not what a person chose."""

    def needed(self) -> Passphrase:
        """Return it; `Missing` if there is none."""
        if not self.value:
            raise Missing(
                "passphrase-missing",
                "there is no passphrase for the key ring",
                "set SEAWALL_PASSPHRASE_FILE to a file that holds it, or SEAWALL_PASSPHRASE",
            )
        return self


def read_passphrase(
    folder: Path, environment: Mapping[str, str], file: Path | None = None
) -> Passphrase:
    """Return the passphrase, or an empty one if there is none.

    From `file`, SEAWALL_PASSPHRASE_FILE, SEAWALL_ROOT_SECRET_FILE (random bytes, taken as
    they are), SEAWALL_PASSPHRASE, in this order. A demo leaves its passphrase in its folder
    and says so; nothing else does. `Missing` if a file that is named cannot be read.
    """
    place = file or environment.get("SEAWALL_PASSPHRASE_FILE")
    secret = environment.get("SEAWALL_ROOT_SECRET_FILE")
    text = environment.get("SEAWALL_PASSPHRASE")
    if place is None and secret is not None:
        return Passphrase(_read_secret(Path(secret)), is_secret=True)
    if place is None and text is None and (folder / "passphrase").exists():
        place = folder / "passphrase"
    if place is not None:
        text = _read_text(Path(place))
    return Passphrase((text or "").encode())


def _read_text(path: Path) -> str:
    try:
        return _read_secret(path).decode().strip()
    except UnicodeDecodeError:
        raise Missing(
            "passphrase-missing",
            "the passphrase's file is no text",
            "name random bytes by SEAWALL_ROOT_SECRET_FILE, and a passphrase as text",
        ) from None


def _read_secret(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise Missing(
            "passphrase-missing",
            "the file that should open the key ring cannot be read",
            "check SEAWALL_PASSPHRASE_FILE or SEAWALL_ROOT_SECRET_FILE, and permissions",
        ) from None


def read_database_password(environment: Mapping[str, str], name: str) -> str | None:
    """Return the password of a role of the database, or None where it needs none.

    From the file that `NAME_FILE` names, else from the variable `NAME`; it is asked for
    at every connection, so that it may change. `Missing` if the file cannot be read.
    """
    return _read_credential(environment, name, "database-password-missing")


def read_certificate_password(
    environment: Mapping[str, str], name: str = "SEAWALL_CERTIFICATE_PASSWORD"
) -> str:
    """Return what opens a certificate's key, read as `read_database_password` reads; may be empty.

    It is asked for at each loading, so that it may change with the key.
    """
    return _read_credential(environment, name, "certificate-password-missing") or ""


def read_provider_secret(environment: Mapping[str, str], name: str) -> str | None:
    """Return a client's secret at an identity provider, read as `read_database_password` reads."""
    return _read_credential(environment, name, "provider-secret-missing")


def read_key_token(environment: Mapping[str, str], name: str) -> str | None:
    """Return a token of the key manager, read as `read_database_password` reads; None if none.

    `Refused` if the file cannot be read: what has no credentials must never look like a key
    that is gone.
    """
    try:
        return _read_credential(environment, name, "key-token-missing")
    except Missing as error:
        raise Refused(error.code, error.message, error.help) from None


def _read_credential(environment: Mapping[str, str], name: str, code: str) -> str | None:
    place = environment.get(f"{name}_FILE")
    if place is None:
        return environment.get(name) or None
    try:
        return Path(place).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise Missing(
            code,
            f"the file that {name}_FILE names cannot be read",
            "check that it exists, and that the server may read it",
        ) from None
