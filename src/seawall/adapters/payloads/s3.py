"""A payload store in an S3 bucket: one object a payload, put only where none is.

The bucket keeps no versions: what is deleted there must be gone. Credentials
need to get, put, list and delete below the prefix, and to read the bucket's
versioning. Calls are blocking and run on threads of their own, with the time
limits of the client that is handed in.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from seawall.adapters.payloads.objects import (
    OWNER,
    PAYLOAD_BYTES,
    altered,
    digest_at,
    fitting,
    missing,
    path_of,
    unavailable,
    untrusted,
    verified,
)
from seawall.app.ports import HeldPayload
from seawall.core.errors import Error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from seawall.app.ports import Random
    from seawall.core.seal.envelope import Sealed

T = TypeVar("T")

THREADS: Final = 16
"""How many calls are made at once; the client must have as many connections."""
_AT_ONCE: Final = 1_000
"""So many objects S3 deletes by one call."""
_IS_THERE: Final = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
_IS_MISSING: Final = ("NoSuchKey", "404")


class S3Payloads:
    """The Payloads port over a bucket."""

    def __init__(self, client: Any, *, bucket: str, prefix: str = "", random: Random) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._random = random
        self._threads = ThreadPoolExecutor(THREADS, "payloads")

    async def self_test(self, owner: str) -> None:
        """Claim the prefix, then put, put again, get and delete a canary."""
        await self._on_thread(partial(self._test, owner))

    async def put(self, sealed: Sealed) -> None:
        """Keep a sealed value; S3 itself compares what it took with the digest."""
        raw = fitting(sealed)
        await self._on_thread(partial(self._put, path_of(sealed.digest()), raw))

    async def get(self, digest: str) -> Sealed:
        """Return the value that has this digest."""
        path = path_of(digest)
        return await self._on_thread(lambda: verified(self._get(path), digest))

    async def delete(self, digests: Sequence[str]) -> None:
        """Delete objects, a thousand by a call; one that is not there is no error."""
        paths = [path_of(digest) for digest in digests]
        for first in range(0, len(paths), _AT_ONCE):
            await self._on_thread(partial(self._delete, paths[first : first + _AT_ONCE]))

    async def held(self) -> AsyncIterator[HeldPayload]:
        """Yield what lies below the prefix, page by page."""
        after: str | None = ""
        while after is not None:
            page, after = await self._on_thread(partial(self._listed, after))
            for held in page:
                yield held

    async def close(self) -> None:
        """Close connections, and let go of the threads."""
        self._threads.shutdown(wait=False)
        await asyncio.to_thread(self._client.close)

    # --- on a thread -----------------------------------------------------------

    def _test(self, owner: str) -> None:
        versioning = self._client.get_bucket_versioning(Bucket=self._bucket)
        if versioning.get("Status"):
            raise untrusted("keeps versions, so that nothing is ever deleted")
        try:
            self._put(OWNER, owner.encode())
        except Error as error:
            if error.code != altered().code:
                raise
            raise untrusted("is another installation's") from None
        canary = self._random.bytes(32)
        path = f"canary-{canary.hex()}"
        self._put(path, canary)
        if not self._writes_nothing_over(path) or self._get(path) != canary:
            raise untrusted("writes over an object, or gives back something else than it took")
        self._delete([path])
        try:
            self._get(path)
        except Error as error:
            if error.code != missing().code:
                raise
        else:
            raise untrusted("deletes nothing")

    def _writes_nothing_over(self, path: str) -> bool:
        try:
            self._put(path, b"another")
        except Error as error:
            return error.code == altered().code
        return False

    def _put(self, path: str, raw: bytes) -> None:
        digest = base64.b64encode(hashlib.sha256(raw).digest()).decode()
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=self._prefix + path,
                Body=raw,
                IfNoneMatch="*",
                ChecksumSHA256=digest,
                ContentType="application/octet-stream",
            )
        except ClientError as error:
            if _code(error) not in _IS_THERE:
                raise
            if self._get(path) != raw:
                raise altered() from None

    def _get(self, path: str) -> bytes:
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + path)
        except ClientError as error:
            if _code(error) in _IS_MISSING:
                raise missing() from None
            raise
        raw = bytes(answer["Body"].read(PAYLOAD_BYTES + 1))
        answer["Body"].close()
        if len(raw) > PAYLOAD_BYTES:
            raise altered()
        return raw

    def _delete(self, paths: Sequence[str]) -> None:
        answer = self._client.delete_objects(
            Bucket=self._bucket,
            Delete={"Objects": [{"Key": self._prefix + path} for path in paths], "Quiet": True},
        )
        if answer.get("Errors"):
            raise unavailable("does not delete what it is told to")

    def _listed(self, after: str) -> tuple[list[HeldPayload], str | None]:
        following = {"ContinuationToken": after} if after else {}
        answer = self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, **following)
        page = []
        for item in answer.get("Contents", ()):
            digest = digest_at(item["Key"].removeprefix(self._prefix))
            if digest is not None:
                at = item["LastModified"].astimezone(UTC)
                page.append(HeldPayload(digest, int(item["Size"]), at))
        if not answer.get("IsTruncated"):
            return page, None
        token = str(answer["NextContinuationToken"])
        if token == after:
            raise unavailable("lists without an end")
        return page, token

    async def _on_thread(self, work: Callable[[], T]) -> T:
        def translated() -> T:
            with _foreign_errors():
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._threads, translated)


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def _foreign_errors() -> Iterator[None]:
    """Turn the library's exceptions into ours; their texts are passed to nobody."""
    try:
        yield
    except Error:
        raise
    except ClientError:
        raise unavailable("refuses, or cannot do, what it is asked") from None
    except (BotoCoreError, HTTPClientError, OSError):
        raise unavailable("does not answer") from None
    except Exception:  # noqa: BLE001  whatever a strange answer makes the library or us raise
        raise unavailable("answers what cannot be understood") from None
