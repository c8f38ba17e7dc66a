"""The auditor's program on a long log: the stand-alone verifier as a process of its own."""

from __future__ import annotations

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
from seawall.core.ledger.proofs import inclusion_proof, proof_text, verify_inclusion, verify_proof
from seawall.core.ledger.tiles import bundle_path, encode_bundle, tile_path, tiles_of
from seawall.core.ledger.tree import HASH_BYTES, TILE_WIDTH, Edge, extend, leaf_hash
from seawall.verifier import package

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.effort import Effort

_ORIGIN: Final = "localhost/log/0123456789abcdef"
_ARGUMENTS: Final = {"as it is": (), "--entries": ("--entries",)}
_MEASURED: Final = """\
import re, resource, sys
from pathlib import Path
from seawall.verifier.__main__ import main
from seawall.verifier.runs import processors
if main(sys.argv[1:]):
    sys.exit(1)
ours, theirs = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
cpu = sum(used.ru_utime + used.ru_stime for used in (ours, theirs))
# Not ru_maxrss: Linux counts what the process was before it began to be this program.
own = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
print(cpu, own + processors() * theirs.ru_maxrss, file=sys.stderr)
"""
_PROOFS: Final = 200
"""So many entries, spread over the log, are proved."""


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
        ("called", "entries per second", "entries per CPU second", "CPU s", "peak MiB"),
        rows,
        (
            (
                "The start of Python is included. A long log is shared among as many processes as "
                "there are processors, at most four. The peak is what all of them could have "
                "used: that of the first, and for each other that of the largest."
            ),
        ),
    )


def measure_proofs(effort: Effort) -> Table:
    """Return the table of single proofs."""
    size = effort.log_size
    say(f"proofs: growing a tree of {size:,} entries")
    entries = [b"%d" % number for number in range(size)]
    extension = extend(Edge(0, ()), [leaf_hash(entry) for entry in entries])
    root, key = extension.edge.root(), Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    vkey = format_vkey(_ORIGIN, public)
    checkpoint = sign_checkpoint(Checkpoint(_ORIGIN, size, root), _ORIGIN, key.sign, public)
    places = range(0, size, max(size // _PROOFS, 1))
    paths = [
        inclusion_proof(at, size, lambda level, index: extension.tiles[level, index])
        for at in places
    ]
    texts = [proof_text(at, path, checkpoint) for at, path in zip(places, paths, strict=True)]
    leaves = [leaf_hash(entries[at]) for at in places]
    auditors_key = package.read_key(vkey)
    calls: dict[str, tuple[Callable[[int, int], object], int]] = {
        "the hashes alone": (
            lambda n, at: verify_inclusion(at, size, leaves[n], paths[n], root),
            max(sum(map(len, path)) for path in paths),
        ),
        "a tlog-proof": (
            lambda n, at: verify_proof(texts[n], entries[at], vkey),
            max(len(text.encode()) for text in texts),
        ),
        "a tlog-proof, by the auditor's program": (
            lambda n, at: package._check_proof("", texts[n].encode(), at, leaves[n], auditors_key),  # noqa: SLF001  what it calls for each entry
            max(len(text.encode()) for text in texts),
        ),
    }
    rows = [
        (name, figure(_microseconds(call, places)), f"{length:,}")
        for name, (call, length) in calls.items()
    ]
    return Table(
        f"Proofs: that one entry is in a log of {size:,}",
        ("verified", "us of CPU", "bytes at most"),
        rows,
        ("A tlog-proof is text with the signed checkpoint, whose signature is verified too.",),
    )


def _microseconds(call: Callable[[int, int], object], places: Sequence[int]) -> float:
    """Return what one call costs: the best of five rounds over all places."""
    best = float("inf")
    for _ in range(5):
        begun = time.process_time()
        for number, at in enumerate(places):
            call(number, at)
        best = min(best, time.process_time() - begun)
    return best / len(places) * 1e6


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
    begun = time.monotonic()
    command = [sys.executable, "-c", _MEASURED, str(folder), *_ARGUMENTS[name]]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S603  our own
    wall = time.monotonic() - begun
    cpu, peak = map(float, done.stderr.split()[-2:])
    return name, figure(size / wall), figure(size / cpu), figure(cpu), figure(peak / 1024)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
