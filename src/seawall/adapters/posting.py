"""Posting to one place of the world: a witness, or a time-stamp authority.

No redirect is followed, no proxy environment read, no cookie kept, no certificate
left unverified, and nothing that comes back is told in its own words. The wait and
the size of the answer have limits. It is written for these two and apart from the
client to models, which streams and holds secrets.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import aiohttp

from seawall.app.ports import Posted
from seawall.core.errors import Invalid, Unavailable
from seawall.tls import client_context

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

MAX_ANSWER_BYTES: Final = 1 << 18
_SECONDS: Final = 10.0
_LETTING_GO_SECONDS: Final = 0.05


class HttpPost:
    """The Post port by aiohttp, with a connection of its own for each post.

    tlog-witness would rather have connections kept; with a post for each log and
    minute there is little to keep, and nothing to close.
    """

    def __init__(
        self,
        url: str,
        content_type: str,
        *,
        authority: str | Path = "",
        plain: bool = False,
        seconds: float = _SECONDS,
    ) -> None:
        """Take the place, the type of what is posted, and the authority of its certificate.

        Without an authority the system's are trusted. `plain` allows http, for answers
        that are signed themselves.
        """
        if not url.startswith(("https://", "http://") if plain else "https://"):
            raise Invalid(
                "wrong-setting",
                "the setting url of a witness or a time-stamp authority is not usable",
                "use an https URL",
            )
        self._url = url
        self._content_type = content_type
        self._authority = str(authority)
        self._seconds = seconds
        self._trusting: ssl.SSLContext | None = None

    async def __call__(self, body: bytes) -> Posted:
        """Post a body; `Unavailable` unless a whole answer comes in time and is not too large."""
        headers = {"Content-Type": self._content_type, "Accept-Encoding": "identity"}
        try:
            if self._trusting is None:
                # Away from the event loop: reading the system's authorities takes a while.
                self._trusting = await asyncio.to_thread(self._context)
            async with (
                asyncio.timeout(self._seconds),
                aiohttp.ClientSession(
                    trust_env=False, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
                ) as session,
                session.post(
                    self._url,
                    data=body,
                    headers=headers,
                    ssl=self._trusting,
                    allow_redirects=False,
                ) as response,
            ):
                content = await _read(response)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            raise Unavailable(
                "outside-unreachable",
                "a witness or a time-stamp authority does not answer as it should",
                "check its url and authority, and that it runs",
            ) from None
        finally:
            # aiohttp does not wait until TLS transports let go of their sockets.
            await asyncio.sleep(_LETTING_GO_SECONDS)
        return Posted(response.status, response.content_type, content)

    def _context(self) -> ssl.SSLContext:
        return client_context(self._authority or None)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Return the whole body, bounded."""
    content = await response.content.read(MAX_ANSWER_BYTES + 1)
    while len(content) <= MAX_ANSWER_BYTES:
        more = await response.content.read(MAX_ANSWER_BYTES + 1 - len(content))
        if not more:
            return content
        content += more
    raise Unavailable(
        "outside-too-large",
        "a witness or a time-stamp authority answers more than it may",
        "check its url",
    )
