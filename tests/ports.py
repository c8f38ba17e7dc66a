"""Ports for programs that must be told theirs, and cannot take a free one by themselves.

They are below those that the system hands out by itself. One of those could be taken again
before the program listens on it: by any connection, or by a program of another worker.
"""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack
from typing import Final

_FIRST: Final = 20_000
_END: Final = 32_000


def free_ports(count: int) -> list[int]:
    """Return ports that nothing listens on, all of them held until all are known."""
    ports: list[int] = []
    with ExitStack() as held:
        while len(ports) < count:
            port = random.SystemRandom().randrange(_FIRST, _END)
            try:
                held.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            ports.append(port)
    return ports
