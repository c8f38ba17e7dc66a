"""A source of tokens that renews them: safe for threads, early, one renewal at a time.

It works with every HTTP library: ask it for the headers of each request, and tell
it of an answer 401, after which one more try is worth while.
"""

from __future__ import annotations

import http.client
import re
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

import orjson

from seawall.client.signing import SigningKey
from seawall.core.errors import Error, Invalid, Refused, Unavailable
from seawall.tls import client_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  a name of RFC 8693
_EARLY: Final = 0.2
"""A token is renewed once this part of its life is left; until it ends the old one serves."""
_MOST: Final = 65_536
_CODE: Final = re.compile(r"[a-z]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Token:
    """A token, by the clock that never goes back."""

    text: str = field(repr=False)
    kind: str
    renew_at: float
    ends_at: float


class TokenSource:
    """Tokens of one client of one server."""

    def __init__(
        self,
        url: str,
        client: str,
        key: Path | str,
        *,
        authority: Path | str | None = None,
        audience: str | None = None,
        certificate: Path | str | None = None,
        certificate_key: Path | str | None = None,
        certificate_password: str = "",
        scope: str | None = None,
        patient: str | None = None,
        dpop: bool = False,
        timeout: float = 10.0,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`url` is the server's, `client` is TENANT/NAME, `key` the private key's file.

        `authority` is whom to trust for the server's certificate; the system's without it.
        `certificate` is the client's own, to which tokens are bound then; with `dpop` they are
        bound to a key that is made here and lives in memory. `scope` and `patient` limit the
        tokens, and are not blank. The key file is read at each renewal, so that a rotated key is
        picked up. `wall` is what is signed as the time: seconds since 1970.
        """
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise Invalid("url-not-https", "the server's URL is not https", "say https://NAME:PORT")
        self._url = url.rstrip("/")
        self._place = (parts.hostname, parts.port or 443)
        self._client = client
        self._key = Path(key)
        self._audience = audience or f"https://{parts.hostname}/oauth2/token"
        self._proving = SigningKey.made() if dpop else None
        self._timeout = timeout
        self._wall = wall
        self._limits = {
            name: value
            for name, value in (("scope", scope), ("patient", patient))
            if value is not None
        }
        if not all(self._limits.values()):
            raise _blank()
        self._context = _context(authority, certificate, certificate_key, certificate_password)
        self._renewing = threading.Lock()
        self._token: Token | None = None
        self._nonce: str | None = None

    def __repr__(self) -> str:
        return f"<TokenSource of {self._client}>"

    @property
    def url(self) -> str:
        """The server's URL."""
        return self._url

    @property
    def context(self) -> ssl.SSLContext:
        """The TLS context of this client, for whichever library sends its requests."""
        return self._context

    def token(self) -> Token:
        """Return a token that counts now, fetching one if need be; it may wait for the network."""
        held = self._token
        if held is not None and time.monotonic() < held.renew_at:
            return held
        if held is not None and time.monotonic() < held.ends_at:
            # It serves while somebody renews it; and if that fails, until it ends.
            return self._renewed_if_free(held)
        with self._renewing:
            return self._current() or self._renew()

    def headers(self, method: str, url: str) -> dict[str, str]:
        """Return the headers that a request needs: its token, and a proof if that is bound."""
        token = self.token()
        found = {"Authorization": f"{token.kind} {token.text}"}
        if self._proving is not None:
            found["DPoP"] = self._proof(self._proving, method, url, token.text)
        return found

    def refused(self, sent: Mapping[str, str], answer: Mapping[str, str]) -> None:
        """Learn from an answer 401: its nonce, or that the token that was sent counts no more.

        `sent` and `answer` are headers, found by their names in any case. Ask for headers again
        then, and send the request once more.
        """
        nonce = answer.get("DPoP-Nonce")
        if nonce is not None:
            self._nonce = nonce
            return
        held, said = self._token, sent.get("Authorization", "")
        if held is not None and said.partition(" ")[2] == held.text:
            self._token = None

    def exchange(self, subject_token: str) -> Token:
        """Return a token by which this client acts for a person (RFC 8693); kept nowhere here."""
        if not subject_token:
            raise _blank()
        return self._fetch(
            {
                "grant_type": _EXCHANGE,
                "subject_token": subject_token,
                "subject_token_type": _ACCESS_TOKEN,
            }
        )

    def give_back(self) -> None:
        """Take the token that is held out of use, as when the service stops (RFC 7009)."""
        with self._renewing:
            held, self._token = self._token, None
            if held is not None:
                self._post("/oauth2/revoke", {"token": held.text, **self._assertion()})

    def _assertion(self) -> dict[str, str]:
        now, key = int(self._wall()), SigningKey.read(self._key)
        signed = key.assertion(self._client, self._audience, now)
        return {"client_assertion_type": _ASSERTION_TYPE, "client_assertion": signed}

    def _proof(self, key: SigningKey, method: str, url: str, token: str | None) -> str:
        return key.proof(method, url, now=int(self._wall()), token=token, nonce=self._nonce)

    def _current(self) -> Token | None:
        held = self._token
        return held if held is not None and time.monotonic() < held.renew_at else None

    def _renewed_if_free(self, held: Token) -> Token:
        if not self._renewing.acquire(blocking=False):
            return held
        try:
            return self._current() or self._renew()
        except Unavailable:
            return held
        finally:
            self._renewing.release()

    def _renew(self) -> Token:
        self._token = token = self._fetch({"grant_type": "client_credentials"})
        return token

    def _fetch(self, asked: dict[str, str]) -> Token:
        begun = time.monotonic()
        form = {**asked, **self._limits, **self._assertion()}
        answer = self._post("/oauth2/token", form)
        try:
            lives = int(answer["expires_in"])
            renew_at = begun + lives * (1 - _EARLY)
            return Token(
                str(answer["access_token"]), str(answer["token_type"]), renew_at, begun + lives
            )
        except (KeyError, TypeError, ValueError):
            raise _garbled() from None

    def _post(self, path: str, form: dict[str, str]) -> dict[str, Any]:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if self._proving is not None:
            url = f"{self._url}{path}"
            headers["DPoP"] = self._proof(self._proving, "POST", url, None)
        connection = http.client.HTTPSConnection(
            *self._place, context=self._context, timeout=self._timeout
        )
        try:
            connection.request("POST", path, urlencode(form), headers)
            response = connection.getresponse()
            body = response.read(_MOST)
        except (OSError, http.client.HTTPException):
            raise Unavailable(
                "server-unreachable",
                "the token endpoint cannot be reached, or not over TLS that is trusted",
                "check the URL and the authority's file",
            ) from None
        finally:
            connection.close()
        self._nonce = response.headers.get("DPoP-Nonce") or self._nonce
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict):
            raise _garbled()
        if response.status != http.client.OK:
            raise _refusal(response.status, str(answer.get("code", "")))
        return answer


def _context(
    authority: Path | str | None,
    certificate: Path | str | None,
    key: Path | str | None,
    password: str,
) -> ssl.SSLContext:
    try:
        own = None if certificate is None else Path(certificate)
        context = client_context(authority, own, None if key is None else Path(key), password)
    except OSError:
        raise Invalid(
            "certificate-unreadable",
            "the authority's or the client's certificate cannot be read",
            "name PEM files, and a certificate with the key that belongs to it",
        ) from None
    context.set_alpn_protocols(["http/1.1"])
    return context


def _refusal(status: int, code: str) -> Error:
    """Return the server's refusal by its code, whose words are in its documentation."""
    known = code if len(code) <= 60 and _CODE.fullmatch(code) else "token-refused"  # noqa: PLR2004
    kind = Unavailable if status >= http.client.INTERNAL_SERVER_ERROR else Refused
    return kind(
        known,
        "the server gave no token",
        "see docs/reference/error-codes.md for the code, and docs/how-to/register-a-client.md",
    )


def _blank() -> Invalid:
    return Invalid(
        "field-blank",
        "a scope, a patient or a subject token is blank, which limits nothing",
        "give it a value, or None for no limit",
    )


def _garbled() -> Unavailable:
    return Unavailable(
        "server-garbled",
        "what answered is not a token endpoint",
        "check the URL: https://NAME:PORT of Seawall, without a path",
    )
