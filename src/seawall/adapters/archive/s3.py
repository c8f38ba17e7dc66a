"""An archive in an S3 bucket with versioning and Object Lock in COMPLIANCE mode.

In that mode no user can delete a version or shorten its retention, the root
user of the account included, until the date has come. A store that only says so
is found out by `self_test`; one whose disks somebody can reach around S3 is not.

Calls are blocking and run on threads, with bounded time and few retries. No
proxy of the environment is used, and no endpoint but the configured one, over TLS.
Importing this module takes the extra `s3`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from seawall.app.ports import Lying
from seawall.core.errors import Conflict, Error, Invalid, Missing, Refused, Tampered, Unavailable
from seawall.tls import client_context, use_in_boto

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from seawall.app.ports import Random

T = TypeVar("T")

_MODE: Final = "COMPLIANCE"
_CANARY_KEPT: Final = timedelta(hours=1)
_CONNECT_SECONDS: Final = 5
_READ_SECONDS: Final = 15
_ATTEMPTS: Final = 2
_CONNECTIONS: Final = 4
_IS_THERE: Final = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
_IS_MISSING: Final = ("NoSuchKey", "NoSuchVersion", "404", "MethodNotAllowed")
_IS_FORBIDDEN: Final = 403
_NOT_LOCKED: Final = ("InvalidRequest", "ObjectLockConfigurationNotFoundError")


def connect_s3(
    *,
    endpoint: str,
    region: str,
    authority: str,
    read_seconds: float = _READ_SECONDS,
    connections: int = _CONNECTIONS,
) -> Any:
    """Return a client of S3; credentials are those that boto3 finds.

    `Invalid` for an endpoint without TLS, or an authority that cannot be read.
    """
    if endpoint and not endpoint.startswith("https://"):
        raise Invalid(
            "wrong-setting",
            "the endpoint of an archive is not usable",
            "use https://: entries are handled as PHI",
        )
    try:
        context = client_context(authority or None)
    except OSError:
        raise Invalid(
            "wrong-setting",
            "the authority of an archive cannot be read",
            "name a PEM file",
        ) from None
    client = boto3.client(
        "s3",
        endpoint_url=endpoint or None,
        region_name=region,
        config=Config(
            proxies={},
            ignore_configured_endpoint_urls=True,
            connect_timeout=min(_CONNECT_SECONDS, read_seconds),
            read_timeout=read_seconds,
            retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
            max_pool_connections=connections,
            s3={"addressing_style": "path" if endpoint else "auto"},
        ),
    )
    return use_in_boto(client, context)


class S3Archive:
    """The Archive port over a bucket."""

    def __init__(
        self, name: str, client: Any, *, bucket: str, prefix: str = "", random: Random
    ) -> None:
        self._name = name
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._random = random

    @property
    def name(self) -> str:
        """The name that the settings give it."""
        return self._name

    @property
    def is_locked(self) -> bool:
        """Always: what is put is locked, and `self_test` refuses a bucket that lets go."""
        return True

    async def self_test(self) -> None:
        """Write a canary, then try to delete it, to shorten it and to write over it.

        `Refused` (`archive-untrusted`) unless the bucket keeps versions, locks them in
        COMPLIANCE mode, and refuses each attempt. The canary stays for an hour.
        """
        await self._on_thread(self._test)

    async def now(self) -> datetime | None:
        """Return the time by the store's own clock."""
        return await self._on_thread(self._now)

    async def put(self, path: str, content: bytes, retain_until: datetime) -> str:
        """Keep a new object, locked; return its version id."""
        return await self._on_thread(lambda: self._put(path, content, retain_until))

    async def get(self, path: str, version: str) -> bytes:
        """Return an object by its version id; `Missing` if it is not there."""

        def work() -> bytes:
            """Read the whole body."""
            answer = self._call("get_object", path, VersionId=version)
            return bytes(answer["Body"].read())

        return await self._on_thread(work)

    async def lying(self, below: str) -> AsyncIterator[Lying]:
        """Yield what lies below a path, also under a delete marker, page by page."""
        after: dict[str, str] | None = {}
        while after is not None:
            page, after = await self._on_thread(partial(self._listed, below, after))
            for lying in page:
                yield lying

    async def extend(self, path: str, version: str, retain_until: datetime) -> None:
        """Keep an object longer; `Refused` if that is earlier than it is kept now."""

        def work() -> None:
            """Compare with what the store says, then raise."""
            kept = self._kept(self._call("head_object", path, VersionId=version))
            if _seconds(retain_until) < kept:
                raise Refused(
                    "retention-shortened",
                    "an archived object would be kept for less long than it was promised",
                    "retention can be raised, and never lowered",
                )
            self._retain(path, version, retain_until)

        await self._on_thread(work)

    async def hold(self, path: str, version: str, *, is_held: bool) -> None:
        """Place or lift S3's legal hold."""
        status = {"Status": "ON" if is_held else "OFF"}
        await self._on_thread(
            lambda: self._call("put_object_legal_hold", path, VersionId=version, LegalHold=status)
        )

    async def close(self) -> None:
        """Close connections."""
        await asyncio.to_thread(self._client.close)

    # --- on a thread -----------------------------------------------------------

    def _put(self, path: str, content: bytes, until: datetime) -> str:
        try:
            answer = self._call(
                "put_object",
                path,
                Body=content,
                # Only where nothing is: two writers make one version, and none writes over.
                IfNoneMatch="*",
                ChecksumAlgorithm="SHA256",
                ObjectLockMode=_MODE,
                ObjectLockRetainUntilDate=_seconds(until),
                ContentType="application/octet-stream",
            )
        except ClientError as error:
            if _code(error) not in _IS_THERE:
                raise
            return self._same(path, content, until)
        version = self._version(answer)
        said = answer.get("ChecksumSHA256")
        if said is not None and said != base64.b64encode(hashlib.sha256(content).digest()).decode():
            raise self._altered()
        return version

    def _version(self, answer: dict[str, Any]) -> str:
        """Return by which version the store knows an object; `Refused` if by none."""
        version = answer.get("VersionId")
        if not version or version == "null":
            raise self._untrusted("keeps no versions")
        return str(version)

    def _listed(
        self, below: str, after: dict[str, str]
    ) -> tuple[list[Lying], dict[str, str] | None]:
        """Return one page of a listing, and after what the next begins; None if it is the last."""
        answer = self._client.list_object_versions(
            Bucket=self._bucket, Prefix=f"{self._prefix}{below}/", **after
        )
        page = [
            Lying(
                item["Key"].removeprefix(self._prefix),
                self._version(item),
                item["LastModified"].astimezone(UTC),
            )
            for item in answer.get("Versions", ())
        ]
        if not answer.get("IsTruncated"):
            return page, None
        following = {"KeyMarker": answer["NextKeyMarker"]}
        if answer.get("NextVersionIdMarker"):
            following["VersionIdMarker"] = answer["NextVersionIdMarker"]
        if following == after:
            raise self._unavailable("lists without an end")
        return page, following

    def _same(self, path: str, content: bytes, until: datetime) -> str:
        """Return the version of what is there already, kept at least as long."""
        answer = self._call("get_object", path)
        if answer["Body"].read() != content:
            raise Conflict(
                "archive-conflict",
                f"the archive {self._name} holds another content at a path of this log",
                "keep both as they are, compare them, and treat it as an incident",
            )
        version = self._version(answer)
        if self._kept(answer) < _seconds(until):
            self._retain(path, version, until)
        return version

    def _retain(self, path: str, version: str, until: datetime, mode: str = _MODE) -> None:
        retention = {"Mode": mode, "RetainUntilDate": _seconds(until)}
        self._call("put_object_retention", path, VersionId=version, Retention=retention)

    def _kept(self, answer: dict[str, Any]) -> datetime:
        """Return until when the store says that it keeps a version."""
        until = answer.get("ObjectLockRetainUntilDate")
        if answer.get("ObjectLockMode") != _MODE or until is None:
            raise self._untrusted("holds an object that is not locked in COMPLIANCE mode")
        kept: datetime = until.astimezone(UTC).replace(microsecond=0)
        return kept

    def _now(self) -> datetime:
        answer = self._client.head_bucket(Bucket=self._bucket)
        try:
            at = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
            return at.astimezone(UTC)
        except (KeyError, ValueError):
            raise self._untrusted("does not say what time it is") from None

    def _test(self) -> None:
        versioning = self._client.get_bucket_versioning(Bucket=self._bucket)
        lock = self._client.get_object_lock_configuration(Bucket=self._bucket)
        if versioning.get("Status") != "Enabled":
            raise self._untrusted("keeps no versions")
        if lock.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") != "Enabled":
            raise self._untrusted("has no Object Lock")
        folder = f"self-test/{self._random.bytes(16).hex()}"
        path = f"{folder}/canary"
        now = self._now()
        until = now + _CANARY_KEPT
        version = self._put(path, b"canary", until)
        if self._kept(self._call("head_object", path, VersionId=version)) < _seconds(until):
            raise self._untrusted("keeps an object for less long than it was told")
        if [lying.version for lying in self._listed(folder, {})[0]] != [version]:
            raise self._untrusted("does not list what it took")
        sooner = now + _CANARY_KEPT / 2
        attempts: dict[str, Callable[[], Any]] = {
            "lets a locked object be deleted": lambda: self._call(
                "delete_object", path, VersionId=version
            ),
            "lets a locked object be deleted by those who may bypass governance": lambda: (
                self._call("delete_object", path, VersionId=version, BypassGovernanceRetention=True)
            ),
            "lets a retention be shortened": lambda: self._retain(path, version, sooner),
            "lets a lock be weakened": lambda: self._retain(path, version, until, "GOVERNANCE"),
        }
        for why, attempt in attempts.items():
            self._must_fail(why, attempt)
        self._must_not_write_over(path)
        kept = self._call("get_object", path, VersionId=version)
        if kept["Body"].read() != b"canary" or self._kept(kept) < _seconds(until):
            raise self._untrusted("lets a locked object be changed")

    def _must_fail(self, why: str, attempt: Callable[[], Any]) -> None:
        try:
            attempt()
        except ClientError as error:
            if _status(error) // 100 == 4:  # noqa: PLR2004  refused, and not broken
                return
            raise
        raise self._untrusted(why)

    def _must_not_write_over(self, path: str) -> None:
        try:
            self._put(path, b"another", self._now() + _CANARY_KEPT)
        except Conflict:
            return
        raise self._untrusted("writes over an object that it was told not to write over")

    def _call(self, operation: str, path: str, **fields: Any) -> dict[str, Any]:
        key = self._prefix + path
        answer: dict[str, Any] = getattr(self._client, operation)(
            Bucket=self._bucket, Key=key, **fields
        )
        return answer

    def _untrusted(self, why: str) -> Refused:
        return Refused(
            "archive-untrusted",
            f"the archive {self._name} {why}",
            "use a bucket that was made with Object Lock, of a store that enforces it",
        )

    def _altered(self) -> Tampered:
        return Tampered(
            "archive-altered",
            f"the archive {self._name} holds something else than it took",
            "keep the archive as it is, and treat it as an incident",
        )

    async def _on_thread(self, work: Callable[[], T]) -> T:
        def translated() -> T:
            with self._foreign_errors():
                return work()

        return await asyncio.to_thread(translated)

    @contextmanager
    def _foreign_errors(self) -> Iterator[None]:
        """Turn the library's exceptions into ours; their texts are passed to nobody."""
        try:
            yield
        except Error:
            raise
        except ClientError as error:
            raise self._translate(error) from None
        except (BotoCoreError, HTTPClientError, OSError):
            raise self._unavailable("does not answer") from None
        except Exception:  # noqa: BLE001  whatever a strange answer makes the library or us raise
            raise self._unavailable("answers what cannot be understood") from None

    def _translate(self, error: Any) -> Exception:
        code = _code(error)
        if code in _NOT_LOCKED:
            return self._untrusted("has no Object Lock, or refuses to lock what it takes")
        if code in _IS_MISSING:
            return Missing(
                "archive-object-missing",
                f"the archive {self._name} does not hold an object that it took",
                "look for delete markers and lifecycle rules, and treat it as an incident",
            )
        if _status(error) == _IS_FORBIDDEN:
            return Refused(
                "archive-refused",
                f"the archive {self._name} refuses our credentials",
                "grant them to put, read, retain and hold objects of this bucket",
            )
        return self._unavailable("cannot do what it is asked")

    def _unavailable(self, what: str) -> Unavailable:
        return Unavailable(
            "archive-unavailable",
            f"the archive {self._name} {what}",
            "check its address, its space and this machine's network; nothing more is marked as "
            "archived until it answers",
        )


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: Any) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _seconds(at: datetime) -> datetime:
    """Return a moment in whole seconds, never earlier: S3 keeps no fractions."""
    whole = at.astimezone(UTC).replace(microsecond=0)
    return whole if whole == at else whole + timedelta(seconds=1)
