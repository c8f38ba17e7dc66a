"""The few requests to the transit engine that are used, by hvac and bounded.

No redirect is followed, no variable of the environment read (proxy, token, address,
authority), no cookie kept, no certificate left unverified. A request has a time limit
over all, and its answer a size. The token is in no repr and no error.
"""

from __future__ import annotations

import base64
import re
import threading
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import requests
from hvac.adapters import JSONAdapter
from hvac.api.secrets_engines import Transit as TransitCalls
from requests.adapters import HTTPAdapter

from seawall.adapters.keys.openbao_errors import foreign_errors, tokenless, unavailable
from seawall.core.errors import Invalid, Refused
from seawall.tls import client_context

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from seawall.app.ports import Clock

_CONNECT_SECONDS: Final = 1.0
_READ_SECONDS: Final = 1.5
_TOTAL_SECONDS: Final = 3.0
_ANSWER_BYTES: Final = 1 << 18
_PIECE: Final = 1 << 14
_EMPTY: Final = 204
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,8192}")
_HERE: Final = ("127.0.0.1", "::1", "localhost")


def check_url(url: str) -> None:
    """Raise `Invalid` unless a URL is https to a host, or http to this very machine."""
    try:
        parts = urlsplit(url)
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _HERE)
        is_whole = parts.port != 0 and bool(parts.hostname)
    except ValueError:
        is_safe = is_whole = False
    rest = url.partition("://")[2]
    if not (is_safe and is_whole) or re.search(r"[@?#\s\\]|/.", rest):
        raise Invalid(
            "wrong-setting",
            "the setting keys.url is not usable",
            "use https:// with a host and a port, or http:// on this very machine",
        )


class Transit:
    """The transit engine at one mount, asked with a token that may be renewed meanwhile.

    Errors are those of the KeyManager port, or `BadRequest`.
    """

    def __init__(
        self,
        *,
        url: str,
        mount: str,
        authority: str,
        namespace: str,
        token: Callable[[], str | None],
        clock: Clock,
    ) -> None:
        try:
            session = _Bounded(authority, clock)
        except OSError:
            raise Invalid(
                "wrong-setting",
                "the setting keys.authority is not usable",
                "name a PEM file with the certificates of the authorities to trust",
            ) from None
        self._mount = mount
        self._token = token
        self._lock = threading.Lock()
        self._adapter = JSONAdapter(
            base_uri=url,
            namespace=namespace or None,
            session=session,
            timeout=(_CONNECT_SECONDS, _READ_SECONDS),
            allow_redirects=False,
        )
        self._calls = TransitCalls(self._adapter)

    def read(self, key: str) -> Mapping[str, Any]:
        """Return what the server tells of a key."""
        return self._asked(lambda: self._calls.read_key(key, mount_point=self._mount))

    def encrypt(self, key: str, secret: bytes, context: bytes) -> Mapping[str, Any]:
        """Encrypt under the newest version of a key."""
        return self._asked(
            lambda: self._calls.encrypt_data(
                key, plaintext=_base64(secret), context=_base64(context), mount_point=self._mount
            )
        )

    def decrypt(self, key: str, ciphertext: str, context: bytes) -> Mapping[str, Any]:
        """Decrypt under the version that the ciphertext names."""
        return self._asked(
            lambda: self._calls.decrypt_data(
                key, ciphertext=ciphertext, context=_base64(context), mount_point=self._mount
            )
        )

    def create(self, key: str) -> None:
        """Make a key whose encryption is bound to a context; nothing changes if there is one."""
        self._done(
            lambda: self._calls.create_key(
                key, key_type="aes256-gcm96", derived=True, mount_point=self._mount
            )
        )

    def rotate(self, key: str) -> None:
        """Make a new version of a key."""
        self._done(lambda: self._calls.rotate_key(key, mount_point=self._mount))

    def trim(self, key: str, below: int) -> None:
        """Destroy the versions of a key below one."""
        # The server wants the minimum of encryption first, and each of them before it trims.
        for minimum in ("min_encryption_version", "min_decryption_version"):
            self._configure(key, {minimum: below})
        self._done(lambda: self._calls.trim_key(key, below, mount_point=self._mount))

    def delete(self, key: str) -> None:
        """Destroy a key."""
        self._configure(key, {"deletion_allowed": True})
        self._done(lambda: self._calls.delete_key(key, mount_point=self._mount))

    def _configure(self, key: str, changes: dict[str, Any]) -> None:
        self._done(
            lambda: self._calls.update_key_configuration(key, mount_point=self._mount, **changes)
        )

    def _asked(self, call: Callable[[], Any]) -> Mapping[str, Any]:
        """Return the data of an answer that must have some."""
        answer = self._call(call)
        found = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(found, dict):
            raise unavailable("answers what cannot be understood")
        return found

    def _done(self, call: Callable[[], Any]) -> None:
        """Do something whose answer may be empty, but not a redirect or the like."""
        answer = self._call(call)
        if not isinstance(answer, dict) and answer.status_code != _EMPTY:
            raise unavailable("answers what cannot be understood")

    def _call(self, call: Callable[[], Any]) -> Any:
        """Call with the token that is held; if it is refused and there is a newer, with that."""
        with self._lock:
            held = self._adapter.token or self._renewed()
        try:
            with foreign_errors():
                return call()
        except Refused:
            with self._lock:
                # Another thread may have fetched it already.
                if self._adapter.token == held and self._renewed() == held:
                    raise
        with foreign_errors():
            return call()

    def _renewed(self) -> str:
        token = self._token() or ""
        if not _TOKEN.fullmatch(token):
            raise tokenless()
        self._adapter.token = token
        return token


class _Bounded(requests.Session):
    """A session that reads nothing from the environment, and no more than it must."""

    def __init__(self, authority: str, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self.trust_env = False
        self.verify = authority or True
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.mount("http://", HTTPAdapter(pool_maxsize=8, max_retries=0))
        self.mount("https://", _OverTls(authority))

    def request(self, *args: Any, **options: Any) -> requests.Response:
        """Send a request; read the answer in bounded time and memory."""
        until = self._clock.monotonic() + _TOTAL_SECONDS
        answer = super().request(*args, **{**options, "stream": True})
        read = bytearray()
        with answer:
            # What has come, and not a whole piece: one that trickles must not outlast the limit.
            while piece := answer.raw.read1(_PIECE, decode_content=True):
                read += piece
                if len(read) > _ANSWER_BYTES or self._clock.monotonic() > until:
                    raise requests.exceptions.ReadTimeout
        answer._content = bytes(read)  # noqa: SLF001  where the library keeps what it read
        return answer


class _OverTls(HTTPAdapter):
    """Connections by the project's own rules for TLS, and no weaker suite."""

    def __init__(self, authority: str) -> None:
        self._authority = authority
        super().__init__(pool_maxsize=8, max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Make the pool with our context; the library adds none of its own."""
        context = client_context(self._authority or None)
        super().init_poolmanager(*args, **options, ssl_context=context)


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
