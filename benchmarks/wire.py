"""The benchmarks' client: keep-alive HTTP/1.1 over TLS, cheap enough not to be what is measured."""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.processes import Process

_LIMIT: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Reading:
    """What a run of exchanges cost."""

    exchanges: int
    cpu_seconds: float
    """Of the serving process."""
    wall_seconds: float
    entries: int
    """Entries that the ledger grew by, by the headers of first and last answer."""

    @property
    def cpu_ms(self) -> float:
        """CPU time of the serving process for one exchange, in milliseconds."""
        return 1000 * self.cpu_seconds / self.exchanges

    @property
    def per_second(self) -> float:
        """Exchanges answered per second."""
        return self.exchanges / self.wall_seconds


class Connection:
    """One connection, one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int, context: ssl.SSLContext) -> Connection:
        """Connect to this machine."""
        return cls(
            *await asyncio.open_connection(
                "127.0.0.1", port, ssl=context, server_hostname="localhost", limit=_LIMIT
            )
        )

    async def ask(self, request: bytes) -> int:
        """Send a request, read the answer to its end, return the entry that it names or 0."""
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = _header(head, b"content-length")
        if length is None:
            body = await self._reader.readuntil(b"0\r\n\r\n")
            while not body.endswith(b"\r\n0\r\n\r\n"):
                body += await self._reader.readuntil(b"0\r\n\r\n")
        else:
            body = await self._reader.readexactly(int(length))
        # A stream that fails ends in an error event, after a status of 200.
        if not head.startswith(b"http/1.1 200 ") or b'{"error":' in body:
            raise RuntimeError(f"an exchange failed: {head[:12]!r} {body[-400:]!r}")
        return int(_header(head, b"seawall-entry") or 0)

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        await self._writer.wait_closed()


def post(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return a request as bytes on the wire."""
    lines = {
        "Host": "localhost",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


async def run(process: Process, requests: list[bytes], authority: Path, each: int) -> Reading:
    """Let one client per request ask it `each` times; connecting is not measured."""
    context = ssl.create_default_context(cafile=authority)
    clients = [await Connection.open(process.port, context) for _ in requests]
    first = await clients[0].ask(requests[0])
    await asyncio.gather(*(c.ask(r) for c, r in zip(clients[1:], requests[1:], strict=True)))

    async def asking(client: Connection, request: bytes) -> int:
        last = 0
        for _ in range(each):
            last = await client.ask(request)
        return last

    cpu, wall = process.cpu_seconds(), time.monotonic()
    last = await asyncio.gather(*(asking(c, r) for c, r in zip(clients, requests, strict=True)))
    wall, cpu = time.monotonic() - wall, process.cpu_seconds() - cpu
    for client in clients:
        await client.close()
    return Reading(each * len(requests), cpu, wall, max(last) - first)


def _header(head: bytes, name: bytes) -> str | None:
    """Return a header's value, whose name and value are in lower case."""
    _, found, rest = head.partition(b"\r\n" + name + b":")
    return rest.partition(b"\r\n")[0].strip().decode() if found else None
