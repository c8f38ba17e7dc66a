"""OpenID Connect as a relying party: discovery, code flow with PKCE, ID tokens.

Authlib validates metadata and claims, joserfc signatures, aiohttp carries. No redirect
is followed, no proxy environment read, every answer is bounded in size and time, and
nothing that a provider says reaches a message. OpenID Connect Core 1.0, OpenID Connect
Discovery 1.0, RFC 7636, RFC 9207.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

import aiohttp
import orjson
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import OpenIDProviderMetadata
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from seawall.core.errors import Refused, Unavailable
from seawall.core.identity.provider import LONGEST_SECONDS, SKEW_SECONDS
from seawall.tls import client_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from seawall.app.ports import AskedThere, Clock

ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519")
"""By which an ID token may be signed: asymmetric ones alone, whatever its header says."""
_MAX_ANSWER: Final = 1 << 18
_SECONDS: Final = 10.0
_FOUND_SECONDS: Final = 3_600.0
"""So long what was discovered counts."""
_KEYS_SECONDS: Final = 60.0
"""So long after keys were fetched, a token under an unknown one does not make us ask again."""
_OK: Final = 200
_CLIENTS: Final = 400
_SERVERS: Final = 500
_LETTING_GO_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Registration:
    """How we are registered at a provider."""

    issuer: str
    client_id: str
    redirect: str
    """Where the provider sends the browser back to."""
    acr: tuple[str, ...] = ()
    """Classes that are asked for."""
    secret: Callable[[], str | None] = field(default=lambda: None, repr=False)
    """Returns the client's secret as it is now, so that it may change; None for a public client."""


class DiscoveredProvider:
    """The OpenIdProvider port over one provider's own metadata."""

    def __init__(self, registered: Registration, clock: Clock, authority: str = "") -> None:
        self._registered = registered
        self._clock = clock
        self._authority = authority
        self._trusting: ssl.SSLContext | None = None
        self._found: tuple[float, dict[str, Any]] | None = None
        self._keys: tuple[float, KeySet] | None = None

    async def address(self, asked: AskedThere) -> str:
        """Return where the browser goes; `Unavailable` (`provider-down`) if it does not answer."""
        found = await self._metadata()
        registered = self._registered
        query = {
            "response_type": "code",
            "scope": "openid",
            "client_id": registered.client_id,
            "redirect_uri": registered.redirect,
            "state": asked.state,
            "nonce": asked.nonce,
            "code_challenge": create_s256_code_challenge(asked.verifier),
            "code_challenge_method": "S256",
            # `auth_time` is told by whoever is asked for a greatest age.
            "max_age": "0" if asked.is_fresh else str(LONGEST_SECONDS),
        }
        if registered.acr:
            query["acr_values"] = " ".join(registered.acr)
        if asked.is_fresh:
            query["prompt"] = "login"
        place = str(found["authorization_endpoint"])
        return f"{place}{'&' if '?' in place else '?'}{urlencode(query)}"

    async def claims(self, code: str, asked: AskedThere, issuer: str | None) -> Mapping[str, Any]:
        """Return the verified claims of the ID token that a code is exchanged for."""
        found, registered = await self._metadata(), self._registered
        names_itself = found.get("authorization_response_iss_parameter_supported") is True
        if issuer != registered.issuer and (issuer is not None or names_itself):
            raise _refused()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": registered.redirect,
            "code_verifier": asked.verifier,
            "client_id": registered.client_id,
        }
        secret, basic = registered.secret(), None
        if secret is not None:
            methods = found.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
            if "client_secret_basic" in methods:
                basic = aiohttp.encode_basic_auth(_formed(registered.client_id), _formed(secret))
            else:
                form["client_secret"] = secret
        status, answer = await self._call(str(found["token_endpoint"]), form, basic)
        if status != _OK or not isinstance(answer.get("id_token"), str):
            raise _refused()
        return await self._verified(answer["id_token"], asked, found)

    async def _verified(
        self, token: str, asked: AskedThere, found: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        keys = await self._key_set(found, is_anew=False)
        try:
            decoded = jwt.decode(token, keys, algorithms=list(ALGORITHMS))
        except (JoseError, ValueError, TypeError):
            # The provider may have rotated its keys; it is asked again once a minute at most.
            keys = await self._key_set(found, is_anew=True)
            try:
                decoded = jwt.decode(token, keys, algorithms=list(ALGORITHMS))
            except (JoseError, ValueError, TypeError):
                raise _refused() from None
        registered = self._registered
        claims = CodeIDToken(
            decoded.claims,
            decoded.header,
            options={
                "iss": {"essential": True, "value": registered.issuer},
                "aud": {"essential": True, "value": registered.client_id},
            },
            params={"nonce": asked.nonce, "client_id": registered.client_id, "max_age": 1},
        )
        try:
            claims.validate(now=self._clock.now_ms() // 1000, leeway=SKEW_SECONDS)
        except (JoseError, ValueError, TypeError):
            raise _refused() from None
        return dict(decoded.claims)

    async def check(self) -> None:
        """Ask for the metadata anew; `Unavailable` (`provider-down`) if they do not come."""
        await self._discover()

    async def _metadata(self) -> dict[str, Any]:
        now = self._clock.monotonic()
        if self._found is not None and now - self._found[0] < _FOUND_SECONDS:
            return self._found[1]
        return await self._discover()

    async def _discover(self) -> dict[str, Any]:
        issuer = self._registered.issuer
        place = issuer.rstrip("/") + "/.well-known/openid-configuration"
        status, answer = await self._call(place)
        if status != _OK:
            raise _down()
        try:
            metadata = OpenIDProviderMetadata(answer)
            metadata.validate()
        except (ValueError, TypeError, KeyError, AttributeError):
            raise _down() from None
        places = [metadata.get(name) for name in _PLACES]
        if metadata.get("issuer") != issuer or not all(map(_is_https, places)):
            raise _down()
        self._found = (self._clock.monotonic(), dict(metadata))
        return self._found[1]

    async def _key_set(self, found: Mapping[str, Any], *, is_anew: bool) -> KeySet:
        now = self._clock.monotonic()
        if self._keys is not None:
            age = now - self._keys[0]
            if age < (_KEYS_SECONDS if is_anew else _FOUND_SECONDS):
                return self._keys[1]
        status, answer = await self._call(str(found["jwks_uri"]))
        try:
            keys = KeySet.import_key_set(answer)  # type: ignore[arg-type]  # it checks the form
        except (JoseError, ValueError, TypeError, KeyError):
            raise _down() from None
        if status != _OK:
            raise _down()
        self._keys = (now, keys)
        return keys

    async def _call(
        self,
        url: str,
        form: Mapping[str, str] | None = None,
        basic: str | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """Fetch or post, and return the status with the JSON object that comes back."""
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if basic is not None:
            headers["Authorization"] = basic
        try:
            if self._trusting is None:
                # Away from the event loop: reading the system's authorities takes a while.
                self._trusting = await asyncio.to_thread(client_context, self._authority or None)
            async with (
                asyncio.timeout(_SECONDS),
                aiohttp.ClientSession(
                    trust_env=False, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
                ) as session,
                session.request(
                    "GET" if form is None else "POST",
                    url,
                    data=form,
                    headers=headers,
                    ssl=self._trusting,
                    allow_redirects=False,
                ) as response,
            ):
                content = b""
                async for piece in response.content.iter_any():
                    content += piece
                    if len(content) > _MAX_ANSWER:
                        raise _down()
            answer = _object(content)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            raise _down() from None
        finally:
            # aiohttp does not wait until TLS transports let go of their sockets.
            await asyncio.sleep(_LETTING_GO_SECONDS)
        if answer is None and not _CLIENTS <= response.status < _SERVERS:
            raise _down()
        # What it refuses it may refuse in words for people, as what stands before it does.
        return response.status, answer or {}


def _object(content: bytes) -> dict[str, Any] | None:
    """Return the JSON object that an answer is; None if it is none."""
    try:
        answer = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return answer if isinstance(answer, dict) else None


_PLACES: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")


def _is_https(place: Any) -> bool:
    return isinstance(place, str) and urlsplit(place).scheme == "https"


def _formed(text: str) -> str:
    """Encode a part of client credentials as RFC 6749, section 2.3.1, asks."""
    return urlencode({"": text})[1:]


def _refused() -> Refused:
    return Refused(
        "provider-refused",
        "the identity provider's answer cannot be used",
        "sign in again; if it happens again, tell the operator",
    )


def _down() -> Unavailable:
    return Unavailable(
        "provider-down",
        "the identity provider does not answer as it should",
        "try again later; the operator is told, and emergency access works without it",
    )
