"""`seawall ledger send`: a log to a syslog receiver over TLS, once or for as long as it runs."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from seawall.app.count_readings import CountReadings
from seawall.app.ports import Query
from seawall.app.record_reading import Reading
from seawall.cli.ledger.recording import readings_of
from seawall.cli.options import (
    DataDir,
    PassphraseFile,
    System,
    Tenant,
    Why,
    choose_log,
    open_installation,
)
from seawall.cli.output import say
from seawall.compose import audit_sender
from seawall.core.errors import Invalid, Unavailable
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from seawall.app.send_audit import SendAudit
    from seawall.compose import Installation

_PORT: Final = 6514
"""RFC 5425 section 4.1: syslog over TLS."""

_LARGEST_PORT: Final = 65_535
_ADDRESS: Final = re.compile(
    r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::([1-9][0-9]{0,4}))?", re.ASCII
)
_POLL_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 3.0


def send(
    to: Annotated[str, typer.Option("--to", help="HOST or HOST:PORT; the port is 6514 else.")],
    authority: Annotated[
        Path, typer.Option("--authority", help="PEM file of who vouches for the receiver.")
    ],
    certificate: Annotated[
        Path | None, typer.Option("--certificate", help="PEM file of our own certificate.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", help="PEM file of its key, without a password.")
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            "--state", help="File that remembers how far it was sent; else one in the data folder."
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on with new entries until Ctrl-C.")
    ] = False,
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    system: System = False,
    reason: Why = None,
) -> None:
    """Send a log as FHIR AuditEvents to a syslog receiver over TLS, at least once each."""
    installation = open_installation(data_dir, passphrase_file)
    address = read_address(to)

    async def run() -> int:
        """Send, and return how far the log is sent."""
        log = await choose_log(installation, tenant, system=system)
        place = state or await _place(installation, log, address)
        sending = audit_sender(
            installation,
            address,
            authority=authority,
            certificate=certificate,
            key=key,
            state=place,
        )
        return await _send(installation, tenant, log, sending, reason, follow=follow)

    say(f"sent all {asyncio.run(run()):,} entries")


def read_address(text: str) -> tuple[str, int]:
    """Return host and port of `HOST`, `HOST:PORT` or `[IPV6]:PORT`; `Invalid` otherwise."""
    found = _ADDRESS.fullmatch(text)
    number = int(found[3] or _PORT) if found else 0
    if found is None or not 1 <= number <= _LARGEST_PORT:
        raise Invalid(
            "address-invalid", "--to is not a host, or a host and a port", "use HOST or HOST:PORT"
        )
    return found[1] or found[2], number


async def _place(installation: Installation, log: str, address: tuple[str, int]) -> Path:
    """Return the state file that the data folder keeps for a log and a receiver."""
    origin = (await installation.store.head(log)).origin
    folder = installation.settings.data_dir / "sent"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise Unavailable(
            "position-unwritable",
            f"the state file cannot be written ({error.strerror})",
            "name another with --state",
        ) from None
    host, port = address
    return folder / f"{origin.rpartition('/')[2]}-{host.replace(':', '-')}-{port}.json"


async def _send(
    installation: Installation,
    tenant: str | None,
    log: str,
    sending: SendAudit,
    reason: str | None,
    *,
    follow: bool,
) -> int:
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM) if follow else ():
        loop.add_signal_handler(number, stopping.set)
    at = await sending.start(log)
    readings = await readings_of(installation, log, tenant, reason)
    reader = Principal("operator", "terminal", readings.tenant)

    async def record(_: Principal, reading: Reading) -> None:
        """Record as whoever the server, or this folder, knows the terminal to be."""
        await readings.record(reading)

    counting = CountReadings(record, installation.clock)
    recorded = await readings.record(Reading("export", log, Query()))
    size, following = recorded.size, Reading("follow", log, Query())
    if not follow:
        return await _send_upto(sending, log, at, size)
    try:
        while not stopping.is_set():
            pause = _POLL_SECONDS
            if size > at:
                at, pause = await _try(lambda: _send_upto(sending, log, at, size), at, pause)  # noqa: B023  called at once
            await counting.close_minutes()
            await _wait(stopping, pause)
            if (grown := (await installation.store.head(log)).size) > size:
                await counting.fetch(reader, following)
                size = grown
    finally:
        await counting.close()
    return at


async def _try(send_upto: Callable[[], Awaitable[int]], at: int, pause: float) -> tuple[int, float]:
    """Return how far it was sent; where the receiver is away, `at` and a longer pause."""
    try:
        return await send_upto(), pause
    except Unavailable as error:
        say(f"{error}; trying again in {_RETRY_SECONDS:.0f} seconds")
        return at, _RETRY_SECONDS


async def _send_upto(sending: SendAudit, log: str, at: int, size: int) -> int:
    said = at
    async for reached in sending.send(log, size):
        at = reached
        if at - said >= 10_000:  # noqa: PLR2004  now and then
            said = at
            say(f"sent {at:,} of {size:,} entries")
    return at


async def _wait(stopping: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        pass
