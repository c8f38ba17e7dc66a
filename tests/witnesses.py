"""Real witnesses on 127.0.0.1 for tests: a folder each, made and served as the program does."""

from __future__ import annotations

import http.client
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from seawall.adapters.posting import HttpPost
from seawall.app.publish_checkpoints import OutsideWitness
from seawall.compose import create_witness, serve_witness, witness_book
from seawall.config import Passphrase
from seawall.core.ledger.checkpoint import parse_vkey
from seawall.core.ledger.cosignature import parse_cosigner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from seawall.adapters.witness_store import WitnessFile

PASSPHRASE: Final = Passphrase(b"a passphrase of the tests")


@dataclass(frozen=True)
class Answered:
    """What a witness answered."""

    status: int
    content_type: str
    body: str


@dataclass(frozen=True)
class Running:
    """A witness that serves: its folder, where it listens, its verifier keys."""

    folder: Path
    port: int
    vkeys: tuple[str, ...]

    @property
    def book(self) -> WitnessFile:
        """Return what the witness remembers."""
        return witness_book(self.folder)

    def outside(self, algorithm: int = 0) -> OutsideWitness:
        """Return it as a log knows it: by its Ed25519 key, or by its second one."""
        url = f"https://127.0.0.1:{self.port}/add-checkpoint"
        post = HttpPost(url, "text/plain", authority=self.folder / "tls" / "authority.pem")
        return OutsideWitness(parse_cosigner(self.vkeys[algorithm]), post)

    def send(self, method: str, path: str, body: bytes | None = None) -> Answered:
        """Send one request over TLS and return the whole answer."""
        context = ssl.create_default_context(cafile=str(self.folder / "tls" / "authority.pem"))
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=30, context=context
        )
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            content_type = answer.headers.get("content-type", "")
            return Answered(answer.status, content_type, answer.read().decode())
        finally:
            connection.close()


def made(folder: Path, name: str, *logs: str) -> tuple[str, ...]:
    """Make a witness that trusts these logs' keys; return its verifier keys."""
    vkeys = create_witness(folder, name, PASSPHRASE)
    for vkey in logs:
        witness_book(folder).trust(vkey, parse_vkey(vkey).name)
    return tuple(vkeys)


def vkeys_of(folder: Path) -> tuple[str, ...]:
    """Return the verifier keys of a folder's witness; none if it has none."""
    return tuple(witness_book(folder).vkeys()) if folder.exists() else ()


@asynccontextmanager
async def witnessing(folder: Path, name: str, *logs: str) -> AsyncIterator[Running]:
    """Make a witness if the folder has none, and serve it while the context lasts."""
    vkeys = vkeys_of(folder) or made(folder, name, *logs)
    async with serve_witness(folder, PASSPHRASE, host="127.0.0.1", port=0) as (url, _):
        yield Running(folder, int(url.rpartition(":")[2]), vkeys)
