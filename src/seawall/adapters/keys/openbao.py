"""The key manager OpenBao, or HashiCorp Vault: root keys in its transit engine.

A root key is an AES-256-GCM key that never leaves the server, and what it wraps
under one context opens under no other (the key that encrypts is derived from it).
What is trimmed or deleted is gone from the server; a snapshot of its storage from
before still holds it, until that is deleted too. 45 CFR 164.312(a)(2)(iv).
Importing this module takes the extra `openbao`.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from seawall.adapters.keys.openbao_client import Transit, check_url
from seawall.adapters.keys.openbao_errors import (
    BadRequest,
    disabled,
    missing,
    refused,
    tampered,
    unavailable,
    unfit,
)
from seawall.app.ports import ROOT_NAME, Destruction, RootVersion, Secret, tenant_root
from seawall.core.errors import Invalid, Missing
from seawall.core.registers.spec import NAME_PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from seawall.app.ports import Clock

_SECRET_BYTES: Final = 32
# Nonce, 32 bytes and tag: 60 bytes, which base64 writes in one way alone. The server would
# take others for the same, such as one with a line break, or `v0` for `v1`.
_WRAPPED: Final = re.compile(r"vault:v([1-9][0-9]{0,8}):[A-Za-z0-9+/]{80}")
_TENANT: Final = re.compile(re.escape(tenant_root("")) + f"({NAME_PATTERN})")
# Without a hyphen, so that no installation's names begin with another's prefix.
_PREFIX: Final = re.compile(r"[a-z0-9]{1,32}")
_MOUNT: Final = re.compile(r"[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64}){0,3}")
_NAMESPACE: Final = re.compile(r"([A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64}){0,7})?")
_FIT: Final = {
    "type": "aes256-gcm96",
    "derived": True,
    "exportable": False,
    "allow_plaintext_backup": False,
}


@dataclass(frozen=True, slots=True)
class OpenBaoSettings:
    """Where the transit engine is, and which of its keys are ours; `Invalid` if unusable."""

    url: str
    """https, or http on this very machine."""
    mount: str = "transit"
    prefix: str = "seawall"
    """Small letters and digits; the names of our keys begin with it and a hyphen."""
    authority: str = ""
    """A PEM file of the authorities to trust; without one the public ones are."""
    namespace: str = ""

    def __post_init__(self) -> None:
        check_url(self.url)
        patterns = {"mount": _MOUNT, "prefix": _PREFIX, "namespace": _NAMESPACE}
        for name, pattern in patterns.items():
            if not pattern.fullmatch(getattr(self, name)):
                raise Invalid(
                    "wrong-setting",
                    f"the setting keys.{name} is not usable",
                    "see the configuration reference; a prefix is small letters and digits",
                )


def transit_name(prefix: str, name: str) -> str:
    """Return the transit key's name for a root key: another one for every prefix and name."""
    if name == ROOT_NAME:
        return f"{prefix}-root"
    match = _TENANT.fullmatch(name)
    if match is None:
        raise RuntimeError("this is no name of a root key")
    return f"{prefix}-tenant-{match[1]}"


@dataclass(frozen=True, slots=True)
class _RootKey:
    """A root key as the server describes it."""

    kept_from: int
    """The lowest version that is not trimmed."""
    enabled_from: int
    latest: int
    is_deleted: bool
    """Softly: it can be restored."""
    is_fit: bool
    made: Mapping[int, datetime]

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> _RootKey:
        """Read what the server says of a key; `Unavailable` if that is nothing usable."""
        try:
            latest = int(said["latest_version"])
            enabled = int(said["min_decryption_version"])
            kept = int(said.get("min_available_version", 0))
            made = {int(version): _time(at) for version, at in said["keys"].items()}
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError):
            raise _strange() from None
        return cls(
            kept_from=max(kept, 1),
            enabled_from=max(enabled, 1),
            latest=latest,
            is_deleted=said.get("soft_deleted") is True,
            is_fit=all(said.get(name) == value for name, value in _FIT.items())
            and not said.get("convergent_encryption"),
            made={version: at for version, at in made.items() if at is not None},
        )

    def versions(self) -> range:
        """Return the versions that are not destroyed."""
        return range(self.kept_from, self.latest + 1)

    def described(self) -> list[RootVersion]:
        """Return them as the port tells of them."""
        return [
            RootVersion(
                version,
                "disabled" if self.is_deleted or version < self.enabled_from else "enabled",
                self.made.get(version),
            )
            for version in self.versions()
        ]


class OpenBaoKeys:
    """The Provider over the transit engine, with the service's token."""

    provider: Final = "openbao"

    def __init__(
        self, settings: OpenBaoSettings, token: Callable[[], str | None], clock: Clock
    ) -> None:
        self._keys = _Keys(settings, token, clock)

    def __repr__(self) -> str:
        return "<OpenBaoKeys>"

    def wrap(self, name: str, secret: bytes, context: str) -> Secret:
        """Wrap 32 bytes under the newest version of a root key.

        The key is looked at before: the server would make one that is not there for a token
        that may, and would not bind the context under a key that is not derived.
        """
        if len(secret) != _SECRET_BYTES:
            raise RuntimeError("a key of 32 bytes is wrapped, and nothing else")
        key = self._keys.read(name)
        if key.is_deleted:
            raise disabled()
        if not key.is_fit:
            raise unfit()
        try:
            said = self._keys.transit.encrypt(self._keys.place(name), secret, _bound(context))
        except BadRequest:
            key = self._keys.read(name)  # it may have gone meanwhile
            raise (disabled() if key.is_deleted else refused()) from None
        match = _WRAPPED.fullmatch(str(said.get("ciphertext")))
        if match is None:
            raise _strange()
        return Secret(int(match[1]), match[0].encode())

    def unwrap(self, name: str, secret: Secret, context: str) -> bytes:
        """Return what was wrapped."""
        wrapped = _text(secret)
        try:
            said = self._keys.transit.decrypt(self._keys.place(name), wrapped, _bound(context))
        except BadRequest:
            # Why, the server says in words that change: its description of the key tells.
            raise _refusal(self._keys.read(name), secret.version) from None
        try:
            opened = base64.b64decode(said["plaintext"], validate=True)
        except (KeyError, TypeError, ValueError):
            raise _strange() from None
        if len(opened) != _SECRET_BYTES:
            raise tampered()
        return opened

    def versions(self, name: str) -> list[RootVersion]:
        """Return the versions of a root key that are not destroyed, oldest first."""
        return self._keys.read(name).described()


class OpenBaoOperator:
    """The Operator over the transit engine, with an operator's token."""

    def __init__(
        self, settings: OpenBaoSettings, token: Callable[[], str | None], clock: Clock
    ) -> None:
        self._keys = _Keys(settings, token, clock)
        self._clock = clock

    def __repr__(self) -> str:
        return "<OpenBaoOperator>"

    def make(self, name: str) -> None:
        """Make a root key; nothing changes if there is one, `Refused` if that is a weaker one."""
        place = self._keys.place(name)
        try:
            key = self._keys.read(name)
        except Missing:
            # What is left out is off, and its policy denies an operator to say otherwise.
            self._change(lambda: self._keys.transit.create(place))
            key = self._keys.read(name)
        if not key.is_fit:
            raise unfit()

    def versions(self, name: str) -> list[RootVersion]:
        """Return the versions of a root key that are not destroyed, oldest first."""
        return self._keys.read(name).described()

    def rotate(self, name: str) -> int:
        """Make a new version of a root key; return it."""
        place, before = self._keys.place(name), self._keys.read(name)
        self._change(lambda: self._keys.transit.rotate(place))
        after = self._keys.read(name).latest
        if after <= before.latest:
            raise unavailable("did not confirm a new version")
        return after

    def destroy(self, name: str, below: int | None = None) -> Destruction:
        """Destroy the versions of a root key below one, or the whole key, for good.

        Nothing changes if they are gone. It is done when the server says so, asked again.
        """
        place = self._keys.place(name)
        try:
            key = self._keys.read(name)
        except Missing as error:
            if error.code != "root-key-missing":
                raise
            return Destruction(name, (), self._clock.now(), "transit delete")
        if below is None:
            self._change(lambda: self._keys.transit.delete(place))
            self._confirm_deleted(name)
            gone, method = key.versions(), "transit delete"
        else:
            if below > key.latest:
                raise missing()
            gone, method = range(key.kept_from, below), "transit trim"
            if gone:
                self._change(lambda: self._keys.transit.trim(place, below))
                self._confirm_trimmed(name, below)
        return Destruction(name, tuple(gone), self._clock.now(), method)

    def _confirm_deleted(self, name: str) -> None:
        try:
            self._keys.read(name)
        except Missing as error:
            if error.code != "root-key-missing":
                raise
            return
        raise _unconfirmed()

    def _confirm_trimmed(self, name: str, below: int) -> None:
        if self._keys.read(name).kept_from < below:
            raise _unconfirmed()

    def _change(self, change: Callable[[], None]) -> None:
        try:
            change()
        except BadRequest:
            raise refused() from None


class _Keys:
    """The keys of one prefix, by the names of the port."""

    def __init__(
        self, settings: OpenBaoSettings, token: Callable[[], str | None], clock: Clock
    ) -> None:
        self._prefix = settings.prefix
        self.transit = Transit(
            url=settings.url,
            mount=settings.mount,
            authority=settings.authority,
            namespace=settings.namespace,
            token=token,
            clock=clock,
        )

    def place(self, name: str) -> str:
        """Return the transit key of a root key's name."""
        return transit_name(self._prefix, name)

    def read(self, name: str) -> _RootKey:
        """Return how the server describes a root key; `Missing` if it has none."""
        try:
            return _RootKey.read(self.transit.read(self.place(name)))
        except BadRequest:
            raise _strange() from None


def _text(secret: Secret) -> str:
    """Return a wrapped key as the server wants it; `Tampered` if it is none of that version."""
    text = secret.blob.decode("ascii", "replace")
    match = _WRAPPED.fullmatch(text)
    if match is None or int(match[1]) != secret.version:
        raise tampered()
    return text


def _refusal(key: _RootKey, version: int) -> Exception:
    """Return why a version of a key does not do what it was asked, by the key's state."""
    if key.is_deleted:
        return disabled()
    if version not in key.versions():
        return missing()
    return disabled() if version < key.enabled_from else tampered()


def _bound(context: str) -> bytes:
    if not context:
        raise RuntimeError("a key is wrapped for something, and nothing else opens it")
    return context.encode()


def _time(at: Any) -> datetime | None:
    """Return when a version was made, where the server tells it so."""
    return datetime.fromtimestamp(at, UTC) if isinstance(at, int) else None


def _strange() -> Exception:
    return unavailable("answers what cannot be understood")


def _unconfirmed() -> Exception:
    return unavailable("did not confirm that it destroyed what it was told to")
