"""The auditor's program on a long log: the stand-alone verifier as a process of its own."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.appends import ENTRY
from benchmarks.processes import ROOT
from benchmarks.table import Table, figure, say
from seawall.core.ledger.checkpoint import Checkpoint, format_vkey, sign_checkpoint
from seawall.core.ledger.encoding import encode
from seawall.core.ledger.tiles import bundle_path, encode_bundle, tile_path, tiles_of
from seawall.core.ledger.tree import HASH_BYTES, TILE_WIDTH, Edge, extend, leaf_hash

if TYPE_CHECKING:
    from benchmarks.effort import Effort

_ORIGIN: Final = "localhost/log/0123456789abcdef"
_ARGUMENTS: Final = {"as it is": (), "--entries": ("--entries",)}


def measure(effort: Effort) -> Table:
    """Return the table of verifications."""
    with tempfile.TemporaryDirectory(prefix="seawall-benchmarks-") as place:
        folder = Path(place)
        say(f"verifier: writing a log of {effort.log_size:,} entries")
        write_log(folder, effort.log_size)
        say("verifier: verifying it")
        rows = [_row(name, folder, effort.log_size) for name in _ARGUMENTS]
    return Table(
        f"Verifier: seawall-verify on an export of {effort.log_size:,} entries",
        ("called", "entries per second", "entries per CPU second", "CPU s"),
        rows,
        ("The start of Python is included.",),
    )


def write_log(folder: Path, size: int) -> None:
    """Write a tlog-tiles folder of `size` entries, signed by a new key."""
    edge = Edge(0, ())
    tiles: dict[tuple[int, int], bytes] = {}
    for position in range(-(-size // TILE_WIDTH)):
        first = position * TILE_WIDTH
        entries = [
            encode({**ENTRY, "intent": at}) for at in range(first, min(first + TILE_WIDTH, size))
        ]
        _write(folder / bundle_path(position, len(entries)), encode_bundle(entries))
        extension = extend(edge, [leaf_hash(entry) for entry in entries])
        edge = extension.edge
        tiles.update(extension.tiles)
    for level, index, width in tiles_of(size):
        _write(folder / tile_path(level, index, width), tiles[level, index][: width * HASH_BYTES])
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    checkpoint = Checkpoint(_ORIGIN, size, edge.root())
    _write(folder / "checkpoint", sign_checkpoint(checkpoint, _ORIGIN, key.sign, public).encode())
    _write(folder / "vkey", f"{format_vkey(_ORIGIN, public)}\n".encode())


def _row(name: str, folder: Path, size: int) -> tuple[str, ...]:
    cpu, wall = _cpu_of_children(), time.monotonic()
    command = [sys.executable, "-m", "seawall.verifier", str(folder), *_ARGUMENTS[name]]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)  # noqa: S603  our own
    wall, cpu = time.monotonic() - wall, _cpu_of_children() - cpu
    return name, figure(size / wall), figure(size / cpu), figure(cpu)


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
