"""An ASGI application over TLS on a thread of this process."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.applications import Starlette

    from certified import TestAuthority


@contextmanager
def listening(application: Starlette, authority: TestAuthority) -> Iterator[int]:
    """Serve an application over TLS on a thread; yield its port."""
    pair = authority.server("replica")
    config = uvicorn.Config(
        application,
        port=0,
        log_level="error",
        ssl_certfile=pair.certificate,
        ssl_keyfile=str(pair.key),
        timeout_graceful_shutdown=1,
    )
    serving = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(serving.serve()))
    thread.start()
    try:
        while not serving.started:
            time.sleep(0.01)
        yield int(serving.servers[0].sockets[0].getsockname()[1])
    finally:
        serving.should_exit = True
        thread.join(30)
