"""The official SDKs' own clients, with tokens that renew themselves.

The SDK is imported where it is asked for. What is returned is the SDK's own object, so
that everything of it works; only how requests are authenticated is ours.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Final

from seawall.core.errors import Missing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from seawall.client.tokens import TokenSource

_PLACEHOLDER: Final = "seawall"
"""What the SDKs want as a key; it is replaced before a request is sent."""
_UNAUTHORIZED: Final = 401


def openai_client(source: TokenSource, **options: Any) -> Any:
    """Return an `openai.OpenAI` that fetches and renews its tokens by itself.

    `use_case` names the use case of every request; the rest goes to the SDK as it is.
    """
    sdk = _openai()
    made = {"api_key": _PLACEHOLDER, "base_url": f"{source.url}/v1"}
    return sdk.OpenAI(**made | _options(source, sdk.DefaultHttpxClient, options))


def async_openai_client(source: TokenSource, **options: Any) -> Any:
    """Return an `openai.AsyncOpenAI` that does so."""
    sdk = _openai()
    made = {"api_key": _PLACEHOLDER, "base_url": f"{source.url}/v1"}
    return sdk.AsyncOpenAI(**made | _options(source, sdk.DefaultAsyncHttpxClient, options))


def anthropic_client(source: TokenSource, **options: Any) -> Any:
    """Return an `anthropic.Anthropic` that fetches and renews its tokens by itself.

    It asks at `/anthropic` of the server. The gateway has no door there in this version,
    and answers 404; the client is ready for the version that has one.
    """
    sdk = _anthropic()
    # Named as a token, so that the SDK looks for no key in the environment and sends none.
    made = {"auth_token": _PLACEHOLDER, "base_url": f"{source.url}/anthropic"}
    return sdk.Anthropic(**made | _options(source, sdk.DefaultHttpxClient, options))


def async_anthropic_client(source: TokenSource, **options: Any) -> Any:
    """Return an `anthropic.AsyncAnthropic` that does so."""
    sdk = _anthropic()
    made = {"auth_token": _PLACEHOLDER, "base_url": f"{source.url}/anthropic"}
    return sdk.AsyncAnthropic(**made | _options(source, sdk.DefaultAsyncHttpxClient, options))


def _openai() -> Any:
    try:
        import openai  # noqa: PLC0415  only who asks for it needs it
    except ImportError:
        raise _missing("openai") from None
    return openai


def _anthropic() -> Any:
    try:
        import anthropic  # noqa: PLC0415  only who asks for it needs it
    except ImportError:
        raise _missing("anthropic") from None
    return anthropic


def _missing(name: str) -> Missing:
    return Missing(
        "sdk-missing",
        f"the package {name} is not installed here",
        f"install {name}, or use TokenSource with the HTTP library that you have",
    )


def _options(
    source: TokenSource, http_client: type[Any], options: dict[str, Any]
) -> dict[str, Any]:
    """Return what an SDK's client is made with."""
    headers = dict(options.pop("default_headers", None) or {})
    if (use_case := options.pop("use_case", None)) is not None:
        headers["Seawall-Use-Case"] = use_case
    auth = _auth(source, http_client)
    # No proxy and no key of the environment: requests go to Seawall alone.
    sending = http_client(auth=auth, verify=source.context, trust_env=False)
    return {
        "default_headers": headers,
        "http_client": sending,
        **options,
    }


def _auth(source: TokenSource, http_client: type[Any]) -> Any:
    """Return the authentication of the HTTP library that the SDK is made with."""
    for name in ("httpx2", "httpx"):
        library = sys.modules.get(name)
        if library is not None and issubclass(http_client, (library.Client, library.AsyncClient)):
            return type("SeawallTokens", (_Flow, library.Auth), {})(source)
    raise Missing(
        "sdk-unknown",
        "the SDK sends its requests by a library that is not known here",
        "use TokenSource with an HTTP library of your own",
    )


class _Flow:
    """Puts the headers on, and tries once more with new ones after a 401."""

    requires_request_body = False
    requires_response_body = False

    def __init__(self, source: TokenSource) -> None:
        self._source = source

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """Authenticate a request of a synchronous client."""
        # A provider's own key, as of the environment, is nobody's here to see.
        request.headers.pop("X-Api-Key", None)
        request.headers.update(self._source.headers(request.method, str(request.url)))
        response = yield request
        if response.status_code == _UNAUTHORIZED:
            self._source.refused(request.headers, response.headers)
            response.read()
            request.headers.update(self._source.headers(request.method, str(request.url)))
            yield request

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        """Authenticate a request of an asynchronous client; a renewal waits on a thread."""
        asked = (request.method, str(request.url))
        request.headers.pop("X-Api-Key", None)
        request.headers.update(await asyncio.to_thread(self._source.headers, *asked))
        response = yield request
        if response.status_code == _UNAUTHORIZED:
            self._source.refused(request.headers, response.headers)
            await response.aread()
            request.headers.update(await asyncio.to_thread(self._source.headers, *asked))
            yield request
