"""`seawall witness`: cosign checkpoints of other organisations' logs (C2SP tlog-witness)."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from seawall.app.cosign import check_log_key
from seawall.cli.options import Json, PassphraseFile
from seawall.cli.output import echo, print_json, say
from seawall.compose import (
    create_witness,
    log_to,
    run_server,
    serve_witness,
    witness_book,
)
from seawall.config import Passphrase, environment, read_passphrase
from seawall.core.errors import Invalid

commands = typer.Typer(no_args_is_help=True, help="Witness the logs of others.")

Folder = Annotated[Path, typer.Option("--dir", help="The witness's folder.")]


@commands.command()
def init(
    folder: Folder,
    name: Annotated[
        str, typer.Option("--name", help="A URL without a scheme: witness.example.org/w1.")
    ],
    passphrase_file: PassphraseFile = None,
) -> None:
    """Make a witness: two keys under a passphrase; print its verifier keys."""
    passphrase = read_passphrase(folder, environment(), passphrase_file)
    for vkey in create_witness(folder, name, passphrase):
        echo(vkey)
    say("give a log's operator one of these keys, the URL and tls/authority.pem")
    say("next: seawall witness trust VKEY, then seawall witness serve")


@commands.command()
def key(folder: Folder) -> None:
    """Print the witness's verifier keys: Ed25519, then ML-DSA-44."""
    for vkey in witness_book(folder).vkeys():
        echo(vkey)


@commands.command()
def trust(
    folder: Folder,
    vkey: Annotated[
        str | None, typer.Argument(help="A log's verifier key; without one, list them.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Trust this key no more.")] = False,
    json: Json = False,
) -> None:
    """Trust a log's key, or list whom the witness trusts; a log's origin is its key's name."""
    book = witness_book(folder)
    if vkey is None:
        logs = book.logs()
        if json:
            print_json([{"vkey": one, "origin": name, "size": size} for one, name, size in logs])
        for one, _, size in () if json else logs:
            echo(f"{one}  {'never cosigned' if size is None else f'cosigned at {size}'}")
    elif remove:
        book.distrust(vkey)
    else:
        book.trust(vkey, check_log_key(vkey).name)


@commands.command()
def serve(
    folder: Folder,
    passphrase_file: PassphraseFile = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8444,
    certificate: Annotated[
        Path | None, typer.Option("--certificate", help="PEM file of your own certificate.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--certificate-key", help="PEM file of its key.")
    ] = None,
) -> None:
    """Serve the witness over TLS until interrupted."""
    if (certificate is None) != (key is None):
        raise Invalid(
            "certificate-options",
            "a certificate of your own is named by half",
            "name --certificate and --certificate-key, or neither",
        )
    own = None if certificate is None or key is None else (certificate, key)
    passphrase = read_passphrase(folder, environment(), passphrase_file)
    log_to(sys.stderr, "info")
    run_server(_serve(folder, passphrase, (host, port), own))


async def _serve(
    folder: Path, passphrase: Passphrase, address: tuple[str, int], own: tuple[Path, Path] | None
) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    host, port = address
    async with serve_witness(
        folder, passphrase, host=host, port=port, own=own, heeds_hangup=True
    ) as (url, task):
        say(f"witnessing on {url}")
        waiting = asyncio.create_task(stopping.wait())
        await asyncio.wait({waiting, task}, return_when=asyncio.FIRST_COMPLETED)
    say("stopped; everything cosigned is on the disk")
