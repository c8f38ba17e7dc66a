"""Packages for an audit, made by hand by whoever holds the log's key, and the program on them."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import seawall.verifier
from seawall.core.audit.lines import fhir_lines, json_line
from seawall.core.ledger.encoding import encode
from seawall.core.ledger.facets import moment_text
from seawall.core.ledger.proofs import inclusion_proof, proof_text
from seawall.core.ledger.tree import Edge, extend, leaf_hash
from verifier.logs import Log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PROGRAM = Path(seawall.verifier.__file__).parent / "package.py"
EVENTS = "fhir/audit-events.ndjson"
PATIENT, OTHER = "a" * 24, "b" * 24


def accesses(count: int, who: str = "app") -> list[bytes]:
    """Return entries that say who opened what of a patient."""
    return [
        encode(
            {
                "v": 1,
                "at": moment_text(number * 1_000),
                "action": "phi.open",
                "tenant": "harborview",
                "actor": {"kind": "client", "name": who},
                "patients": [PATIENT] if number % 2 else [PATIENT, OTHER],
            }
        )
        for number in range(count)
    ]


def access_log(folder: Path, key: Ed25519PrivateKey, count: int, who: str = "app") -> Log:
    """Return a log of such entries, as it is exported."""
    return Log(folder, accesses(count, who), key).write(count)


def proof(log: Log, index: int) -> bytes:
    """Return the proof of an entry under the log's checkpoint of all its entries."""
    tiles = extend(Edge(0, ()), [leaf_hash(entry) for entry in log.entries]).tiles
    size = len(log.entries)
    hashes = inclusion_proof(index, size, lambda level, at: tiles[level, at])
    return proof_text(index, hashes, log.checkpoint(size).decode()).encode()


def pack(
    folder: Path, log: Log, indexes: Sequence[int], *, copy: bool = False, **said: Any
) -> Path:
    """Write a package of some of a log's entries: with proofs, or with a copy of the log."""
    held = [(index, log.entries[index]) for index in indexes]
    put(folder, "vkey", f"{log.vkey}\n".encode())
    put(folder, "checkpoint", log.checkpoint(len(log.entries)))
    put(folder, "entries.jsonl", b"".join(json_line(log.origin, *one) for one in held))
    put(folder, EVENTS, b"".join(fhir_lines(log.origin, *one) for one in held))
    if not copy:
        for index in indexes:
            put(folder, f"proofs/{index}.tlog-proof", proof(log, index))
    else:
        for path in filter(Path.is_file, log.folder.rglob("*")):
            put(folder, f"log/{path.relative_to(log.folder)}", path.read_bytes())
    said = {"entries": len(held), "proofs": 0 if copy else len(held), "whole_log": copy, **said}
    return seal(folder, **said)


def put(folder: Path, name: str, content: bytes) -> None:
    """Write a file of a package."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def seal(folder: Path, **said: Any) -> Path:
    """Write the manifest that fits what lies there: nothing of it is signed."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_bytes()) if path.exists() else {}
    manifest["audit_events"] = (folder / EVENTS).read_bytes().count(b"\n")
    there = [one for one in folder.rglob("*") if one.is_file() and one != path]
    manifest["files"] = {
        one.relative_to(folder).as_posix(): {"sha256": hashlib.sha256(one.read_bytes()).hexdigest()}
        for one in there
    }
    path.write_text(json.dumps({**manifest, **said}), "utf-8")
    return folder


def audit(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run the program of a release on a package, isolated; return status and output."""
    done = subprocess.run(  # noqa: S603  the interpreter that runs the tests
        [sys.executable, "-I", str(PROGRAM), str(folder), *arguments],
        env={},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert b"" == done.stderr, done.stderr
    return done.returncode, done.stdout.decode()


def refusal(folder: Path, *arguments: str) -> str:
    """Return the line of the step that refuses a package."""
    status, said = audit(folder, *arguments)
    assert (1, "NOT VERIFIED.") == (status, said.splitlines()[-1]), said
    return said.splitlines()[-2]
