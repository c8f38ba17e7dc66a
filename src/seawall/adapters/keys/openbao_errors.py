"""What OpenBao answers instead of a result, in the words of the KeyManager port.

What a server says may name keys, tokens and hosts, and is passed to nobody.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from hvac import exceptions
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from seawall.core.errors import Missing, Refused, Tampered, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seawall.core.errors import Error


class BadRequest(Exception):
    """The server understood, and cannot do it with this key and input."""


@contextmanager
def foreign_errors() -> Iterator[None]:
    """Turn the exceptions of hvac and of what is below it into ours, or `BadRequest`."""
    try:
        yield
    except exceptions.InvalidRequest:
        raise BadRequest from None
    except exceptions.VaultError as error:
        raise _translated(error) from None
    except (RequestException, HTTPError, OSError):
        raise unavailable("does not answer") from None


def _translated(error: exceptions.VaultError) -> Error:
    if isinstance(error, (exceptions.Forbidden, exceptions.Unauthorized)):
        return refused()
    if isinstance(error, exceptions.InvalidPath):
        # Only a key that is not there has nothing more to say: a wrong mount or
        # namespace has, and must never pass for a key that was destroyed.
        return misplaced() if error.errors else missing()
    return unavailable("is sealed, in standby, or cannot do what it is asked")


def unavailable(what: str) -> Unavailable:
    """Return what no answer in time, or none that can be used, is told as."""
    return Unavailable(
        "key-manager-unavailable",
        f"the key manager {what}",
        "see that OpenBao runs, is unsealed and can be reached, and that its certificate is one of"
        " the authority in [keys]; nothing is sealed or opened with a key that it keeps until it"
        " answers",
    )


def refused() -> Refused:
    """Return what a token that is missing, expired or may not do this is told."""
    return Refused(
        "key-manager-refused",
        "the key manager refuses our token",
        "see that the agent renews the token, and that its policy is the documented one for this"
        " prefix",
    )


def tokenless() -> Refused:
    """Return what it is to have no token, or something that cannot be one."""
    return Refused(
        "key-manager-refused",
        "there is no token for the key manager",
        "give it in SEAWALL_KEYS_TOKEN or SEAWALL_KEYS_TOKEN_FILE, and an operator's in"
        " SEAWALL_KEYS_OPERATOR_TOKEN or SEAWALL_KEYS_OPERATOR_TOKEN_FILE",
    )


def misplaced() -> Refused:
    """Return what it is to ask where there is no transit engine."""
    return Refused(
        "key-manager-refused",
        "the key manager has no transit engine at the configured place",
        "compare mount and namespace in [keys] with the server's",
    )


def unfit() -> Refused:
    """Return what a root key is told as that somebody made with weaker properties."""
    return Refused(
        "root-key-unfit",
        "the root key in the key manager is not of the kind that Seawall makes",
        "let Seawall make it: aes256-gcm96, derived, neither exportable nor with plaintext backup"
        " nor convergent",
    )


def disabled() -> Refused:
    """Return what a key that is soft-deleted, or a version below the minimum, is told as."""
    return Refused(
        "root-key-disabled",
        "this version of a root key is disabled in the key manager",
        "restore the key, or lower its min_decryption_version, if that was a mistake",
    )


def missing() -> Missing:
    """Return what a root key, or a version of it, is told as that is not there."""
    return Missing(
        "root-key-missing",
        "the key manager has no such root key, or no longer this version of it",
        "it was destroyed, or the prefix is another; to make one takes an operator's token",
    )


def tampered() -> Tampered:
    """Return what a wrapped key is told as that does not open."""
    return Tampered(
        "wrapped-key-tampered",
        "a wrapped key does not open under its root key",
        "restore it from a backup, and treat the change as an incident",
    )
