"""`seawall init`, `serve` and `client-key`: a real installation."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from seawall.cli.options import DataDir, PassphraseFile
from seawall.cli.output import echo, print_json, say
from seawall.cli.running import announce, ensure_client_key, withdraw, write_client_key
from seawall.compose import (
    DATABASE,
    RING,
    Installation,
    check_tenant,
    log_to,
    reloading_on_hangup,
    run_server,
)
from seawall.config import environment, read_passphrase, read_settings
from seawall.core.access import standing
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from seawall.compose import Writer
    from seawall.config import Settings

OPERATOR: Final = standing.OPERATOR


def init(
    tenant: Annotated[str, typer.Option("--tenant", help="Name of the first tenant.")],
    admin: Annotated[
        str, typer.Option("--admin", help="The user name of the tenant's first person.")
    ] = "admin",
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Make a data folder: key ring, database, certificate, a tenant, its operator's key.

    The tenant's first person, an administrator and security officer, enrols by the link.
    """
    settings = read_settings(data_dir, environment())
    passphrase = read_passphrase(settings.data_dir, environment(), passphrase_file)
    check_tenant(tenant)
    if (settings.data_dir / RING).exists() and not (settings.data_dir / DATABASE).exists():
        say("going on where an earlier `seawall init` was ended")
        installation = Installation.open(settings, passphrase)
    else:
        installation = Installation.create(settings, passphrase)
    link = asyncio.run(_first_tenant(installation, tenant, admin))
    installation.certificate()
    say(f"made {settings.data_dir} with the tenant {tenant}")
    warn_of_keys(settings)
    say("next: seawall apply -f DOCUMENTS, then seawall serve")
    if link is not None:
        say(f"then {admin} enrols, once and within a day, at the address that follows")
        echo(link)


async def _first_tenant(installation: Installation, tenant: str, admin: str) -> str | None:
    """Begin the tenant; return where its first person enrols, or None if it has one."""
    async with installation.write() as writer:
        await writer.open_tenant(tenant)
        await register_operator(writer, installation.settings.data_dir, tenant)
        if any(document.kind == "User" for document in writer.documents.register(tenant)):
            return None
        by = Principal("operator", OPERATOR, tenant)
        invited = await writer.people_room.enrol.first(by, admin, admin)
        return f"{writer.people_room.origin}/enrol#{invited.link}"


async def register_operator(writer: Writer, folder: Path, tenant: str) -> None:
    """Give a tenant's operator a key and a client document: it may apply, and read the logs."""
    public = ensure_client_key(folder / "clients" / f"{tenant}-{OPERATOR}.jwk")
    spec = {
        "title": "operator at the terminal",
        "public_key": public,
        "may_apply": True,
        "may_audit": True,
        "may_audit_system": True,
        "may_manage_keys": True,
    }
    principal = Principal("operator", OPERATOR, tenant)
    await writer.documents.apply(principal, [{"kind": "Client", "name": OPERATOR, "spec": spec}])


def serve(
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
) -> None:
    """Serve the gateway over TLS until interrupted."""
    settings = read_settings(data_dir, environment(), host=host, port=port)
    passphrase = read_passphrase(settings.data_dir, environment(), passphrase_file)
    log_to(sys.stderr, settings.log_level)
    installation = Installation.open(settings, passphrase)
    run_server(_serve(installation))


async def _serve(installation: Installation) -> None:
    folder = installation.settings.data_dir
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with installation.write() as writer, writer.serve() as (url, task):
        announce(folder, url)
        with reloading_on_hangup(writer.certificate, writer.notifier):
            say(f"serving {url}")
            warn_of_keys(installation.settings)
            waiting = asyncio.create_task(stopping.wait())
            await asyncio.wait({waiting, task}, return_when=asyncio.FIRST_COMPLETED)
        withdraw(folder)
    say("stopped; everything acknowledged is on the disk")


def warn_of_keys(settings: Settings) -> None:
    """Say on one line where the keys are, and loudly if they lie beside the data."""
    if settings.keys.provider == "file":
        say("warning: the keys are a file beside the data, for one machine; keep its backup apart")
    else:
        say(f"keys: {settings.keys.provider}, apart from the data")


def client_key(
    file: Annotated[Path, typer.Argument(help="New file for the private key.")],
) -> None:
    """Make a client's key pair; print the public key for its Client document."""
    print_json({"public_key": write_client_key(file)})
