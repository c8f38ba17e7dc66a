"""RFC 3161 against a real authority, `openssl ts`: what is kept, and what is not believed."""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING

import pytest
import rfc3161_client
from hypothesis import given
from hypothesis import strategies as st

from authority import Authority, query_without_nonce, verified_by_openssl
from seawall.adapters.posting import HttpPost
from seawall.adapters.timestamps import QUERY_TYPE, TimeStampAuthority, in_der_order
from seawall.core.errors import Missing, Tampered, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEXT = b"ledger.example/log/42\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Authority, str]]:
    """Make an authority and serve it for the tests of this file."""
    authority = Authority.make(tmp_path_factory.mktemp("authority") / "right")
    with authority.serving() as url:
        yield authority, url


@pytest.fixture
def authority(made: tuple[Authority, str]) -> Authority:
    """Return the authority as it should behave."""
    authority = made[0]
    authority.changing, authority.answering = None, None
    authority.type, authority.status = "application/timestamp-reply", 200
    authority.asked.clear()
    return authority


@pytest.fixture
def stamps(made: tuple[Authority, str], authority: Authority) -> TimeStampAuthority:
    """Return the client that trusts the authority's root."""
    return TimeStampAuthority(HttpPost(made[1], QUERY_TYPE, plain=True), authority.root)


async def test_a_stamp_is_what_any_program_verifies(
    stamps: TimeStampAuthority, authority: Authority, tmp_path: Path
) -> None:
    """What is kept is the authority's whole response, which openssl verifies over the text."""
    stamp = await stamps.stamp(TEXT)

    assert verified_by_openssl(authority.root, stamp, TEXT, tmp_path)
    assert not verified_by_openssl(authority.root, stamp, TEXT + b"x", tmp_path)


async def test_the_request_names_a_sha_512_imprint_and_a_new_nonce(
    stamps: TimeStampAuthority, authority: Authority
) -> None:
    """Each request holds the digest of the text, asks for the certificate, and is another one."""
    await stamps.stamp(TEXT)
    await stamps.stamp(TEXT)

    assert all(hashlib.sha512(TEXT).digest() in asked for asked in authority.asked)
    assert all(asked.endswith(b"\x01\x01\xff") for asked in authority.asked)
    assert 2 == len(set(authority.asked))


async def test_a_stamp_of_something_else_is_refused(
    stamps: TimeStampAuthority, authority: Authority
) -> None:
    """An imprint other than the one that was asked for is not kept."""
    right, wrong = hashlib.sha512(TEXT).digest(), hashlib.sha512(b"other").digest()
    authority.changing = lambda request: request.replace(right, wrong)

    with pytest.raises(Tampered):
        await stamps.stamp(TEXT)


async def test_an_older_stamp_of_the_same_text_is_refused(
    stamps: TimeStampAuthority, authority: Authority
) -> None:
    """A response to another request, with another nonce, is not kept."""
    authority.answering = await stamps.stamp(TEXT)

    with pytest.raises(Tampered):
        await stamps.stamp(TEXT)


async def test_a_stamp_without_a_nonce_is_refused(
    stamps: TimeStampAuthority, authority: Authority, tmp_path: Path
) -> None:
    """A response that leaves the nonce out is not kept."""
    query = query_without_nonce(TEXT, tmp_path)
    authority.changing = lambda _: query

    with pytest.raises(Tampered):
        await stamps.stamp(TEXT)


async def test_an_authority_under_another_root_is_refused(
    made: tuple[Authority, str], authority: Authority, tmp_path: Path
) -> None:
    """A stamp whose chain does not lead to the configured root is not kept."""
    other = Authority.make(tmp_path / "other")
    stamps = TimeStampAuthority(HttpPost(made[1], QUERY_TYPE, plain=True), other.root)

    with pytest.raises(Tampered):
        await stamps.stamp(TEXT)
    assert 1 == len(authority.asked)


async def test_every_changed_byte_of_a_stamp_is_refused_or_means_the_same(
    stamps: TimeStampAuthority, authority: Authority, tmp_path: Path
) -> None:
    """No changed response is kept unless openssl too finds it to be of this text."""
    good = await stamps.stamp(TEXT)
    nonce = stamps._library.decode_timestamp_response(in_der_order(good)).tst_info.nonce
    kept = []
    for at in range(0, len(good), 7):
        changed = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        if stamps._is_sound(changed, TEXT, nonce):
            kept.append(changed)

    assert all(verified_by_openssl(authority.root, one, TEXT, tmp_path) for one in kept)
    # The root that the authority sends along is not believed, so that changing it changes nothing.
    assert len(kept) < len(good) / 7 / 2


def test_certificates_are_read_in_any_order(authority: Authority) -> None:
    """An order of certificates that is not DER's, as openssl sends it, is put right for reading."""
    sent = authority.stamp(query_without_nonce(TEXT, authority.folder))
    ordered = in_der_order(sent)

    assert sorted(sent) == sorted(ordered)
    assert ordered == in_der_order(ordered)
    assert rfc3161_client.decode_timestamp_response(ordered).tst_info.serial_number > 0


@given(st.binary(max_size=64), st.integers(0, 200))
def test_what_is_no_response_is_left_as_it_is(noise: bytes, at: int) -> None:
    """Putting certificates in order ends on any bytes, and loses none."""
    nested = b"0\x80" * at + noise

    assert sorted(noise) == sorted(in_der_order(noise))
    assert sorted(nested) == sorted(in_der_order(nested))


@pytest.mark.parametrize(
    "answer", [b"", b"hello", b"0\x03\x02\x01\x02", b"\x30\x84\xff\xff\xff\xff"]
)
async def test_what_is_no_response_is_refused(
    stamps: TimeStampAuthority, authority: Authority, answer: bytes
) -> None:
    """Bytes that are no granted response are not kept, whatever they are."""
    authority.answering = answer

    with pytest.raises(Tampered):
        await stamps.stamp(TEXT)


@pytest.mark.parametrize(
    ("status", "kind"), [(500, "application/timestamp-reply"), (200, "text/html")]
)
async def test_an_authority_that_does_not_stamp_is_told(
    stamps: TimeStampAuthority, authority: Authority, status: int, kind: str
) -> None:
    """Another status, or another type than RFC 3161's, is no time stamp."""
    authority.status, authority.type = status, kind

    with pytest.raises(Unavailable):
        await stamps.stamp(TEXT)


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_root_that_cannot_be_read_is_told(tmp_path: Path, content: bytes | None) -> None:
    """Without a root certificate nothing could be verified, so that it refuses to start."""
    root = tmp_path / "root.pem"
    if content is not None:
        root.write_bytes(content)

    with pytest.raises(Unavailable):
        TimeStampAuthority(HttpPost("http://127.0.0.1:1/", QUERY_TYPE, plain=True), root)


def test_a_missing_package_is_told(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the extra is not installed, the error names it."""
    monkeypatch.setitem(sys.modules, "rfc3161_client", None)

    with pytest.raises(Missing, match="not installed") as told:
        TimeStampAuthority(HttpPost("http://127.0.0.1:1/", QUERY_TYPE, plain=True), authority.root)
    assert "seawall[timestamps]" in told.value.help
