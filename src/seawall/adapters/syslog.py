"""A syslog receiver over TLS (RFC 5425), and the file that remembers how far it was sent.

TLS 1.2 or later, the receiver's certificate and name verified, a certificate of our own where
the receiver asks for one. No proxy environment is read. Every wait has a limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
import ssl
import sys
import termios
import time
from typing import TYPE_CHECKING, Final

import orjson

from seawall.core.errors import Invalid, Unavailable
from seawall.tls import client_context

if TYPE_CHECKING:
    from pathlib import Path

SECONDS: Final = 30.0
"""How long to wait for a connection, for the receiver to take more, and for its end."""

_CHUNK: Final = 65_536
_PIECES: Final = 64
"""So many pieces a receiver may answer before it ends."""


class SyslogReceiver:
    """One receiver: a connection for each delivery."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        authority: Path,
        certificate: Path | None = None,
        key: Path | None = None,
        seconds: float = SECONDS,
    ) -> None:
        """Take whom to send to, and whose certificates are trusted; `Invalid` if unreadable."""
        self._host = host
        self._port = port
        self._seconds = seconds
        try:
            self._context = client_context(authority, certificate, key)
        except OSError:  # ssl.SSLError is one
            raise Invalid(
                "syslog-certificates-unreadable",
                "the authority, the certificate or its key cannot be read",
                "name PEM files with --authority, --certificate and --key; the key has no password",
            ) from None

    async def deliver(self, content: bytes) -> None:
        """Send framed messages; return once the receiver ended in order, else `Unavailable`."""
        await asyncio.to_thread(self._deliver, content)

    def _deliver(self, content: bytes) -> None:
        try:
            with socket.create_connection((self._host, self._port), self._seconds) as plain:
                connection = _Connection(plain, self._context, self._host, self._seconds)
                connection.begin()
                connection.write(content)
                connection.end()
        except ssl.SSLCertVerificationError:
            raise Unavailable(
                "syslog-untrusted",
                "the syslog receiver's certificate is not trusted, or is of another name",
                "check --to and --authority",
            ) from None
        except TimeoutError:
            raise Unavailable(
                "syslog-timeout",
                "the syslog receiver does not answer, or does not end, within the time limit",
                "try again later: nothing that it has not confirmed counts as sent",
            ) from None
        except OSError:  # ssl.SSLError is one
            raise Unavailable(
                "syslog-unreachable",
                "the connection to the syslog receiver broke or could not be made",
                "check that it listens for TLS, and whether it wants --certificate; nothing that "
                "it has not confirmed counts as sent",
            ) from None


class _Connection:
    """One connection, whose end is told apart from its breaking.

    TLS in memory over a plain socket: `SSLSocket.unwrap` takes a refusal that comes late, as that
    of a missing client certificate in TLS 1.3, for an orderly end.
    """

    def __init__(
        self, plain: socket.socket, context: ssl.SSLContext, host: str, seconds: float
    ) -> None:
        self._plain = plain
        self._seconds = seconds
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def begin(self) -> None:
        """Shake hands, verifying the receiver; all of it within the time limit."""
        until = time.monotonic() + self._seconds
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                if not self._receive(until):
                    raise ConnectionAbortedError from None
            else:
                return

    def write(self, content: bytes) -> None:
        """Send all of it."""
        view = memoryview(content)
        for at in range(0, len(view), _CHUNK):
            self._tls.write(view[at : at + _CHUNK])
            self._flush()
        self._flush()

    def end(self) -> None:
        """Say that this is all, and wait until the receiver has read it and ended too.

        RFC 5425 section 4.4 asks for close_notify from both; some receivers close the TCP
        connection in answer to ours instead. Both count, if the receiver's machine acknowledged
        every octet and did not reset the connection, as it does when something was not read.
        """
        self._read()  # what came with the handshake: unwrap would take a refusal for a farewell
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        self._flush()
        until = time.monotonic() + self._seconds
        for _ in range(_PIECES):
            if not self._receive(until):
                break
            self._read()
        else:
            raise ConnectionAbortedError  # it goes on and on
        if _unacknowledged(self._plain) or self._plain.getsockopt(
            socket.SOL_SOCKET, socket.SO_ERROR
        ):
            raise ConnectionAbortedError

    def _read(self) -> None:
        """Take what TLS brought: nothing, a farewell, or a refusal, which raises."""
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            while self._tls.read(_CHUNK):
                pass  # syslog has no answers; what is said is not listened to

    def _receive(self, until: float) -> bool:
        """Take what comes before a moment: one that dribbles holds nobody for longer."""
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._plain.settimeout(left)
        try:
            piece = self._plain.recv(_CHUNK)
        finally:
            self._plain.settimeout(self._seconds)
        self._incoming.write(piece)
        return bool(piece)

    def _flush(self) -> None:
        if piece := self._outgoing.read():
            self._plain.sendall(piece)


def _unacknowledged(plain: socket.socket) -> int:
    """Return how many octets the other machine has not acknowledged: SIOCOUTQ of tcp(7)."""
    raw = fcntl.ioctl(plain.fileno(), termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(raw, sys.byteorder)


class PositionFile:
    """How far a log was sent, in a small file that its operator names."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> tuple[str, int] | None:
        """Return the log's origin and the first entry that was not sent; None without a file."""
        try:
            held = orjson.loads(self._path.read_bytes())
            origin, upto = held["log"], held["next"]
        except FileNotFoundError:
            return None
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
            origin, upto = None, None
        if not isinstance(origin, str) or type(upto) is not int or upto < 0:
            raise Invalid(
                "position-unreadable",
                "the state file cannot be read, or is none",
                "name another; without a state file a log is sent from the start",
            )
        return origin, upto

    def save(self, origin: str, upto: int) -> None:
        """Keep a position durably, replacing the one before; `Unavailable` if that cannot be."""
        aside = self._path.with_name(self._path.name + ".new")
        try:
            with aside.open("wb") as out:
                out.write(orjson.dumps({"log": origin, "next": upto}) + b"\n")
                out.flush()
                os.fsync(out.fileno())
            aside.replace(self._path)
        except OSError as error:
            raise Unavailable(
                "position-unwritable",
                f"the state file cannot be written ({error.strerror})",
                "free space, and check the folder's permissions; what was sent is sent again",
            ) from None
