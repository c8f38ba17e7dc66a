"""Logs on disk for the verifier's tests, and running the program on them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cosigners import NOW
from seawall.core.ledger.checkpoint import Checkpoint, format_vkey, sign_checkpoint
from seawall.core.ledger.encoding import encode
from seawall.core.ledger.tiles import bundle_path, encode_bundle, tile_path, tiles_of
from seawall.core.ledger.tree import Edge, extend, leaf_hash

if TYPE_CHECKING:
    from pathlib import Path

    from cosigners import Cosigner

ORIGIN = "ledger.example/log/5e"


@dataclass
class Log:
    """An exported log, and the key that signs it."""

    folder: Path
    entries: Sequence[bytes]
    key: Ed25519PrivateKey
    origin: str = ORIGIN

    @property
    def vkey(self) -> str:
        """The log's verifier key."""
        return format_vkey(self.origin, self.key.public_key().public_bytes_raw())

    def checkpoint(self, size: int, *, claimed: int | None = None, origin: str = "") -> bytes:
        """Return the signed checkpoint of the first `size` entries."""
        edge = extend(Edge(0, ()), [leaf_hash(entry) for entry in self.entries[:size]]).edge
        body = Checkpoint(origin or self.origin, claimed or size, edge.root())
        public = self.key.public_key().public_bytes_raw()
        return sign_checkpoint(body, self.origin, self.key.sign, public).encode()

    def write(self, *sizes: int) -> Log:
        """Write the log as it stood at each of the sizes, the last of which stays current."""
        for size in sizes:
            leaves = [leaf_hash(entry) for entry in self.entries[:size]]
            tiles = extend(Edge(0, ()), leaves).tiles
            for level, index, width in tiles_of(size):
                self.put(tile_path(level, index, width), tiles[level, index])
            for first in range(0, size, 256):
                bundle = self.entries[first : min(first + 256, size)]
                self.put(bundle_path(first // 256, len(bundle)), encode_bundle(bundle))
            self.put("checkpoint", self.checkpoint(size))
        self.put("vkey", f"{self.vkey}\n".encode())
        return self

    def put(self, file: str, content: bytes) -> None:
        """Write a file of the folder."""
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def publish(self, size: int, *cosigners: Cosigner, at: int = NOW) -> str:
        """Write the checkpoint of a size as it is published, cosigned; return the note."""
        note = plain = self.checkpoint(size).decode()
        for cosigner in cosigners:
            note += str(cosigner.cosign(plain, at))
        self.put(f"published/{size}/checkpoint", note.encode())
        return note

    def prune(self, minimum: int) -> None:
        """Remove the bundles and the tiles of level 0 below an entry, as exports leave them out."""
        for index in range(minimum // 256):
            for kind in ("0", "entries"):
                for path in (self.folder / f"tile/{kind}").glob(f"{index:03d}*"):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.put("minimum", f"{minimum}\n".encode())

    def archive(self, *sizes: int) -> None:
        """Lay the folder out as archives are: checkpoints by their sizes, and none at the top."""
        for size in sizes:
            self.put(f"checkpoints/{size}", self.checkpoint(size))
        (self.folder / "checkpoint").unlink(missing_ok=True)

    def files(self) -> list[str]:
        """Return every file below tile/, in order."""
        found = (self.folder / "tile").rglob("*")
        return sorted(path.relative_to(self.folder).as_posix() for path in found if path.is_file())


def entries(count: int) -> list[bytes]:
    """Return entries of our form."""
    return [encode({"n": number, "what": "x" * (number % 7)}) for number in range(count)]


def log_in(folder: Path, *sizes: int, seed: int = 1) -> Log:
    """Write a log that has stood at each of the sizes."""
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    return Log(folder, entries(sizes[-1]), key).write(*sizes)


@dataclass
class Verdict:
    """What a run of the program came to."""

    status: int
    report: dict[str, Any]

    @property
    def refused(self) -> tuple[int, str]:
        """Return the step and the file that were refused."""
        assert self.status == 1
        return self.report["refusal"]["step"], self.report["refusal"]["file"]

    def step(self, number: int) -> tuple[str, str]:
        """Return a step's result and what it found."""
        step = self.report["steps"][number - 1]
        assert step["step"] == number
        return step["result"], step["found"]


Run = Callable[..., Verdict]
