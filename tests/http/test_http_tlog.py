"""The logs as C2SP tlog-tiles over HTTPS: who may fetch, what is there, what is recorded."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from seawall.app.ports import Archived, KeepArchived
from seawall.core.ledger.tiles import bundle_path, decode_bundle, tile_path, tiles_of
from seawall.core.ledger.tree import leaf_hash

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from clinic import Reply, Server
    from seawall.compose import Writer

TENANT = "riverside"


def log_id(server: Server, log: str = TENANT) -> str:
    """Return the random id of a log."""
    return asyncio.run(server.clinic.installation.store.head(log)).origin.rpartition("/")[2]


def fetch(server: Server, path: str, client: str = "auditor", log: str = TENANT) -> Reply:
    """Fetch a resource of a log as a client."""
    return server.send("GET", f"/log/{log_id(server, log)}/{path}", headers=server.headers(client))


async def download(server: Server, folder: Path) -> str:
    """Copy a log as an independent client does: checkpoint, then what its size demands."""
    origin = (await server.clinic.installation.store.head(TENANT)).origin
    context = ssl.create_default_context(cafile=str(server.clinic.authority))
    headers = {"Authorization": f"Bearer {server.token('auditor')}"}
    # The origin's host is the server's, the port is this test's.
    prefix = f"https://localhost:{server.port}/{origin.partition('/')[2]}"
    async with aiohttp.ClientSession(headers=headers, trust_env=False) as session:

        async def copy(path: str) -> bytes:
            """Copy one resource into the folder."""
            async with session.get(f"{prefix}/{path}", ssl=context) as response:
                assert 200 == response.status, path
                content = await response.read()
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
            return content

        checkpoint = (await copy("checkpoint")).decode()
        size = int(checkpoint.splitlines()[1])
        for level, index, width in tiles_of(size):
            await copy(tile_path(level, index, width))
            if level == 0:
                await copy(bundle_path(index, width))
    return checkpoint.splitlines()[0]


async def test_an_independent_client_copies_and_verifies_a_log(
    server: Server, tmp_path: Path
) -> None:
    """What is downloaded over HTTPS is accepted by the auditor's program, under the known key."""
    origin = await download(server, tmp_path / "copy")
    head = await server.clinic.installation.store.head(TENANT)

    command = [sys.executable, "-m", "seawall.verifier", str(tmp_path / "copy")]
    process = await asyncio.create_subprocess_exec(
        *command, "--vkey", head.vkey, stdout=subprocess.PIPE
    )
    said, _ = await process.communicate()

    assert (head.origin, 0) == (origin, process.returncode), said.decode()


def test_a_checkpoint_is_signed_text_that_no_cache_keeps(server: Server) -> None:
    """The content type and caching of tlog-tiles, "Checkpoints"."""
    reply = fetch(server, "checkpoint")

    assert "text/plain; charset=utf-8" == reply.headers["Content-Type"]
    assert "no-store" == reply.headers["Cache-Control"]
    assert f"localhost/log/{log_id(server)}" == reply.body.decode().splitlines()[0]


@pytest.mark.parametrize("path", ["tile/0/000.p/2", "tile/entries/000.p/2"])
def test_a_tile_is_immutable_and_private(path: str, server: Server) -> None:
    """Tiles and bundles may be kept by the client for ever, and by nobody in between."""
    reply = fetch(server, path)

    assert "application/octet-stream" == reply.headers["Content-Type"]
    assert "private, max-age=31536000, immutable" == reply.headers["Cache-Control"]


def test_a_bundle_holds_the_entries_of_its_tile(server: Server) -> None:
    """Each entry of a bundle hashes to its place in the tile of level 0, gzip or not."""
    headers = {**server.headers("auditor"), "Accept-Encoding": "br, gzip"}
    path = f"/log/{log_id(server)}/tile/entries/000.p/3"
    packed = server.send("GET", path, headers=headers)

    plain = fetch(server, "tile/entries/000.p/3").body
    hashes = b"".join(map(leaf_hash, decode_bundle(plain, 3)))

    assert (plain, "gzip") == (gzip.decompress(packed.body), packed.headers["Content-Encoding"])
    assert hashes == fetch(server, "tile/0/000.p/3").body


@pytest.mark.parametrize(
    "path",
    [
        *("tile/0/900", "tile/0/000.p/0", "tile/0/000.p/01", "tile/0/x000/000", "tile/00/000"),
        *("tile/64/000", "tile/1/000.p/255", "tile/entries/999.p/1", "tile/entries/0"),
        *("tile/0/00%30.p/1", "tile/0/000%2Ep/1", "tile/0/../0/000.p/1"),
    ],
)
def test_what_is_not_there_is_not_found(path: str, server: Server) -> None:
    """Other spellings, encoded ones too, and tiles beyond the size are 404."""
    assert (404, "tile-unknown") == (fetch(server, path).status, fetch(server, path).code)


@pytest.mark.parametrize("resource", ["checkpoint", "tile/0/000.p/1", "tile/entries/000.p/1"])
@pytest.mark.parametrize(
    ("client", "log", "status", "code"),
    [
        ("app", TENANT, 403, "audit-not-granted"),
        ("auditor", "system", 404, "log-unknown"),
        ("auditor", TENANT, 200, None),
        ("admin", "system", 200, None),
    ],
)
def test_a_log_is_served_to_who_may_audit_it(  # noqa: PLR0917  pytest passes them by name
    resource: str, client: str, log: str, status: int, code: str | None, server: Server
) -> None:
    """No right: refused; another log: not there; the own: served."""
    reply = fetch(server, resource, client, log)

    assert status == reply.status
    assert code is None or code == reply.code


def test_a_foreign_log_is_the_same_as_none(server: Server) -> None:
    """Nobody learns which logs exist: the answers are equal to the byte."""
    headers = server.headers("auditor")
    foreign = fetch(server, "checkpoint", "auditor", "system")
    none = server.send("GET", f"/log/{'0' * 16}/checkpoint", headers=headers)

    assert (foreign.status, foreign.body) == (none.status, none.body)


def test_without_a_token_no_log_is_served(server: Server) -> None:
    """Only checkpoints that the operator hands out are public."""
    assert 401 == server.send("GET", f"/log/{log_id(server)}/checkpoint").status


def test_fetches_are_recorded_by_the_minute(serve_here: Callable[..., Any]) -> None:
    """The first fetch is an entry before anything is served; the total is one when it stops."""
    with serve_here() as (server, _):
        fetch(server, "checkpoint")
        first = readings(server)
        for width in (1, 2):
            fetch(server, f"tile/0/000.p/{width}")

    found = readings(server)
    minutes = {entry["minute"]: entry.get("fetches", 1) for entry in found}
    assert [("tiles", "auditor", 1)] == [
        (one["what"], one["actor"]["name"], one.get("fetches", 1)) for one in first
    ]
    assert 3 == sum(minutes.values())


def readings(server: Server) -> list[dict[str, Any]]:
    """Return the readings of tiles in the system's log."""
    entries = server.clinic.entries("system")
    return [entry for entry in entries if entry.get("what") == "tiles"]


def test_a_fetch_that_cannot_be_recorded_is_not_served(serve_here: Callable[..., Any]) -> None:
    """A server whose ledger is down serves nothing of it."""
    with serve_here(ledger_seconds=0.5) as (server, writer):
        headers, name = server.headers("auditor"), log_id(server)
        writer.ledger.close()
        replies = [
            server.send("GET", f"/log/{name}/{path}", headers=headers)
            for path in ("checkpoint", "tile/entries/000.p/1")
        ]

    assert [(503, "ledger-unavailable")] * 2 == [(one.status, one.code) for one in replies]


async def prune(writer: Writer) -> None:
    """Grow the log over 600 entries, and prune its first bundle."""
    entry = {"v": 1, "action": "test", "actor": {"kind": "system", "name": "test"}}
    await asyncio.gather(*(writer.ledger.append(TENANT, entry) for _ in range(600)))
    await writer.ledger.remember(
        [KeepArchived(Archived(TENANT, 0, name, "v", "sha256:0", 1)) for name in "ab"]
    )
    await writer.pruner.prune(TENANT, 256)


def test_a_pruned_log_says_that_it_is(serve_here: Callable[..., Any]) -> None:
    """Bundles and tiles of level 0 below the minimum are gone, those above them are there."""
    with serve_here() as (server, writer):
        asyncio.run(prune(writer))
        gone = ("tile/0/000", "tile/entries/000", "tile/entries/000.p/7")
        kept = ("tile/0/001", "tile/entries/001", "tile/1/000.p/2")
        statuses = [[fetch(server, path).status for path in paths] for paths in (gone, kept)]

    assert [[410] * 3, [200] * 3] == statuses
