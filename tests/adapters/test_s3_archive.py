"""A bucket is trusted because it was tried: against a real S3 server, whole and sabotaged."""

from __future__ import annotations

import socket
import time
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final
from urllib.request import Request, urlopen

import pytest
from botocore.exceptions import ClientError

from buckets import LOCKED, PLAIN, bucket_server
from fakes import FakeRandom
from seawall.adapters.archive.s3 import S3Archive, connect_s3
from seawall.core.errors import Error, Invalid, Missing, Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

LATER: Final = datetime.now(UTC) + timedelta(days=2)


class Lenient:
    """A store like a real one that breaks one promise: an operation that does something else."""

    def __init__(self, client: Any, operation: str, instead: Callable[..., Any]) -> None:
        self._client = client
        self._operation = operation
        self._instead = instead

    def __getattr__(self, name: str) -> Any:
        """Return the real operation, but for the one."""
        real = getattr(self._client, name)
        if name != self._operation:
            return real
        return lambda **fields: self._instead(real, fields)


def says_yes(_real: Any, _fields: dict[str, Any]) -> dict[str, Any]:
    """Do nothing, and say that it was done."""
    return {}


def by_bypass(real: Any, fields: dict[str, Any]) -> Any:
    """Delete for those who may bypass governance, and for nobody else."""
    return {} if fields.get("BypassGovernanceRetention") else real(**fields)


def to_governance(real: Any, fields: dict[str, Any]) -> Any:
    """Let a lock be weakened to GOVERNANCE, and refuse the rest."""
    return {} if fields["Retention"]["Mode"] == "GOVERNANCE" else real(**fields)


def only_governance(real: Any, fields: dict[str, Any]) -> Any:
    """Lock in GOVERNANCE mode, whatever was asked for."""
    return real(**fields | {"ObjectLockMode": "GOVERNANCE"})


def not_at_all(real: Any, fields: dict[str, Any]) -> Any:
    """Take an object, and forget to lock it."""
    kept = {name: value for name, value in fields.items() if not name.startswith("ObjectLock")}
    return real(**kept)


def for_a_minute(real: Any, fields: dict[str, Any]) -> Any:
    """Lock for a minute, whatever was asked for."""
    return real(**fields | {"ObjectLockRetainUntilDate": datetime.now(UTC) + timedelta(minutes=1)})


def unconditionally(real: Any, fields: dict[str, Any]) -> Any:
    """Write over what is there, whatever the condition."""
    return real(**{name: value for name, value in fields.items() if name != "IfNoneMatch"})


def without_versions(real: Any, fields: dict[str, Any]) -> Any:
    """Keep no versions."""
    return real(**fields) | {"VersionId": "null"}


def suspended(_real: Any, _fields: dict[str, Any]) -> dict[str, Any]:
    """Say that versioning is suspended."""
    return {"Status": "Suspended"}


def timeless(_real: Any, _fields: dict[str, Any]) -> dict[str, Any]:
    """Answer without a date."""
    return {"ResponseMetadata": {"HTTPHeaders": {}}}


def another_version(real: Any, fields: dict[str, Any]) -> Any:
    """Give back other bytes for a version than it took."""
    answer = real(**fields)
    return answer | {"Body": BytesIO(b"other")} if "VersionId" in fields else answer


@pytest.fixture
async def archive() -> AsyncIterator[S3Archive]:
    """Yield an archive in a locked bucket."""
    made = bucket_server().archive()
    yield made
    await made.close()


async def caught(made: S3Archive, work: Callable[[S3Archive], Any]) -> Error:
    """Return the error in which work with an archive ends, and close it."""
    try:
        with pytest.raises(Error) as raised:
            await work(made)
    finally:
        await made.close()
    return raised.value


@pytest.mark.parametrize(
    ("operation", "instead"),
    [
        ("delete_object", says_yes),
        ("delete_object", by_bypass),
        ("put_object_retention", says_yes),
        ("put_object_retention", to_governance),
        ("put_object", only_governance),
        ("put_object", not_at_all),
        ("put_object", for_a_minute),
        ("put_object", unconditionally),
        ("put_object", without_versions),
        ("get_bucket_versioning", suspended),
        ("get_object_lock_configuration", says_yes),
        ("head_bucket", timeless),
        ("list_object_versions", says_yes),
        ("get_object", another_version),
    ],
)
async def test_a_store_that_breaks_a_promise_is_refused(
    operation: str, instead: Callable[..., Any]
) -> None:
    """Each of them passes everything else, and is not trusted."""
    lenient = bucket_server().archive(wrap=lambda client: Lenient(client, operation, instead))
    error = await caught(lenient, lambda made: made.self_test())
    assert (Refused, "archive-untrusted") == (type(error), error.code)


async def test_a_store_that_fails_while_it_is_tested_is_unavailable() -> None:
    """An error of the store's own is no refusal, and shows nothing."""

    def broken(_real: Any, _fields: dict[str, Any]) -> Any:
        """Fail as a store does that is broken."""
        answer = {"Error": {"Code": "InternalError"}, "ResponseMetadata": {"HTTPStatusCode": 500}}
        raise ClientError(answer, "DeleteObject")

    made = bucket_server().archive(wrap=lambda client: Lenient(client, "delete_object", broken))
    error = await caught(made, lambda made: made.self_test())
    assert (Unavailable, "archive-unavailable") == (type(error), error.code)


def unnumbered(real: Any, fields: dict[str, Any]) -> Any:
    """Give back an object as a bucket does whose versioning was never on."""
    return {name: value for name, value in real(**fields).items() if name != "VersionId"}


def nulled(real: Any, fields: dict[str, Any]) -> Any:
    """Give back an object as a bucket does whose versioning was suspended."""
    return real(**fields) | {"VersionId": "null"}


@pytest.mark.parametrize("instead", [unnumbered, nulled])
async def test_an_object_without_a_version_is_not_trusted(instead: Callable[..., Any]) -> None:
    """What is there already counts only by a version of its own."""
    made = bucket_server().archive(wrap=lambda client: Lenient(client, "get_object", instead))
    await made.put("a", b"a", LATER)
    error = await caught(made, lambda made: made.put("a", b"a", LATER))
    assert (Refused, "archive-untrusted") == (type(error), error.code)


async def test_what_nobody_understands_is_an_error_of_ours() -> None:
    """A strange answer, and whatever it makes the library raise, is an archive that fails."""

    def strange(_real: Any, _fields: dict[str, Any]) -> Any:
        """Answer without what was asked for."""
        return {"ResponseMetadata": {}}

    made = bucket_server().archive(wrap=lambda client: Lenient(client, "get_object", strange))
    error = await caught(made, lambda made: made.get("a", "v"))
    assert (Unavailable, "archive-unavailable") == (type(error), error.code)


async def test_a_long_listing_is_read_to_its_end() -> None:
    """Page after page, and one that never ends is given up."""

    def short(real: Any, fields: dict[str, Any]) -> Any:
        """List one at a time."""
        return real(**fields, MaxKeys=1)

    def endless(real: Any, fields: dict[str, Any]) -> Any:
        """List the same again and again."""
        return real(**fields) | {"IsTruncated": True, "NextKeyMarker": "a/1"}

    wrap = lambda client: Lenient(client, "list_object_versions", short)  # noqa: E731
    made = bucket_server().archive(wrap=wrap)
    for at in range(3):
        await made.put(f"a/{at}", b"a", LATER)
    assert ["a/0", "a/1", "a/2"] == sorted([lying.path async for lying in made.lying("a")])
    made._client._instead = endless

    async def listed(made: S3Archive) -> list[object]:
        """List."""
        return [lying async for lying in made.lying("a")]

    assert "archive-unavailable" == (await caught(made, listed)).code


async def test_a_digest_that_the_store_contradicts_is_an_incident() -> None:
    """What the store says that it took is compared with what was sent."""

    def other_digest(real: Any, fields: dict[str, Any]) -> Any:
        """Say another digest."""
        return real(**fields) | {"ChecksumSHA256": "AAAA"}

    made = bucket_server().archive(wrap=lambda client: Lenient(client, "put_object", other_digest))
    error = await caught(made, lambda made: made.put("a", b"a", LATER))
    assert "archive-altered" == error.code


async def test_a_bucket_without_object_lock_is_refused() -> None:
    """A bucket that was made without the lock is not trusted, and takes nothing."""
    for work in (lambda made: made.self_test(), lambda made: made.put("a", b"a", LATER)):
        error = await caught(bucket_server().archive(bucket=PLAIN), work)
        assert "archive-untrusted" == error.code


async def test_a_locked_object_cannot_be_deleted_or_shortened(archive: S3Archive) -> None:
    """Neither its version nor its date gives way to whoever owns the bucket."""
    version = await archive.put("a/b", b"entries", LATER)
    client = bucket_server().client()
    named = {"Bucket": LOCKED, "Key": f"{archive._prefix}a/b", "VersionId": version}
    sooner = {"Mode": "COMPLIANCE", "RetainUntilDate": datetime.now(UTC) + timedelta(hours=1)}
    attempts: list[Callable[[], Any]] = [
        lambda: client.delete_object(**named),
        lambda: client.delete_object(**named, BypassGovernanceRetention=True),
        lambda: client.put_object_retention(**named, Retention=sooner),
    ]
    for attempt in attempts:
        with pytest.raises(ClientError, match="AccessDenied"):
            attempt()
    client.close()
    assert b"entries" == await archive.get("a/b", version)


async def test_a_delete_marker_hides_nothing_from_who_knows_the_version(
    archive: S3Archive,
) -> None:
    """Deleted without a version, the object is still there by its version, and put again."""
    version = await archive.put("a/b", b"entries", LATER)
    client = bucket_server().client()
    client.delete_object(Bucket=LOCKED, Key=f"{archive._prefix}a/b")
    client.close()
    again = await archive.put("a/b", b"entries", LATER)
    assert b"entries" == await archive.get("a/b", version) == await archive.get("a/b", again)


async def test_a_legal_hold_is_the_stores_own(archive: S3Archive) -> None:
    """What is held is held by S3, and stays so until it is lifted."""
    version = await archive.put("a/b", b"entries", LATER)
    client = bucket_server().client()
    said = []
    for is_held in (True, False):
        await archive.hold("a/b", version, is_held=is_held)
        named = {"Bucket": LOCKED, "Key": f"{archive._prefix}a/b", "VersionId": version}
        said.append(client.get_object_legal_hold(**named)["LegalHold"]["Status"])
    client.close()
    assert ["ON", "OFF"] == said


async def test_fractions_of_a_second_are_rounded_up(archive: S3Archive) -> None:
    """S3 keeps whole seconds: the object is kept until the one that is not earlier."""
    until = LATER.replace(microsecond=1)
    version = await archive.put("a/b", b"entries", until)
    client = bucket_server().client()
    named = {"Bucket": LOCKED, "Key": f"{archive._prefix}a/b", "VersionId": version}
    kept = client.get_object_retention(**named)["Retention"]["RetainUntilDate"]
    client.close()
    assert until.replace(microsecond=0) + timedelta(seconds=1) == kept


async def test_what_the_lock_does_not_cover_is_found_by_reading_back() -> None:
    """Whoever has the server's disks deletes around S3's lock; then the object is missing."""
    archive = bucket_server().archive()
    version = await archive.put("a/b", b"entries", LATER)
    path = f"/buckets/{LOCKED}/{archive._prefix}a"
    request = Request(f"{bucket_server().filer}{path}?recursive=true", method="DELETE")  # noqa: S310  our own server
    with urlopen(request) as answer:  # noqa: ASYNC210, S310  as above
        assert answer.status == 204
    error = await caught(archive, lambda made: made.get("a/b", version))
    assert (Missing, "archive-object-missing") == (type(error), error.code)


def stranger(**fields: Any) -> S3Archive:
    """Return an archive of another endpoint or authority than the server's."""
    server = bucket_server()
    settings: dict[str, Any] = {
        "endpoint": server.url,
        "region": "us-east-1",
        "authority": str(server.authority),
    }
    return S3Archive(
        "vault", connect_s3(**settings | fields), bucket=LOCKED, prefix="x", random=FakeRandom()
    )


async def test_a_store_that_is_down_is_unavailable() -> None:
    """A closed port, after a few quick attempts, is an archive that does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    made = stranger(endpoint=f"https://localhost:{port}")
    error = await caught(made, lambda made: made.put("a", b"a", LATER))
    assert (Unavailable, "archive-unavailable") == (type(error), error.code)


async def test_a_store_that_never_answers_is_unavailable() -> None:
    """One that takes the connection and says nothing is given up in bounded time."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://localhost:{silent.getsockname()[1]}"
        began = time.monotonic()
        error = await caught(
            stranger(endpoint=url, read_seconds=0.2), lambda made: made.get("a", "v")
        )
    assert (Unavailable, "archive-unavailable") == (type(error), error.code)
    assert time.monotonic() - began < 30


async def test_a_store_of_another_authority_is_unavailable() -> None:
    """A certificate that the authority did not sign is not accepted."""
    error = await caught(stranger(authority=""), lambda made: made.now())
    assert (Unavailable, "archive-unavailable") == (type(error), error.code)


async def test_credentials_that_are_refused_are_told() -> None:
    """A store that refuses us is no store that is down."""

    def forbidden(_real: Any, _fields: dict[str, Any]) -> Any:
        """Refuse as S3 does."""
        answer = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
        raise ClientError(answer, "PutObject")

    made = bucket_server().archive(wrap=lambda client: Lenient(client, "put_object", forbidden))
    error = await caught(made, lambda made: made.put("a", b"a", LATER))
    assert (Refused, "archive-refused") == (type(error), error.code)


async def test_a_store_that_is_full_is_unavailable() -> None:
    """No space is told as what may pass, and nothing of the store's text is passed on."""

    def full(_real: Any, _fields: dict[str, Any]) -> Any:
        """Refuse as a store without space does."""
        said = {"Code": "InsufficientStorage", "Message": "Quackenbush"}
        raise ClientError({"Error": said, "ResponseMetadata": {"HTTPStatusCode": 507}}, "PutObject")

    made = bucket_server().archive(wrap=lambda client: Lenient(client, "put_object", full))
    error = await caught(made, lambda made: made.put("a", b"a", LATER))
    assert (Unavailable, False) == (type(error), "Quackenbush" in str(error))


def test_an_endpoint_without_tls_is_refused() -> None:
    """Entries are handled as PHI: no http."""
    with pytest.raises(Invalid) as raised:
        connect_s3(endpoint="http://localhost:1", region="us-east-1", authority="")
    assert "wrong-setting" == raised.value.code


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that name a proxy, an endpoint or an authority change nothing."""
    for name in ("HTTPS_PROXY", "https_proxy", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_CA_BUNDLE", "/nowhere.pem")
    made = stranger()
    now = made._client.head_bucket(Bucket=LOCKED)["ResponseMetadata"]["HTTPStatusCode"]
    aws = connect_s3(endpoint="", region="us-east-1", authority="")
    assert (200, "https://s3.amazonaws.com") == (now, aws.meta.endpoint_url)
    made._client.close()
    aws.close()
