"""`python verifier/package.py DIR`: verify a package for an audit, without Seawall.

One file, Python's standard library and `cryptography`; it shares no code with what made the
package. The steps:

1. Key: the log's verifier key is given with --vkey, or taken from the package, and says so.
2. Files: manifest.json names every file that is there, with its SHA-256, and no other.
3. Entries: each line of entries.jsonl holds an entry whose hash is the leaf that it says.
4. Proofs: each entry has a proof that leads to the root of a checkpoint that the key signed. In a
   package without proofs each entry is the one that the copy of the log holds at its place, and
   the log is verified by the other program.
5. Checkpoints: `checkpoint` and those that were published are signed by the key.
6. Audit events: each FHIR AuditEvent points to an entry of the package, and to its hash.

Exit status 0: verified. 1: a step refused. 2: called in a way that leaves nothing to verify.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

STEPS: Final = ("key", "files", "entries", "proofs", "checkpoints", "audit events")
_CHUNK: Final = 1 << 20
_LINE: Final = 200_000
_NOTE: Final = 1_000_000
_ED25519: Final = 1
_HASH: Final = 32


class Refused(Exception):
    """A step refuses: which file, and what is wrong with it."""

    def __init__(self, step: int, file: str, problem: str) -> None:
        super().__init__(f"{file} {problem}")
        self.step = step


@dataclass(frozen=True)
class Key:
    """A log's verifier key: name, key id, Ed25519 public key."""

    name: str
    key_id: bytes
    public: Ed25519PublicKey


@dataclass(frozen=True)
class Checkpoint:
    """What the key signed: size and root of the log."""

    size: int
    root: bytes


def main(argv: Sequence[str] | None = None) -> int:
    """Verify the package that the arguments name, print each step, return the exit status."""
    parser = argparse.ArgumentParser(
        prog="package.py", description="Verify a package for an audit, made by Seawall."
    )
    parser.add_argument("folder", metavar="DIR", help="the unpacked package")
    parser.add_argument(
        "--vkey", metavar="KEY", help="the log's verifier key, as you were given it"
    )
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as ended:
        return int(ended.code or 0)
    folder = Path(arguments.folder)
    if not (folder / "manifest.json").is_file():
        print("there is no manifest.json: name an unpacked package", file=sys.stderr)
        return 2
    try:
        for step, found in enumerate(verify(folder, arguments.vkey), 1):
            print(f"  {step}  {STEPS[step - 1]:<13}ok  {found}")
    except Refused as refused:
        print(f"  {refused.step}  {STEPS[refused.step - 1]:<13}REFUSED  {refused}")
        print("NOT VERIFIED.")
        return 1
    if arguments.vkey is None:
        print("VERIFIED by the key that lies in the package: compare it with the operator's.")
    else:
        print("VERIFIED.")
    return 0


def verify(folder: Path, vkey: str | None) -> Iterator[str]:
    """Yield what each step found, in order; `Refused` where one refuses."""
    manifest = _object(2, folder, "manifest.json")
    given = vkey if vkey is not None else _read(1, folder, "vkey", 4_096).decode("utf-8", "replace")
    key = read_key(given.strip())
    yield f"{key.name}, key id {key.key_id.hex()}{'' if vkey else ', from the package'}"
    yield _check_files(folder, manifest)
    leaves: dict[int, str] = {}
    for index, leaf, entry in _entries(folder, key.name):
        if index in leaves:
            raise Refused(3, "entries.jsonl", f"has entry {index} twice")
        _check_entry(index, leaf, entry)
        leaves[index] = leaf
    if manifest.get("entries") != len(leaves):
        raise Refused(3, "entries.jsonl", "does not hold as many entries as the manifest says")
    yield f"{len(leaves):,} entries hash to the leaves that they name"
    yield _check_proofs(folder, manifest, leaves, key)
    yield _check_checkpoints(folder, manifest, key)
    yield _check_events(folder, manifest, leaves, key.name)


def _check_files(folder: Path, manifest: dict[str, Any]) -> str:  # 2
    named = manifest.get("files")
    if not isinstance(named, dict):
        raise Refused(2, "manifest.json", "names no files")
    there = set()
    for where, folders, files in os.walk(folder):
        folders[:] = [one for one in folders if one != "__pycache__"]
        for name in files:
            path = Path(where, name)
            file = path.relative_to(folder).as_posix()
            if path.is_symlink() or not path.is_file():
                raise Refused(2, file, "is not a regular file")
            there.add(file)
    there.discard("manifest.json")
    for file in sorted(there ^ named.keys()):
        raise Refused(2, file, "is not in the manifest" if file in there else "is missing")
    for file, said in named.items():
        digest = hashlib.sha256()
        with (folder / file).open("rb") as opened:
            while piece := opened.read(_CHUNK):
                digest.update(piece)
        if not isinstance(said, dict) or digest.hexdigest() != said.get("sha256"):
            raise Refused(2, file, "is not what the manifest says")
    return f"{len(named):,} files are what the manifest says"


def _entries(folder: Path, origin: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    for line in _lines(3, folder, "entries.jsonl"):
        try:
            log, index, leaf, entry = (line[name] for name in ("log", "index", "leaf", "entry"))
        except (KeyError, TypeError):
            raise Refused(3, "entries.jsonl", "has a line of another form") from None
        if log != origin or type(index) is not int or index < 0 or not isinstance(entry, dict):
            raise Refused(3, "entries.jsonl", "has an entry of another log or form")
        yield index, str(leaf), entry


def canonical(entry: dict[str, Any]) -> bytes:
    """Return an entry in the one form in which entries are hashed."""
    return json.dumps(entry, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _check_entry(index: int, leaf: str, entry: dict[str, Any]) -> None:  # 3
    if hashlib.sha256(b"\x00" + canonical(entry)).hexdigest() != leaf:
        raise Refused(3, "entries.jsonl", f"has an entry {index} that does not hash to its leaf")


def _check_proofs(  # 4
    folder: Path, manifest: dict[str, Any], leaves: dict[int, str], key: Key
) -> str:
    if manifest.get("proofs") == len(leaves):
        for index, leaf in leaves.items():
            file = f"proofs/{index}.tlog-proof"
            _check_proof(file, _read(4, folder, file, _NOTE), index, bytes.fromhex(leaf), key)
        return f"{len(leaves):,} proofs lead to a checkpoint that the key signed"
    if manifest.get("whole_log") is not True:
        raise Refused(4, "manifest.json", "names neither proofs nor a copy of the log")
    size = _checkpoint(4, folder, "log/checkpoint", key).size
    for index, leaf in leaves.items():
        if index >= size or _leaf_in_copy(folder, index, size) != leaf:
            raise Refused(4, "log", f"does not hold entry {index} as entries.jsonl has it")
    return f"{len(leaves):,} entries are in log/, which `python verifier log` verifies"


def _leaf_in_copy(folder: Path, index: int, size: int) -> str:
    """Return the leaf hash of the entry that the copy of the log has at this place."""
    bundle, place = divmod(index, 256)
    width = min(256, size - bundle * 256)
    above, last = divmod(bundle, 1_000)
    path = f"{last:03d}"
    while above:
        above, part = divmod(above, 1_000)
        path = f"x{part:03d}/{path}"
    file = f"log/tile/entries/{path}" + ("" if width == 256 else f".p/{width}")  # noqa: PLR2004  a full bundle
    raw, at = _read(4, folder, file, 256 * 65_537), 0
    for _ in range(place):
        at += 2 + int.from_bytes(raw[at : at + 2], "big")
    entry = raw[at + 2 : at + 2 + int.from_bytes(raw[at : at + 2], "big")]
    return hashlib.sha256(b"\x00" + entry).hexdigest()


def _check_proof(file: str, raw: bytes, index: int, leaf: bytes, key: Key) -> None:
    """Check a C2SP tlog-proof: its form, its checkpoint, and RFC 9162 section 2.1.3.2."""
    head, blank, note = raw.decode("utf-8", "replace").partition("\n\n")
    lines = head.split("\n")
    if not blank or lines[:2] != ["c2sp.org/tlog-proof@v1", f"index {index}"]:
        raise Refused(4, file, "is not a proof of this entry")
    checkpoint = open_checkpoint(4, file, note, key)
    path = [_decode(4, file, line) for line in lines[2:]]
    if index >= checkpoint.size or any(len(one) != _HASH for one in path):
        raise Refused(4, file, "is not of the checkpoint's log")
    place, last, node = index, checkpoint.size - 1, leaf
    for sibling in path:
        if last == 0:
            raise Refused(4, file, "is too long")
        if place % 2 or place == last:
            node = _node(sibling, node)
            while place and not place % 2:
                place, last = place // 2, last // 2
        else:
            node = _node(node, sibling)
        place, last = place // 2, last // 2
    if last or node != checkpoint.root:
        raise Refused(4, file, "does not lead to the checkpoint's root")


def _check_checkpoints(folder: Path, manifest: dict[str, Any], key: Key) -> str:  # 5
    files = [
        file
        for file in manifest["files"]
        if file == "checkpoint" or (file.startswith("published/") and file.endswith("/checkpoint"))
    ]
    if "checkpoint" not in files:
        raise Refused(5, "checkpoint", "is missing")
    sizes = [_checkpoint(5, folder, file, key).size for file in files]
    return f"{len(files)} signed, the newest over {max(sizes):,} entries"


def _check_events(  # 6
    folder: Path, manifest: dict[str, Any], leaves: dict[int, str], origin: str
) -> str:
    count, seen = 0, set()
    for event in _lines(6, folder, "fhir/audit-events.ndjson"):
        try:
            held = event["entity"][-1]["detail"]
            said = {one["type"]: one["valueString"] for one in held}
            log, index, leaf = said["log"], int(said["index"]), said["leaf"]
        except (KeyError, IndexError, TypeError, ValueError):
            raise Refused(6, "fhir/audit-events.ndjson", "has an event without a place") from None
        if log != origin or leaves.get(index) != leaf:
            raise Refused(6, "fhir/audit-events.ndjson", "has an event of no entry that is here")
        count += 1
        seen.add(index)
    if count != manifest.get("audit_events") or seen != leaves.keys():
        raise Refused(6, "fhir/audit-events.ndjson", "does not have the events of all entries")
    return f"{count:,} events point to entries of this package"


# --- signed notes -------------------------------------------------------------


def read_key(text: str) -> Key:
    """Read a verifier key: `NAME+KEYID+BASE64` of an Ed25519 key (C2SP signed-note)."""
    name, _, rest = text.partition("+")
    hexed, _, encoded = rest.partition("+")
    raw = _decode(1, "vkey", encoded)
    key_id = hashlib.sha256(f"{name}\n".encode() + raw).digest()[:4]
    if len(raw) != 1 + _HASH or raw[0] != _ED25519 or key_id.hex() != hexed or not name:
        raise Refused(1, "vkey", "is no verifier key of an Ed25519 key")
    return Key(name, key_id, Ed25519PublicKey.from_public_bytes(raw[1:]))


def open_checkpoint(step: int, file: str, note: str, key: Key) -> Checkpoint:
    """Return what a checkpoint says, if the key signed it (C2SP tlog-checkpoint)."""
    body, blank, signatures = note.partition("\n\n")
    lines = body.split("\n")
    if not blank or len(lines) < 3 or lines[0] != key.name:  # noqa: PLR2004  origin, size, root
        raise Refused(step, file, "is no checkpoint of this log")
    for line in signatures.splitlines():
        mark, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        if mark != "—" or name != key.name:
            continue
        raw = _decode(step, file, encoded)
        if raw[:4] != key.key_id:
            continue
        try:
            key.public.verify(raw[4:], f"{body}\n".encode())
        except InvalidSignature:
            break
        size, root = lines[1], _decode(step, file, lines[2])
        if not size.isascii() or not size.isdecimal() or len(size) > 19 or len(root) != _HASH:  # noqa: PLR2004  2^63
            break
        return Checkpoint(int(size), root)
    raise Refused(step, file, "is not signed by the log's key")


def _checkpoint(step: int, folder: Path, file: str, key: Key) -> Checkpoint:
    return open_checkpoint(
        step, file, _read(step, folder, file, _NOTE).decode(errors="replace"), key
    )


# --- reading ------------------------------------------------------------------


def _read(step: int, folder: Path, file: str, limit: int) -> bytes:
    try:
        with (folder / file).open("rb") as opened:
            raw = opened.read(limit + 1)
    except OSError as error:
        raise Refused(step, file, f"cannot be read ({error.strerror})") from None
    if len(raw) > limit:
        raise Refused(step, file, "is too long")
    return raw


def _object(step: int, folder: Path, file: str) -> dict[str, Any]:
    found = _parse(step, file, _read(step, folder, file, 1 << 30))
    if not isinstance(found, dict):
        raise Refused(step, file, "is no JSON object")
    return found


def _lines(step: int, folder: Path, file: str) -> Iterator[dict[str, Any]]:
    """Yield each line of a file, which is a JSON object."""
    try:
        with (folder / file).open("rb") as opened:
            while raw := opened.readline(_LINE + 1):
                found = _parse(step, file, raw)
                if len(raw) > _LINE or not raw.endswith(b"\n") or not isinstance(found, dict):
                    raise Refused(step, file, "has a line that is too long, or no JSON object")
                yield found
    except OSError as error:
        raise Refused(step, file, f"cannot be read ({error.strerror})") from None


def _parse(step: int, file: str, raw: bytes) -> Any:
    try:
        return json.loads(raw.decode(), object_pairs_hook=_unique, parse_constant=_no)
    except (ValueError, RecursionError):
        raise Refused(step, file, "is not JSON, or says a field twice") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field twice")
    return found


def _no(_: str) -> NoReturn:
    raise ValueError("not JSON")


def _decode(step: int, file: str, text: str) -> bytes:
    """Decode canonical base64."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = None
    if raw is None or base64.b64encode(raw).decode() != text:
        raise Refused(step, file, "holds base64 that is not canonical")
    return raw


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


if __name__ == "__main__":
    sys.exit(main())
