"""What payload stores do about other hands: changed objects, foreign folders, absent disks."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import EndpointConnectionError

from buckets import LOCKED, PLAIN, BucketServer, bucket_server, new_prefix
from fake_payloads import OWNER, a_payload
from fakes import FakeRandom
from seawall.adapters.payloads.folder import FolderPayloads
from seawall.adapters.payloads.objects import path_of
from seawall.adapters.payloads.s3 import S3Payloads
from seawall.core.errors import Refused, Tampered, Unavailable

if TYPE_CHECKING:
    from pathlib import Path


def in_bucket(server: BucketServer, prefix: str, client: Any = None, bucket: str = PLAIN) -> Any:
    """Return a payload store in a bucket."""
    return S3Payloads(
        client or server.client(), bucket=bucket, prefix=prefix, random=FakeRandom(new_prefix())
    )


async def test_a_changed_file_is_tampered(tmp_path: Path) -> None:
    """One flipped bit, and the digest is another; putting it again does not hide it."""
    payloads, sealed = FolderPayloads(tmp_path, random=FakeRandom()), a_payload()
    await payloads.put(sealed)
    file = tmp_path / path_of(sealed.digest())
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    for attempt in (payloads.get(sealed.digest()), payloads.put(sealed)):
        with pytest.raises(Tampered) as caught:
            await attempt
        assert "payload-tampered" == caught.value.code


async def test_a_changed_object_is_tampered() -> None:
    """The same of a bucket, where somebody else has written."""
    server, prefix, sealed = bucket_server(), new_prefix(), a_payload()
    payloads = in_bucket(server, prefix)
    key = f"{prefix}/{path_of(sealed.digest())}"
    server.client().put_object(Bucket=PLAIN, Key=key, Body=b"another")
    for attempt in (payloads.get(sealed.digest()), payloads.put(sealed)):
        with pytest.raises(Tampered) as caught:
            await attempt
        assert "payload-tampered" == caught.value.code
    await payloads.close()


async def test_files_are_their_owners_alone(tmp_path: Path) -> None:
    """Files have mode 0600 and folders 0700, whatever the umask; none is left half written."""
    payloads, sealed = FolderPayloads(tmp_path / "payloads", random=FakeRandom()), a_payload()
    before = os.umask(0)
    try:
        await payloads.self_test(OWNER)
        await payloads.put(sealed)
    finally:
        os.umask(before)
    folder = tmp_path / "payloads"
    found = {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}
    folders = {
        path.stat().st_mode & 0o777 for path in [folder, *folder.rglob("*")] if path.is_dir()
    }
    assert ({0o600}, {0o700}, []) == (found, folders, list((folder / ".incoming").iterdir()))


async def test_a_folder_of_other_things_is_not_claimed(tmp_path: Path) -> None:
    """A sweep must never run where somebody keeps something else."""
    (tmp_path / "letters.txt").write_text("dear", encoding="ascii")
    payloads = FolderPayloads(tmp_path, random=FakeRandom())
    with pytest.raises(Refused) as caught:
        await payloads.self_test(OWNER)
    assert "payloads-untrusted" == caught.value.code


async def test_what_an_ended_process_left_is_tidied_away(tmp_path: Path) -> None:
    """A file that is not whole goes after an hour, and not while it may be being written."""
    payloads = FolderPayloads(tmp_path, random=FakeRandom())
    await payloads.self_test(OWNER)
    old, young = tmp_path / ".incoming" / "old", tmp_path / ".incoming" / "young"
    for path in (old, young):
        path.write_bytes(b"half")
    long_ago = time.time() - 7200
    os.utime(old, (long_ago, long_ago))
    await payloads.self_test(OWNER)
    assert [young] == list((tmp_path / ".incoming").iterdir())


async def test_a_folder_that_went_away_is_not_made_anew(tmp_path: Path) -> None:
    """A mount that is not there must not become a folder on another disk, nor look empty."""
    payloads = FolderPayloads(tmp_path / "mount", random=FakeRandom())
    with pytest.raises(Unavailable) as caught:
        await payloads.put(a_payload())
    assert "payloads-unavailable" == caught.value.code
    with pytest.raises(Unavailable):
        assert [] == [held async for held in payloads.held()]


async def test_a_bucket_that_keeps_versions_is_refused() -> None:
    """There a deletion would delete nothing."""
    payloads = in_bucket(bucket_server(), new_prefix(), bucket=LOCKED)
    with pytest.raises(Refused) as caught:
        await payloads.self_test(OWNER)
    assert "payloads-untrusted" == caught.value.code
    await payloads.close()


async def test_an_absent_bucket_is_unavailable() -> None:
    """A bucket that nobody made is no missing payload."""
    payloads = in_bucket(bucket_server(), new_prefix(), bucket="nobody-made-it")
    with pytest.raises(Unavailable) as caught:
        await payloads.get(a_payload().digest())
    assert "payloads-unavailable" == caught.value.code
    await payloads.close()


class Careless:
    """A client of S3 whose store forgets one of its promises."""

    def __init__(self, client: Any, broken: str) -> None:
        self._client = client
        self._broken = broken

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def put_object(self, **fields: Any) -> Any:
        """Put, over what is there if that is the fault."""
        if self._broken == "overwriting":
            del fields["IfNoneMatch"]
        return self._client.put_object(**fields)

    def delete_objects(self, **fields: Any) -> Any:
        """Delete, or only say so."""
        if self._broken == "refusing":
            return {"Errors": [{"Code": "AccessDenied"}]}
        return {} if self._broken == "keeping" else self._client.delete_objects(**fields)

    def get_object(self, **fields: Any) -> Any:
        """Get, or not answer."""
        if self._broken == "silent":
            raise EndpointConnectionError(endpoint_url="https://s3.example.org")
        return self._client.get_object(**fields)


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        ("overwriting", "payloads-untrusted"),
        ("keeping", "payloads-untrusted"),
        ("refusing", "payloads-unavailable"),
        ("silent", "payloads-unavailable"),
    ],
)
async def test_a_store_that_breaks_a_promise_is_found_out(broken: str, code: str) -> None:
    """The self-test refuses a store that writes over, does not delete, or does not answer."""
    server = bucket_server()
    payloads = in_bucket(server, new_prefix(), Careless(server.client(), broken))
    with pytest.raises((Refused, Unavailable)) as caught:
        await payloads.self_test(OWNER)
    assert code == caught.value.code
    await payloads.close()


async def test_a_long_listing_comes_page_by_page() -> None:
    """What lies beyond S3's first page is listed as well."""
    server = bucket_server()

    class InPages(Careless):
        """A store that lists two objects at once."""

        def list_objects_v2(self, **fields: Any) -> Any:
            """List a little."""
            return self._client.list_objects_v2(**fields, MaxKeys=2)

    payloads = in_bucket(server, new_prefix(), InPages(server.client(), ""))
    wanted = {a_payload(str(item)).digest(): a_payload(str(item)) for item in range(5)}
    for sealed in wanted.values():
        await payloads.put(sealed)
    assert sorted(wanted) == sorted([held.digest async for held in payloads.held()])
    await payloads.close()
