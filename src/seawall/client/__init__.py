"""For services that call Seawall: tokens that renew themselves, in the SDK that they use.

It runs in the service's process and knows nothing of the server but its address.
"""

from __future__ import annotations

from seawall.client.sdk import (
    anthropic_client,
    async_anthropic_client,
    async_openai_client,
    openai_client,
)
from seawall.client.tokens import Token, TokenSource

__all__ = [
    "Token",
    "TokenSource",
    "anthropic_client",
    "async_anthropic_client",
    "async_openai_client",
    "openai_client",
]
