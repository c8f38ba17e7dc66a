"""The setting `[payloads]`: an installation claims its store, and refuses another's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest

from buckets import ACCESS, PLAIN, bucket_server, new_prefix
from fake_payloads import a_payload
from seawall.compose import Installation
from seawall.config import Passphrase, PayloadBucket, PayloadFolder, Settings
from seawall.core.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSPHRASE: Final = Passphrase(b"correct horse battery staple")


@pytest.fixture
def credentials() -> Iterator[None]:
    """Put the S3 server's credentials where boto3 finds them."""
    os.environ.update(ACCESS)
    yield
    for name in ACCESS:
        del os.environ[name]


async def claim(folder: Path, place: PayloadFolder | PayloadBucket) -> list[str]:
    """Begin to write with a payload store, keep a payload in it; return what lies there."""
    installation = Installation.create(Settings(folder, port=0, payloads=place), PASSPHRASE)
    async with installation.write() as writer:
        assert writer.payloads is not None
        await writer.payloads.put(a_payload())
        return [held.digest async for held in writer.payloads.held()]


async def test_a_folder_of_the_data_folder_is_used(tmp_path: Path) -> None:
    """A relative one is made there, for its owner alone."""
    assert [a_payload().digest()] == await claim(tmp_path / "data", PayloadFolder("payloads"))
    assert 0o700 == (tmp_path / "data" / "payloads").stat().st_mode & 0o777


@pytest.mark.usefixtures("credentials")
async def test_a_bucket_is_used(tmp_path: Path) -> None:
    """As the settings say it: its prefix, its endpoint and whom to trust."""
    server = bucket_server()
    place = PayloadBucket(PLAIN, new_prefix(), server.url, authority=str(server.authority))
    assert [a_payload().digest()] == await claim(tmp_path / "data", place)


async def test_another_installations_folder_refuses_to_start(tmp_path: Path) -> None:
    """Two installations with one store would delete what the other keeps."""
    place = PayloadFolder(str(tmp_path / "shared"))
    await claim(tmp_path / "one", place)
    with pytest.raises(Refused) as caught:
        await claim(tmp_path / "two", place)
    assert "payloads-untrusted" == caught.value.code
