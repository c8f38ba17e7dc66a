"""RFC 3161 time stamps: an authority signs that something existed at a time.

The request is for a SHA-512 imprint, with a nonce and the authority's certificate.
What comes back is kept only if all of it verifies: granted, this imprint, this nonce,
a chain to the authority's root, a certificate for time stamping alone. The package
is an extra; without it the setting refuses to start.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509

from seawall.core.errors import Missing, Tampered, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

    from seawall.app.ports import Post

QUERY_TYPE: Final = "application/timestamp-query"
"""What a request is posted as: RFC 3161, section 3.4."""
_REPLY_TYPE: Final = "application/timestamp-reply"
_SHA512: Final = "2.16.840.1.101.3.4.2.3"
_OK: Final = 200
_TAGGED_0: Final = 0xA0
_LONG: Final = 0x80


class TimeStampAuthority:
    """The TimeStamps port over HTTP, by rfc3161-client."""

    def __init__(self, post: Post, root: Path) -> None:
        """Take where requests go, and the PEM file of the root that answers must lead to.

        `Missing` without the extra, `Unavailable` if the file has no certificate.
        """
        self._post = post
        self._library = _library()
        try:
            self._roots = x509.load_pem_x509_certificates(root.read_bytes())
        except (OSError, ValueError):
            raise Unavailable(
                "time-stamp-root",
                "the root certificate of the time-stamp authority cannot be read",
                "name its PEM file as authority under [timestamps]",
            ) from None

    async def stamp(self, signed: bytes) -> bytes:
        """Return a TimeStampResp (DER) over these bytes that was verified.

        `Unavailable` if none comes, `Tampered` if it is not what was asked for or not trusted.
        """
        request = self._library.TimestampRequestBuilder(data=signed).build()
        answer = await self._post(request.as_bytes())
        if answer.status != _OK or answer.content_type != _REPLY_TYPE:
            raise Unavailable(
                "time-stamp-failed",
                "the time-stamp authority gives no time stamp",
                "check the url under [timestamps]; a stamp is asked for again in the next round",
            )
        if not await asyncio.to_thread(self._is_sound, answer.body, signed, request.nonce):
            raise Tampered(
                "time-stamp-untrusted",
                "the time stamp is not the one that was asked for, or its signer is not trusted",
                "check the authority under [timestamps]; if it is right, treat it as an incident",
            )
        return answer.body

    def _is_sound(self, response: bytes, signed: bytes, nonce: int) -> bool:
        """Whether a response is granted, of this imprint and nonce, and by who leads to the root.

        RFC 3161, section 2.4.2. The certificates need to be valid at the stamped time.
        """
        library = self._library
        try:
            parsed = library.decode_timestamp_response(in_der_order(response))
            imprint = parsed.tst_info.message_imprint.hash_algorithm.dotted_string
            verifier = library.VerifierBuilder(nonce=nonce, roots=list(self._roots)).build()
            return imprint == _SHA512 and bool(verifier.verify_message(parsed, signed))
        except Exception:  # noqa: BLE001  hostile bytes: whatever the library says, they are not trusted
            return False


def in_der_order(response: bytes) -> bytes:
    """Return a TimeStampResp with the certificates of its token in the order of DER.

    CMS lets an authority send them in any order, openssl does, and the library reads
    DER alone. They are outside of what is signed (RFC 5652, section 5.1), and as long
    in any order. What cannot be walked is returned as it is.
    """
    try:
        _, token, *_ = _children(response, 0)
        _, content, *_ = _children(response, token)
        signed, *_ = _children(response, content)
        certificates = next(at for at in _children(response, signed) if response[at] == _TAGGED_0)
        start, end = _content(response, certificates)
        pieces = [
            response[at : _content(response, at)[1]] for at in _children(response, certificates)
        ]
    except (IndexError, ValueError, StopIteration):
        return response
    return response[:start] + b"".join(sorted(pieces)) + response[end:]


def _children(raw: bytes, at: int) -> list[int]:
    """Return where the parts begin of what begins at `at`."""
    place, end = _content(raw, at)
    found = []
    while place < end:
        found.append(place)
        place = _content(raw, place)[1]
    return found


def _content(raw: bytes, at: int) -> tuple[int, int]:
    """Return where the content begins and ends of what begins at `at`: X.690, 8.1.3."""
    size, start = raw[at + 1], at + 2
    if size & _LONG:
        start += size & ~_LONG
        size = int.from_bytes(raw[at + 2 : start], "big")
    if start + size > len(raw):
        raise ValueError
    return start, start + size


def _library() -> Any:
    """Return rfc3161-client; `Missing` where the extra is not installed."""
    try:
        import rfc3161_client  # noqa: PLC0415  an extra: only who stamps needs it
    except ImportError:
        raise Missing(
            "time-stamps-missing",
            "[timestamps] is set, and the package for RFC 3161 is not installed",
            "pip install 'seawall[timestamps]', or remove the table",
        ) from None
    return rfc3161_client
