"""A syslog receiver over TLS (RFC 5425), and the file that remembers how far it was sent.

TLS 1.2 or later, the receiver's certificate and name verified, a certificate of our own where
the receiver asks for one. No proxy environment is read. Every wait has a limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from typing import TYPE_CHECKING, Final

import orjson

from seawall.core.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

SECONDS: Final = 30.0
"""How long to wait for a connection, for the receiver to take more, and for its end."""


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
            self._context = ssl.create_default_context(cafile=str(authority))
            if certificate is not None:
                self._context.load_cert_chain(certificate, key, password=_no_password)
        except (OSError, ssl.SSLError):
            raise Invalid(
                "syslog-certificates-unreadable",
                "the authority, the certificate or its key cannot be read",
                "name PEM files with --authority, --certificate and --key; the key has no password",
            ) from None
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2

    async def deliver(self, content: bytes) -> None:
        """Send framed messages; return once the receiver ended in order, else `Unavailable`."""
        await asyncio.to_thread(self._deliver, content)

    def _deliver(self, content: bytes) -> None:
        try:
            with (
                socket.create_connection((self._host, self._port), self._seconds) as plain,
                self._context.wrap_socket(plain, server_hostname=self._host) as connection,
            ):
                connection.sendall(content)
                _end(connection)
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


def _end(connection: ssl.SSLSocket) -> None:
    """Say that this is all, and wait until the receiver has read it and says so too.

    RFC 5425 section 4.4 asks for close_notify from both; a receiver that closes the TCP
    connection in order instead has read what came before, or its machine would have reset it.
    """
    with contextlib.suppress(ssl.SSLEOFError):
        connection.unwrap().close()


def _no_password() -> str:
    """Answer the question for a key's password, which would stop at a terminal otherwise."""
    return ""


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
