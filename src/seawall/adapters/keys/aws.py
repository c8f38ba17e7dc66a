"""The key manager AWS KMS: a KMS key for each version of a root key, found by its alias.

    alias/<prefix>/<root name>/<version>    such as alias/seawall/tenant/clinic/3

KMS can rotate a key itself, but then destroys all of its versions or none. So each
version is a symmetric key of its own, whose material KMS made and never gives out.
What is destroyed is disabled at once and deleted when KMS's waiting period is over.

Before each use KMS is asked for the state of the key, and nothing is remembered: keys
are wrapped and unwrapped rarely, and a key that was just disabled must not be used.
Its listing of aliases, which is of the whole account, is read to its end.
Importing this module takes the extra `aws`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from seawall.adapters.keys.aws_errors import (
    code_of,
    disabled,
    foreign_errors,
    missing,
    strange,
    tampered,
    unavailable,
)
from seawall.app.ports import Destruction, RootVersion, Secret
from seawall.core.errors import Invalid, Missing
from seawall.tls import client_context, use_in_boto

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seawall.app.ports import Clock

METHOD: Final = "kms schedule-key-deletion"
_CONNECT_SECONDS: Final = 2
_READ_SECONDS: Final = 3
_ATTEMPTS: Final = 2
_CONNECTIONS: Final = 10
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_PREFIX: Final = re.compile(r"[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64}){0,3}")
_NAME: Final = re.compile(r"[a-z0-9._/-]{1,128}")
_VERSION: Final = re.compile(r"[1-9][0-9]{0,8}")
_SECRET_BYTES: Final = 32
_BLOB_BYTES: Final = 6144
_WAITING_DAYS: Final = 7
_PAGES: Final = 2_000
_ALIASES_A_PAGE: Final = 100
_KEYS_A_PAGE: Final = 1_000
_STRAYS: Final = 100
"""At most so many keys without an alias are looked at for one that an operator left half made."""

_KIND: Final = {
    "KeyUsage": "ENCRYPT_DECRYPT",
    "KeySpec": "SYMMETRIC_DEFAULT",
    "Origin": "AWS_KMS",
}
_FORBIDDEN: Final = "AccessDeniedException"
_GONE: Final = "NotFoundException"
_TAKEN: Final = "AlreadyExistsException"
_WRONG_STATE: Final = "KMSInvalidStateException"


def connect_kms(
    *,
    region: str,
    endpoint: str = "",
    authority: str = "",
    profile: str = "",
    read_seconds: float = _READ_SECONDS,
) -> Any:
    """Return a client of KMS; credentials are those that boto3 finds, or those of a profile.

    No proxy of the environment is used, and no endpoint or authority but the given ones.
    `Invalid` (`wrong-setting`) for an endpoint without TLS that is not on this very machine.
    """
    if endpoint and not _is_usable(endpoint):
        raise _wrong("the endpoint of the key manager is not usable", "use an https:// URL")
    if authority and not Path(authority).is_file():
        raise _wrong("the authority of the key manager is no file", "name a PEM file")
    try:
        context = client_context(authority or None)
    except OSError:
        raise _wrong("the authority of the key manager cannot be read", "name a PEM file") from None
    try:
        client = boto3.Session(profile_name=profile or None).client(
            "kms",
            endpoint_url=endpoint or None,
            region_name=region,
            config=Config(
                proxies={},
                ignore_configured_endpoint_urls=True,
                connect_timeout=min(_CONNECT_SECONDS, read_seconds),
                read_timeout=read_seconds,
                retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
                max_pool_connections=_CONNECTIONS,
            ),
        )
    except (BotoCoreError, ValueError):
        raise _wrong(
            "the key manager cannot be reached with these settings",
            "check the region, and the profile in the AWS configuration files",
        ) from None
    return use_in_boto(client, context)


class AwsKeys:
    """The Provider over a client of KMS with the service's credentials."""

    provider: Final = "aws"

    def __init__(self, client: Any, *, prefix: str) -> None:
        self._client = client
        self._roots = _Roots(client, prefix)

    def __repr__(self) -> str:
        return "<AwsKeys>"

    def wrap(self, name: str, secret: bytes, context: str) -> Secret:
        """Wrap 32 bytes under the newest version of a root key.

        It is never an older one: if the newest is disabled, nothing is wrapped.
        """
        with foreign_errors():
            numbers = self._roots.numbers(name)
            if not numbers:
                raise missing()
            key = self._usable(name, numbers[-1])
            answer = self._client.encrypt(
                KeyId=key.alias, Plaintext=secret, EncryptionContext=_bound(name, context)
            )
            if answer["KeyId"] != key.arn or not 0 < len(answer["CiphertextBlob"]) <= _BLOB_BYTES:
                raise strange()
            return Secret(key.version, bytes(answer["CiphertextBlob"]))

    def unwrap(self, name: str, secret: Secret, context: str) -> bytes:
        """Return what was wrapped, by the key of this very version and no other."""
        if not 0 < len(secret.blob) <= _BLOB_BYTES:
            raise tampered()
        with foreign_errors():
            key = self._usable(name, secret.version)
            answer = self._client.decrypt(
                KeyId=key.alias,
                CiphertextBlob=secret.blob,
                EncryptionContext=_bound(name, context),
            )
            if answer["KeyId"] != key.arn or len(answer["Plaintext"]) != _SECRET_BYTES:
                raise tampered()
            return bytes(answer["Plaintext"])

    def versions(self, name: str) -> list[RootVersion]:
        """Return the versions of a root key that are not destroyed, oldest first.

        One whose deletion is pending is among them until KMS has deleted it.
        """
        return _versions(self._roots, name)

    def _usable(self, name: str, version: int) -> _Key:
        key = self._roots.key(name, version)
        if key.state != "enabled":
            raise disabled()
        return key


class AwsOperator:
    """The Operator over a client of KMS with an operator's credentials.

    Whatever ends it between two steps, the same again goes on from there. Two that make
    the same version at once make one: the alias is the first one's, and the other's key,
    which nothing was wrapped under, is scheduled for deletion.
    """

    def __init__(self, client: Any, *, prefix: str, clock: Clock) -> None:
        self._client = client
        self._prefix = prefix
        self._roots = _Roots(client, prefix)
        self._clock = clock

    def __repr__(self) -> str:
        return "<AwsOperator>"

    def make(self, name: str) -> None:
        """Make a root key; nothing changes if there is one.

        Where all of its versions await deletion, the next one is made.
        """
        with foreign_errors():
            keys = self._roots.keys(name)
            if not any(key.until is None for key in keys):
                self._add(name, keys[-1].version + 1 if keys else 1)

    def versions(self, name: str) -> list[RootVersion]:
        """Return the versions of a root key that are not destroyed, oldest first."""
        return _versions(self._roots, name)

    def rotate(self, name: str) -> int:
        """Make a new version of a root key; return it."""
        with foreign_errors():
            keys = self._roots.keys(name)
            if not any(key.until is None for key in keys):
                raise missing()
            return self._add(name, keys[-1].version + 1)

    def destroy(self, name: str, below: int | None = None) -> Destruction:
        """Disable versions at once, and have KMS delete them as soon as it does: in a week.

        All are disabled before the first is scheduled, so that none is usable again if
        somebody cancels its deletion. `final_at` is when KMS says that the last is gone.
        """
        with foreign_errors():
            doomed = [key for key in self._roots.keys(name) if below is None or key.version < below]
            for key in doomed:
                if key.until is None:
                    self._disable(key.key_id)
            dates = [key.until or self._schedule(key) for key in doomed]
            final_at = max(dates, default=self._clock.now())
            return Destruction(name, tuple(key.version for key in doomed), final_at, METHOD)

    def _add(self, name: str, version: int) -> int:
        """Make a version, whose alias is its last step; the loser of a race takes the winner's."""
        alias = self._roots.alias(name, version)
        key_id = self._half_made(name, version) or self._create(name, version)
        try:
            self._client.create_alias(AliasName=alias, TargetKeyId=key_id)
        except ClientError as error:
            if code_of(error) != _TAKEN:
                raise
            self._let_go(name, version, key_id)
        return version

    def _let_go(self, name: str, version: int, key_id: str) -> None:
        """Have a key deleted whose place another has; the alias itself says which one has it."""
        try:
            holder = self._roots.key(name, version).key_id
        except Missing:
            return  # not known everywhere yet: a key too many costs less than a key too few
        if holder != key_id:
            self._client.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=_WAITING_DAYS)

    def _create(self, name: str, version: int) -> str:
        answer = self._client.create_key(
            Description="Seawall: a version of a root key", **_KIND, Tags=self._tags(name, version)
        )
        return str(answer["KeyMetadata"]["KeyId"])

    def _half_made(self, name: str, version: int) -> str | None:
        """Return a key that an operator made for this version and did not get to name."""
        aliased = {each["TargetKeyId"] for each in self._roots.aliases() if "TargetKeyId" in each}
        listed = _pages(self._client.list_keys, "Keys", _KEYS_A_PAGE)
        strays = [key["KeyId"] for key in listed if key["KeyId"] not in aliased]
        wanted = _as_pairs(self._tags(name, version))
        for key_id in strays[:_STRAYS]:
            try:
                tags = self._client.list_resource_tags(KeyId=key_id)["Tags"]
                if wanted <= _as_pairs(tags) and self._is_enabled(key_id):
                    return str(key_id)
            except ClientError as error:
                # Somebody else's, which this operator may not look at, or gone meanwhile.
                if code_of(error) not in (_FORBIDDEN, _GONE):
                    raise
        return None

    def _is_enabled(self, key_id: str) -> bool:
        try:
            return _described(self._client, key_id, "", 0).state == "enabled"
        except Missing:
            return False

    def _tags(self, name: str, version: int) -> list[dict[str, str]]:
        tags = {
            "seawall": self._prefix,
            "seawall-purpose": "root-key",
            "seawall-name": name,
            "seawall-version": str(version),
        }
        return [{"TagKey": key, "TagValue": value} for key, value in tags.items()]

    def _disable(self, key_id: str) -> None:
        try:
            self._client.disable_key(KeyId=key_id)
        except ClientError as error:
            # Another operator was faster; what became of the key is seen when it is scheduled.
            if code_of(error) not in (_WRONG_STATE, _GONE):
                raise

    def _schedule(self, key: _Key) -> datetime:
        """Return from when on KMS has deleted a key, by what it says in two places."""
        said = []
        try:
            answer = self._client.schedule_key_deletion(
                KeyId=key.key_id, PendingWindowInDays=_WAITING_DAYS
            )
            said.append(_moment(answer["DeletionDate"]))
        except ClientError as error:
            if code_of(error) == _GONE:
                return self._clock.now()
            if code_of(error) != _WRONG_STATE:
                raise
        until = _described(self._client, key.key_id, key.alias, key.version).until
        said += [until] if until else []
        if not said:
            raise unavailable("does not delete a key that it was told to delete")
        return max(said)


@dataclass(frozen=True, slots=True)
class _Key:
    """A KMS key that is one version of a root key, as KMS describes it."""

    version: int
    alias: str
    key_id: str
    arn: str
    state: Literal["enabled", "disabled", "pending-destruction"]
    made: datetime
    until: datetime | None


class _Roots:
    """The root keys whose aliases begin with one prefix."""

    def __init__(self, client: Any, prefix: str) -> None:
        if not _PREFIX.fullmatch(prefix) or prefix.partition("/")[0] == "aws":
            raise _wrong(
                "the prefix of the key manager is not usable",
                "use letters, digits, hyphens and underscores, and not aws",
            )
        self._client = client
        self._prefix = prefix

    def alias(self, name: str, version: int | str) -> str:
        """Return the alias of one version; different names never share one.

        Aliases take no full stop, which names of tenants do.
        """
        if not _NAME.fullmatch(name):
            raise missing()
        plain = name.replace("_", "__").replace(".", "_d")
        return f"alias/{self._prefix}/{plain}/{version}"

    def aliases(self) -> Iterator[dict[str, Any]]:
        """Yield every alias of the account."""
        return _pages(self._client.list_aliases, "Aliases", _ALIASES_A_PAGE)

    def numbers(self, name: str) -> list[int]:
        """Return which versions of a root key have an alias, oldest first."""
        start = self.alias(name, "")
        found = (
            each["AliasName"].removeprefix(start)
            for each in self.aliases()
            if each["AliasName"].startswith(start)
        )
        return sorted(int(rest) for rest in found if _VERSION.fullmatch(rest))

    def key(self, name: str, version: int) -> _Key:
        """Return one version by its alias; `Missing` if there is none."""
        alias = self.alias(name, version)
        return _described(self._client, alias, alias, version)

    def keys(self, name: str) -> list[_Key]:
        """Return all versions, oldest first, without one that was deleted meanwhile."""
        keys = []
        for version in self.numbers(name):
            try:
                keys.append(self.key(name, version))
            except Missing:
                continue
        return keys


def _versions(roots: _Roots, name: str) -> list[RootVersion]:
    """Return a root key's versions as the port tells of them."""
    with foreign_errors():
        keys = roots.keys(name)
        if not keys:
            raise missing()
        return [RootVersion(key.version, key.state, key.made, key.until) for key in keys]


def _described(client: Any, key_id: str, alias: str, version: int) -> _Key:
    """Return a key as KMS describes it; whatever is not as we make keys counts as disabled."""
    try:
        found = client.describe_key(KeyId=key_id)["KeyMetadata"]
    except ClientError as error:
        if code_of(error) == _GONE:
            raise missing() from None
        raise
    until = _moment(found["DeletionDate"]) if found["KeyState"] == "PendingDeletion" else None
    is_ours = all(found.get(field) == value for field, value in _KIND.items())
    is_usable = found["KeyState"] == "Enabled" and is_ours and not found.get("MultiRegion")
    return _Key(
        version,
        alias,
        str(found["KeyId"]),
        str(found["Arn"]),
        "pending-destruction" if until else "enabled" if is_usable else "disabled",
        _moment(found["CreationDate"]),
        until,
    )


def _pages(operation: Any, field: str, size: int) -> Iterator[dict[str, Any]]:
    """Yield what KMS lists, page after page; a listing without an end is given up."""
    asked: dict[str, Any] = {"Limit": size}
    for _ in range(_PAGES):
        answer = operation(**asked)
        yield from answer[field]
        if not answer.get("Truncated"):
            return
        if asked.get("Marker") == answer["NextMarker"]:
            break
        asked["Marker"] = answer["NextMarker"]
    raise unavailable("lists without an end")


def _bound(name: str, context: str) -> dict[str, str]:
    """Return the encryption context, which KMS authenticates and writes into its trail."""
    return {"seawall": context, "name": name}


def _as_pairs(tags: list[dict[str, str]]) -> set[tuple[str, str]]:
    return {(tag["TagKey"], tag["TagValue"]) for tag in tags}


def _moment(at: datetime) -> datetime:
    return at.astimezone(UTC)


def _is_usable(endpoint: str) -> bool:
    try:
        parts = urlsplit(endpoint)
        host = parts.hostname
    except ValueError:
        return False
    if parts.username is not None or not host:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)


def _wrong(message: str, help_: str) -> Invalid:
    return Invalid("wrong-setting", message, help_)
