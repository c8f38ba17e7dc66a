"""The certificate of a listener that serves: watched, replaced while connections stay open.

The listener's own context never changes. Before each handshake it hands over to the context
that was loaded last, so a new certificate, of another kind of key or with other client
authorities too, counts whole or not at all; what is open goes on as it began.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography import x509

from seawall.core.errors import Error, Invalid
from seawall.tls import server_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from pathlib import Path

    from seawall.app.ports import Clock, Notifier

_WARNING_DAYS: Final = (30, 7, 1, 0)
"""So long before its end an alarm tells of it, and once more at the end."""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """What a listener serves with: PEM files, what opens the key, the host name to be good for."""

    certificate: Path
    key: Path
    name: str
    password: Callable[[], str] = field(repr=False)
    """Asked at each loading, so that it may change with the key."""
    clients: Path | None = None
    """The authorities of client certificates; without them none is asked for."""
    clients_required: bool = False


@dataclass(frozen=True, slots=True)
class _Loaded:
    context: ssl.SSLContext
    ends: dt.datetime
    """When the first of the chain's certificates ends."""


class LiveCertificate:
    """Keeps a listener's certificate as its files have it; its alarms name no file."""

    def __init__(
        self,
        files: CertificateFiles,
        *,
        clock: Clock,
        notifier: Notifier,
        renew: Callable[[], object] | None = None,
        renew_days: int = 0,
    ) -> None:
        """Load it; `Invalid` (`certificate-unusable`) unless it can be served with.

        `renew` writes new files; it is called once less than `renew_days` are left.
        """
        self._files = files
        self._clock = clock
        self._notifier = notifier
        self._renew = renew
        self._renew_days = dt.timedelta(days=renew_days)
        self._lock = threading.Lock()
        self._stamp = self._stamped()
        self._current = self._load()
        self._refused: object = None
        self._is_told = False
        self._warned: int | None = None
        self.context = self._current.context
        """The listener's context, for as long as it listens."""
        self.context.sni_callback = self._choose

    async def check(self, *, insists: bool = False) -> None:
        """Look once, away from the event loop."""
        await asyncio.to_thread(self.look, insists=insists)

    def look(self, *, insists: bool = False) -> None:
        """Renew what is due, load what changed, tell of what ends soon.

        A pair that cannot be used leaves the old one; it is told when it is still unusable at
        the next look, since two files are never written at once, or at once if one `insists`.
        """
        with self._lock:
            try:
                if self._renew is not None and self._left() <= self._renew_days:
                    self._renew()
            finally:
                self._follow(insists=insists)
                self._warn()

    def _follow(self, *, insists: bool) -> None:
        stamp = self._stamped()
        if stamp == self._stamp:
            return
        try:
            loaded = self._load()
        except Error:
            if stamp != self._refused:
                self._refused, self._is_told = stamp, False
                if not insists:
                    return
            if not self._is_told:
                self._notifier.alarm("certificate-unusable", "", None)
                self._is_told = True
            return
        if stamp == self._stamped():
            self._stamp, self._current, self._warned = stamp, loaded, None

    def _warn(self) -> None:
        left = self._left()
        reached = min((n for n in _WARNING_DAYS if left <= dt.timedelta(days=n)), default=None)
        if reached is not None and reached != self._warned:
            self._notifier.alarm("certificate-expiring", "", None)
            self._warned = reached

    def _left(self) -> dt.timedelta:
        return self._current.ends - self._clock.now()

    def _choose(
        self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _: ssl.SSLContext
    ) -> None:
        """Hand a handshake over to the context that was loaded last."""
        if self._current.context is not self.context:
            connection.context = self._current.context

    def _stamped(self) -> tuple[tuple[int, int, int] | None, ...]:
        """Return what changes whenever one of the files does, behind symbolic links too."""
        return tuple(
            _stamp(path)
            for path in (self._files.certificate, self._files.key, self._files.clients)
            if path is not None
        )

    def _load(self) -> _Loaded:
        """Read the files anew; `Invalid` unless a listener can serve with them now."""
        files = self._files
        try:
            chain = x509.load_pem_x509_certificates(files.certificate.read_bytes())
            context = server_context(
                files.certificate,
                files.key,
                files.password(),
                clients=files.clients,
                clients_required=files.clients_required,
            )
        except (OSError, ValueError):
            raise _unusable("or its key, or the clients' authorities, cannot be read") from None
        now, ends = self._clock.now(), min(each.not_valid_after_utc for each in chain)
        # An authority's that has ended may be one that clients do not need: that is told of.
        if not chain[0].not_valid_before_utc <= now < chain[0].not_valid_after_utc:
            raise _unusable("is not valid today")
        if not _is_for(chain[0], files.name):
            raise _unusable("is not for the name of this server")
        return _Loaded(context, ends)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _is_for(certificate: x509.Certificate, name: str) -> bool:
    """Say whether a client that asks for `name` would take it (RFC 9525)."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    try:
        return ipaddress.ip_address(name) in names.get_values_for_type(x509.IPAddress)
    except ValueError:
        wanted = name.lower()
    parent = wanted.partition(".")[2]
    given = {each.lower() for each in names.get_values_for_type(x509.DNSName)}
    return wanted in given or (bool(parent) and f"*.{parent}" in given)


def _unusable(how: str) -> Invalid:
    return Invalid(
        "certificate-unusable",
        f"the server's certificate {how}",
        "see docs/how-to/use-your-own-certificates.md",
    )
