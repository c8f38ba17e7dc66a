"""`seawall token`: a short-lived token for a person at the terminal."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from seawall.cli.options import DataDir, Json
from seawall.cli.output import echo, print_json
from seawall.cli.running import fetch_token, server_url
from seawall.config import environment, read_settings
from seawall.core.errors import Invalid


def token(
    client: Annotated[str, typer.Option("--client", help="The client: NAME or TENANT/NAME.")],
    data_dir: DataDir = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="The client's tenant.")] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", help="The client's private key; else the one in the data folder."),
    ] = None,
    url: Annotated[str | None, typer.Option("--url", help="The server; else the folder's.")] = None,
    json: Json = False,
) -> None:
    """Get a token for ten minutes, usable as OPENAI_API_KEY."""
    settings = read_settings(data_dir, environment())
    folder = settings.data_dir
    if "/" in client:
        tenant, _, client = client.partition("/")
    if tenant is None:
        found = sorted(path.name for path in (folder / "clients").glob(f"*-{client}.jwk"))
        if len(found) != 1:
            raise Invalid(
                "tenant-unclear",
                "it is not plain whose client this is",
                "use --client TENANT/NAME, with --key for a key outside the data folder",
            )
        tenant = found[0].removesuffix(f"-{client}.jwk")
    answer = asyncio.run(
        fetch_token(
            settings,
            client=f"{tenant}/{client}",
            key_file=key or folder / "clients" / f"{tenant}-{client}.jwk",
            url=url or server_url(folder),
            authority=settings.authority,
        )
    )
    if json:
        print_json(answer)
    else:
        echo(answer["access_token"])
