"""What AWS KMS answers instead of a result, in the words of the KeyManager port.

The texts of AWS name accounts, keys and principals, and are passed to nobody.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoAuthTokenError,
    NoCredentialsError,
    PartialCredentialsError,
    SSOError,
)

from seawall.core.errors import Error, Missing, Refused, Tampered, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

_DISABLED: Final = ("DisabledException", "KMSInvalidStateException", "KMSInvalidState")
_MISSING: Final = ("NotFoundException",)
_TAMPERED: Final = ("InvalidCiphertextException", "IncorrectKeyException")
_REFUSED: Final = (
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "OptInRequired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
)
_WITHOUT_CREDENTIALS: Final = (
    NoAuthTokenError,
    NoCredentialsError,
    PartialCredentialsError,
    SSOError,
)
_FORBIDDEN: Final = 403


@contextmanager
def foreign_errors() -> Iterator[None]:
    """Turn the library's exceptions, and whatever a strange answer raises, into ours."""
    try:
        yield
    except Error:
        raise
    except ClientError as error:
        raise _translated(error) from None
    except _WITHOUT_CREDENTIALS:
        raise refused() from None
    except (BotoCoreError, HTTPClientError, OSError):
        raise unavailable("does not answer") from None
    except Exception:  # noqa: BLE001  whatever a strange answer makes the library or us raise
        raise strange() from None


def code_of(error: Any) -> str:
    """Return the code of an error of AWS, or nothing."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _translated(error: Any) -> Error:
    code = code_of(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if code in _DISABLED:
        return disabled()
    if code in _MISSING:
        return missing()
    if code in _TAMPERED:
        return tampered()
    if code in _REFUSED or status == _FORBIDDEN:
        return refused()
    return unavailable("cannot do what it is asked")


def disabled() -> Refused:
    """Return what a key that is disabled, or awaits its deletion, is answered with."""
    return Refused(
        "root-key-disabled",
        "this version of a root key is disabled in the key manager",
        "enable it in AWS KMS if that was a mistake; if its deletion is scheduled, it is meant "
        "to open nothing any more",
    )


def missing() -> Missing:
    """Return what a root key or a version that is not there is answered with."""
    return Missing(
        "root-key-missing",
        "the key manager has no such root key, or no longer this version of it",
        "it was destroyed, or not made yet, which takes an operator's credentials, or the region, "
        "the account or the prefix is another; a key that was just made takes AWS some seconds",
    )


def tampered() -> Tampered:
    """Return what a wrapped key that KMS does not open is answered with."""
    return Tampered(
        "wrapped-key-tampered",
        "a wrapped key does not open under its root key",
        "restore it from a backup, and treat the change as an incident",
    )


def refused() -> Refused:
    """Return what credentials that are missing or not allowed to do this are answered with."""
    return Refused(
        "key-manager-refused",
        "the key manager refuses our credentials",
        "check them, and what their policy allows; AWS takes up to five minutes for a change",
    )


def unavailable(what: str) -> Unavailable:
    """Return what no answer in time, or none that can be used, is answered with."""
    return Unavailable(
        "key-manager-unavailable",
        f"the key manager {what}",
        "check its address and this machine's network; nothing is sealed or opened with a key "
        "that it holds until it answers",
    )


def strange() -> Unavailable:
    """Return what an answer that is not one of KMS is answered with."""
    return unavailable("answers what cannot be understood")
