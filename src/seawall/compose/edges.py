"""What the edges need of the machine: clock, randomness, logs, addresses, keys of clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seawall.adapters.clock import SystemClock, SystemRandom
from seawall.adapters.logs import configure
from seawall.adapters.tokens import make_client_key, sign_assertion
from seawall.core.errors import Unavailable
from seawall.http.server import listen, run

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping
    from typing import TextIO


def log_to(stream: TextIO, level: str) -> None:
    """Send this process's log lines to `stream`, through the allow-list."""
    configure(stream, level)


def run_server(main: Coroutine[Any, Any, None]) -> None:
    """Run a server's main coroutine on a fast event loop."""
    run(main)


def is_free(host: str, port: int) -> bool:
    """Whether nothing listens on this address yet."""
    try:
        listen(host, port).close()
    except Unavailable:
        return False
    return True


def new_client_key() -> dict[str, str]:
    """Return a new client's private key as a JSON Web Key."""
    return make_client_key(SystemRandom().bytes(32))


def client_assertion(private_key: Mapping[str, str], client: str, token_url: str) -> str:
    """Return a client's assertion for one token, good for two minutes (RFC 7523)."""
    now = SystemClock().now_ms() // 1000
    claims = {
        "iss": client,
        "sub": client,
        "aud": token_url,
        "iat": now,
        "exp": now + 120,
        "jti": SystemRandom().bytes(16).hex(),
    }
    return sign_assertion(private_key, claims)
