"""Which key manager an installation has, with whose credentials, and what opens its key ring."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from seawall.adapters.clock import SystemClock, SystemRandom
from seawall.adapters.keys.file import FileKeys
from seawall.adapters.keys.guarded import GuardedKeyManager, GuardedKeyOperator
from seawall.adapters.keys.root_locks import ManagerLock, PassphraseLock, SecretLock
from seawall.config import environment, read_key_token
from seawall.core.errors import Invalid, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seawall.adapters.keys.provider import Operator, Provider
    from seawall.adapters.keys.ring_file import RingFile
    from seawall.adapters.keys.root_locks import RootLock
    from seawall.config import Keys, Passphrase, Settings

_TOKEN: Final = "SEAWALL_KEYS_TOKEN"  # noqa: S105  the variable's name
_OPERATOR_TOKEN: Final = "SEAWALL_KEYS_OPERATOR_TOKEN"  # noqa: S105  as above
_OPERATOR_PROFILE: Final = "SEAWALL_KEYS_OPERATOR_PROFILE"


def root_lock(settings: Settings, passphrase: Passphrase) -> RootLock:
    """Return what opens the key ring's file; `Missing` if that is a passphrase and none is given.

    Under a key manager apart, its service credentials open the ring, and its
    operator's make the root key.
    """
    random = SystemRandom()
    if settings.keys.provider != "file":
        return ManagerLock(_service(settings.keys), random, _operator(settings.keys))
    given = passphrase.needed()
    if given.is_secret:
        return SecretLock(given.value, random)
    return PassphraseLock(given.value, random)


def key_manager(settings: Settings, ring: RingFile) -> GuardedKeyManager:
    """Return the key manager with the service's credentials, bounded in time."""
    return GuardedKeyManager(_apart(settings.keys) or _in_file(settings, ring), SystemClock())


def key_operator(settings: Settings, ring: RingFile) -> GuardedKeyOperator | None:
    """Return the key manager with an operator's credentials; None where there are none.

    The file has no credentials apart: whoever opened it may do all.
    """
    if settings.keys.provider == "file":
        return GuardedKeyOperator(_in_file(settings, ring), SystemClock())
    operator = _operator(settings.keys)
    return GuardedKeyOperator(operator, SystemClock()) if operator is not None else None


def _in_file(settings: Settings, ring: RingFile) -> FileKeys:
    is_shared = bool(settings.database)
    return FileKeys(ring, SystemClock(), SystemRandom(), is_shared=is_shared)


def _apart(keys: Keys) -> Provider | None:
    return None if keys.provider == "file" else _service(keys)


def _service(keys: Keys) -> Provider:
    with needing_the_library(keys.provider):
        if keys.provider == "openbao":
            from seawall.adapters.keys import openbao  # noqa: PLC0415  the library is an extra

            return openbao.OpenBaoKeys(_openbao(keys), partial(_token, _TOKEN), SystemClock())
        from seawall.adapters.keys import aws  # noqa: PLC0415  as above

        return aws.AwsKeys(_kms(keys, ""), prefix=keys.prefix)


def _operator(keys: Keys) -> Operator | None:
    with needing_the_library(keys.provider):
        if keys.provider == "openbao":
            if not read_key_token(environment(), _OPERATOR_TOKEN):
                return None
            from seawall.adapters.keys import openbao  # noqa: PLC0415  the library is an extra

            return openbao.OpenBaoOperator(
                _openbao(keys), partial(_token, _OPERATOR_TOKEN), SystemClock()
            )
        profile = environment().get(_OPERATOR_PROFILE)
        if not profile:
            return None
        from seawall.adapters.keys import aws  # noqa: PLC0415  as above

        return aws.AwsOperator(_kms(keys, profile), prefix=keys.prefix, clock=SystemClock())


def _openbao(keys: Keys) -> Any:
    from seawall.adapters.keys import openbao  # noqa: PLC0415  the library is an extra

    return openbao.OpenBaoSettings(
        url=keys.url,
        mount=keys.mount,
        prefix=keys.prefix,
        authority=keys.authority,
        namespace=keys.namespace,
    )


def _kms(keys: Keys, profile: str) -> Any:
    from seawall.adapters.keys import aws  # noqa: PLC0415  the library is an extra

    return aws.connect_kms(
        region=keys.region, endpoint=keys.endpoint, authority=keys.authority, profile=profile
    )


def _token(name: str) -> str:
    """Return a token; `Refused` (`key-token-missing`) if there is none."""
    token = read_key_token(environment(), name)
    if not token:
        raise Refused(
            "key-token-missing",
            "there is no token for the key manager",
            f"set {name}_FILE to a file that an agent keeps fresh, or {name}",
        )
    return token


@contextmanager
def needing_the_library(provider: str) -> Iterator[None]:
    """Turn the absence of an extra into `Invalid`."""
    try:
        yield
    except ImportError:
        raise Invalid(
            "wrong-setting",
            "the setting keys: provider needs a library that is not installed",
            f"install seawall[{provider}]",
        ) from None
