"""What listeners serve with: the operator's certificate, or the private authority's."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from seawall.adapters.certificates import (
    RENEW_DAYS,
    CertificateFiles,
    LiveCertificate,
    ensure_certificate,
    renew_certificate,
)
from seawall.config import environment, read_certificate_password
from seawall.core.errors import Error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seawall.app.ports import Clock, Notifier
    from seawall.config import Settings

CERTIFICATE_SECONDS: Final = 5.0
"""How often the files of a certificate that serves are looked at."""


def own_certificate(settings: Settings) -> tuple[Path, Path] | None:
    """Return the operator's certificate and key, if the settings name them."""
    if not settings.certificate:
        return None
    return Path(settings.certificate), Path(settings.certificate_key)


def live_certificate(
    folder: Path,
    name: str,
    password: str,
    *,
    own: tuple[Path, Path] | None,
    clients: str = "",
    clients_required: bool = False,
    clock: Clock,
    notifier: Notifier,
) -> LiveCertificate:
    """Return the certificate of a listener: `own`, or the private one of `folder`.

    The private one is made first if it must be, and renewed while it serves; a new authority
    is told of, since no client trusts it yet.
    """
    shown = (Path(clients) if clients else None, clients_required)
    if own is not None:
        opening = partial(read_certificate_password, environment())
        files = CertificateFiles(*own, name, opening, *shown)
        return LiveCertificate(files, clock=clock, notifier=notifier)
    made = ensure_certificate(folder, name, password, clock)
    if made.is_new_authority:
        notifier.alarm("certificate-authority-new", "", None)
    files = CertificateFiles(made.certificate, made.key, name, lambda: password, *shown)
    return LiveCertificate(
        files,
        clock=clock,
        notifier=notifier,
        renew=partial(renew_certificate, folder, name, password, clock),
        renew_days=RENEW_DAYS,
    )


@contextmanager
def reloading_on_hangup(certificate: LiveCertificate, notifier: Notifier) -> Iterator[None]:
    """Look at a certificate's files whenever SIGHUP comes, away from the event loop.

    For the main thread alone, as signals are.
    """
    loop = asyncio.get_running_loop()
    looking: set[asyncio.Task[None]] = set()

    async def look() -> None:
        """Look once; what fails is told, and tried again at the next look."""
        try:
            await certificate.check(insists=True)
        except Error:
            notifier.alarm("certificate-failed", "", None)

    def begin() -> None:
        """Keep the task until it is done."""
        task = loop.create_task(look())
        looking.add(task)
        task.add_done_callback(looking.discard)

    loop.add_signal_handler(signal.SIGHUP, begin)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
