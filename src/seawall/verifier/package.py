"""`python -B verifier/package.py DIR`: verify a package for an audit, without Seawall.

One file, Python's standard library and `cryptography`; it shares no code with what made the
package. The steps:

1. Key: the log's verifier key is given with --vkey, or taken from the package, and says so.
2. Files: manifest.json names every file that is there, with its SHA-256, and no other; there is
   no link, no special file, and no compiled code.
3. Entries: each line of entries.jsonl holds an entry whose hash is the leaf that it says.
4. Checkpoints: `checkpoint`, that of a copy of the log, and those that were published are signed
   by the key, and no two of them sign two histories of one size.
5. Proofs: each entry has a proof that leads to the root of `checkpoint` and no other. Where the
   package has a copy of the log, the root is recomputed from the copy's entries for the size of
   every checkpoint, and each entry is the one that the copy holds at its place.
6. Audit events: each entry has its FHIR AuditEvents, one for each patient, in its order, and of
   its place, hash, time, action and patient. What else they say is not compared.

The manifest is not signed: nothing that it says makes up for a proof.
Exit status 0: verified. 1: a step refused. 2: called in a way that leaves nothing to verify.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import os
import re
import stat
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

if __name__ == "__main__":
    sys.dont_write_bytecode = True  # what runs is what can be read

STEPS: Final = ("key", "files", "entries", "checkpoints", "proofs", "audit events")
_CHUNK: Final = 1 << 20
_LINE: Final = 200_000
_NOTE: Final = 1_000_000
_MANIFEST: Final = 64 << 20
"""What makes packages lists no more files than this has room for."""

_SHOWN: Final = 100
_ED25519: Final = 1
_HASH: Final = 32
_WIDTH: Final = 256
_EVENTS: Final = "fhir/audit-events.ndjson"
_CHECKPOINT: Final = re.compile("checkpoint|log/checkpoint|(log/)?published/[0-9]+/checkpoint")
_PATIENT_ID: Final = re.compile("[0-9a-f]{24}")
_ACTION: Final = re.compile(r"[a-z][a-z-]*(\.[a-z][a-z-]*)*")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_OPEN: Final = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a pipe must not keep us waiting
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_SMALL_ORDER: Final = (
    "00" * 32,
    "01" + "00" * 31,
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    *(first + "ff" * 30 + "7f" for first in ("ec", "ed", "ee")),
)
"""The points of small order on edwards25519, their sign bits left out: anybody signs for them."""


class Refused(Exception):
    """A step refuses: which file, and what is wrong with it."""

    def __init__(self, step: int, file: str, problem: str) -> None:
        super().__init__(f"{printable(file)} {problem}")
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
    if not os.path.lexists(folder / "manifest.json"):
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
    done = 0
    try:
        for found in _steps(folder, vkey):
            done += 1
            yield found
    except (ValueError, OverflowError, RecursionError, OSError) as error:
        problem = f"holds what cannot be read ({type(error).__name__})"
        raise Refused(done + 1, "the package", problem) from None


def _steps(folder: Path, vkey: str | None) -> Iterator[str]:
    given = vkey if vkey is not None else _text(1, "vkey", _read(1, folder, "vkey", 4_096))
    key = read_key(given.strip())
    whose = f"{printable(key.name)}, key id {key.key_id.hex()}"
    yield whose if vkey is not None else f"{whose}, from the package"
    manifest = _object(2, folder, "manifest.json")
    yield _check_files(folder, manifest)
    leaves: dict[int, str] = {}
    for index, leaf, entry in _entries(folder, key.name):
        if index in leaves:
            raise Refused(3, "entries.jsonl", f"has entry {index} twice")
        if hashlib.sha256(b"\x00" + canonical(entry)).hexdigest() != leaf:
            raise Refused(3, "entries.jsonl", f"has an entry {index} that is not what was hashed")
        leaves[index] = leaf
    if manifest.get("entries") != len(leaves):
        raise Refused(3, "entries.jsonl", "does not hold as many entries as the manifest says")
    yield f"{len(leaves):,} entries hash to the leaves that they name"
    signed = _checkpoints(folder, manifest, key)
    yield _say_checkpoints(signed, manifest)
    yield _check_proofs(folder, manifest, leaves, key, signed)
    yield _check_events(folder, manifest, key.name)


def _check_files(folder: Path, manifest: dict[str, Any]) -> str:  # 2
    named = manifest.get("files")
    if not isinstance(named, dict):
        raise Refused(2, "manifest.json", "names no files")
    there = set(_files(folder)) - {"manifest.json"}
    for file in sorted(there ^ named.keys()):
        raise Refused(2, file, "is not in the manifest" if file in there else "is missing")
    for file, said in named.items():
        digest = hashlib.sha256()
        with _open(2, folder, file) as opened:
            while piece := opened.read(_CHUNK):
                digest.update(piece)
        if not isinstance(said, dict) or digest.hexdigest() != said.get("sha256"):
            raise Refused(2, file, "is not what the manifest says")
    return f"{len(named):,} files are what the manifest says"


def _files(folder: Path) -> Iterator[str]:
    """Yield each file's path; refuse links, special files, and code that nobody can read."""
    for where, folders, files in os.walk(folder, onerror=_raise):
        for at, name in enumerate((*folders, *files)):
            path, is_folder = Path(where, name), at < len(folders)
            file = path.relative_to(folder).as_posix()
            if path.is_symlink() or not (is_folder or path.is_file()):
                raise Refused(2, file, "is not a regular file or folder")
            if name == "__pycache__" or name.endswith((".pyc", ".pyo")):
                raise Refused(2, file, "is compiled code: unpack anew, and run Python with -B")
            if not is_folder:
                yield file


def _raise(error: OSError) -> NoReturn:
    raise error


def _entries(folder: Path, origin: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    for line in _lines(3, folder, "entries.jsonl"):
        log, index, leaf, entry = map(line.get, ("log", "index", "leaf", "entry"))
        if log != origin or type(index) is not int or index < 0 or not isinstance(entry, dict):
            raise Refused(3, "entries.jsonl", "has an entry of another log or form")
        yield index, str(leaf), entry


def canonical(entry: dict[str, Any]) -> bytes:
    """Return an entry in the one form in which entries are hashed."""
    return json.dumps(entry, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _checkpoints(  # 4
    folder: Path, manifest: dict[str, Any], key: Key
) -> dict[int, tuple[bytes, str]]:
    """Return the root of each size that the key signed, and in which file."""
    signed: dict[int, tuple[bytes, str]] = {}
    for file in sorted(filter(_CHECKPOINT.fullmatch, manifest["files"])):
        made = _checkpoint(4, folder, file, key)
        root, other = signed.setdefault(made.size, (made.root, file))
        if root != made.root:
            raise Refused(4, file, f"signs another history than {other}: one size, two roots")
    if "checkpoint" not in manifest["files"]:
        raise Refused(4, "checkpoint", "is missing")
    return signed


def _say_checkpoints(signed: dict[int, tuple[bytes, str]], manifest: dict[str, Any]) -> str:
    said = f"signed, no size with two roots, the newest over {max(signed):,} entries"
    if len(signed) > 1 and manifest.get("whole_log") is not True:
        said += "; those of different sizes were NOT compared, which takes a copy of the log"
    return said


def _check_proofs(  # 5
    folder: Path,
    manifest: dict[str, Any],
    leaves: dict[int, str],
    key: Key,
    signed: dict[int, tuple[bytes, str]],
) -> str:
    has_log, has_proofs = manifest.get("whole_log") is True, manifest.get("proofs") == len(leaves)
    for file in manifest["files"]:
        if file.startswith("log/") and not has_log:
            raise Refused(5, file, "is there, and the manifest names no copy of the log")
    if not has_log and not has_proofs:
        raise Refused(5, "manifest.json", "names neither proofs nor a copy of the log")
    found = []
    if has_proofs:
        resting_on = _text(5, "checkpoint", _read(5, folder, "checkpoint", _NOTE))
        for index, leaf in leaves.items():
            file = f"proofs/{index}.tlog-proof"
            raw = _read(5, folder, file, _NOTE)
            if _check_proof(file, raw, index, bytes.fromhex(leaf), key) != resting_on:
                raise Refused(5, file, "rests on another checkpoint than `checkpoint`")
        found.append(f"{len(leaves):,} proofs lead to the root of `checkpoint`")
    if has_log:
        size = _checkpoint(5, folder, "log/checkpoint", key).size
        lost = _Copy(folder, size).check(leaves, signed)
        found.append(f"{len(leaves):,} entries are in log/, whose {size:,} make the signed root")
        if lost:
            found.append(f"{lost:,} checkpoints of entries that log/ lacks were NOT compared")
    return "; ".join(found)


class _Copy:
    """One reading of the package's copy of the log, which recomputes the roots."""

    def __init__(self, folder: Path, size: int) -> None:
        self._folder, self._size = folder, size
        self._edge: list[tuple[int, bytes]] = []  # level and root of each subtree that is whole
        self._count = 0

    def check(self, leaves: dict[int, str], signed: dict[int, tuple[bytes, str]]) -> int:
        """Refuse what differs from the copy; return how many checkpoints are of what it lacks."""
        begin, found = self._minimum() // _WIDTH, 0
        self._compare(signed)
        for at in range(-(-self._size // _WIDTH)):
            if at < begin:
                self._join(8, self._pruned(at))
                self._compare(signed)
                continue
            for leaf in self._bundle(at):
                if leaves.get(self._count, leaf.hex()) != leaf.hex():
                    raise Refused(5, "log", f"does not hold entry {self._count} of entries.jsonl")
                found += self._count in leaves
                self._join(0, leaf)
                self._compare(signed)
        if found != len(leaves):
            raise Refused(5, "log", "does not hold every entry of entries.jsonl")
        for size, (_, file) in signed.items():
            if size > self._size:
                raise Refused(5, file, "signs more entries than log/ holds")
        return sum(size < begin * _WIDTH and size % _WIDTH > 0 for size in signed)

    def _minimum(self) -> int:
        if not os.path.lexists(self._folder / "log/minimum"):
            return 0
        raw = _read(5, self._folder, "log/minimum", 32)
        if not re.fullmatch(rb"[1-9][0-9]{0,18}\n", raw) or int(raw) > self._size:
            raise Refused(5, "log/minimum", "is no place of the log")
        return int(raw)

    def _pruned(self, at: int) -> bytes:
        """Return the root of a bundle that went, of which the tile of level 1 is left."""
        tile, place = divmod(at, _WIDTH)
        full, width = divmod(self._size // _WIDTH, _WIDTH)
        file = _tile_path("1", tile, _WIDTH if tile < full else width)
        raw = _read(5, self._folder, file, _WIDTH * _HASH)
        if len(raw) < (place + 1) * _HASH:
            raise Refused(5, file, "is too short")
        return raw[place * _HASH : (place + 1) * _HASH]

    def _bundle(self, at: int) -> Iterator[bytes]:
        """Yield the leaf hash of each entry of a bundle, which holds these and nothing more."""
        width = min(_WIDTH, self._size - at * _WIDTH)
        file = _tile_path("entries", at, width)
        raw, begin = _read(5, self._folder, file, width * 65_537), 0
        for _ in range(width):
            end = begin + 2 + int.from_bytes(raw[begin : begin + 2], "big")
            if end > len(raw) or begin + 2 > len(raw):
                raise Refused(5, file, "is too short")
            yield hashlib.sha256(b"\x00" + raw[begin + 2 : end]).digest()
            begin = end
        if begin != len(raw):
            raise Refused(5, file, "holds more than its entries")

    def _join(self, level: int, node: bytes) -> None:
        self._count += 1 << level
        while self._edge and self._edge[-1][0] == level:
            node = _node(self._edge.pop()[1], node)
            level += 1
        self._edge.append((level, node))

    def _compare(self, signed: dict[int, tuple[bytes, str]]) -> None:
        if self._count not in signed:
            return
        root = b""
        for _, node in reversed(self._edge):
            root = _node(node, root) if root else node
        expected, file = signed[self._count]
        if expected != (root or hashlib.sha256(b"").digest()):
            problem = f"signs another root than the first {self._count:,} entries of log/ make"
            raise Refused(5, file, problem)


def _tile_path(kind: str, index: int, width: int) -> str:
    """Return the path of a tile or a bundle (C2SP tlog-tiles)."""
    above, last = divmod(index, 1_000)
    path = f"{last:03d}"
    while above:
        above, part = divmod(above, 1_000)
        path = f"x{part:03d}/{path}"
    return f"log/tile/{kind}/{path}" + ("" if width == _WIDTH else f".p/{width}")


def _check_proof(file: str, raw: bytes, index: int, leaf: bytes, key: Key) -> str:
    """Check a C2SP tlog-proof (RFC 9162 section 2.1.3.2), and return the note that it rests on."""
    head, blank, note = _text(5, file, raw).partition("\n\n")
    lines = head.split("\n")
    if not blank or lines[:2] != ["c2sp.org/tlog-proof@v1", f"index {index}"]:
        raise Refused(5, file, "is not a proof of this entry")
    checkpoint = open_checkpoint(5, file, note, key)
    path = [_decode(5, file, line) for line in lines[2:]]
    if index >= checkpoint.size or any(len(one) != _HASH for one in path):
        raise Refused(5, file, "is not of the checkpoint's log")
    place, last, node = index, checkpoint.size - 1, leaf
    for sibling in path:
        if last == 0:
            raise Refused(5, file, "is too long")
        if place % 2 or place == last:
            node = _node(sibling, node)
            while place and not place % 2:
                place, last = place // 2, last // 2
        else:
            node = _node(node, sibling)
        place, last = place // 2, last // 2
    if last or node != checkpoint.root:
        raise Refused(5, file, "does not lead to the checkpoint's root")
    return note


def _check_events(folder: Path, manifest: dict[str, Any], origin: str) -> str:  # 6
    count, events, about = 0, _lines(6, folder, _EVENTS), manifest.get("patient")
    for index, leaf, entry in _entries(folder, origin):
        named = [one for one in _patients(entry) if about is None or one == about]
        for patient in named or (None,):
            event = next(events, None)
            if event is None:
                raise Refused(6, _EVENTS, f"does not have all events of entry {index}")
            _check_event(event, (origin, str(index), leaf), entry, patient)
            count += 1
    if next(events, None) is not None or count != manifest.get("audit_events"):
        raise Refused(6, _EVENTS, "has an event of no entry that is here, or another count")
    return (
        f"{count:,} events have place, hash, time, action and patient of their entries; what else "
        "they say was NOT compared: entries.jsonl is what was signed"
    )


def _check_event(
    event: dict[str, Any], place: tuple[str, str, str], entry: dict[str, Any], patient: str | None
) -> None:
    """Refuse an AuditEvent that is not of this entry, or says another time, action or patient."""
    try:
        said = {one["type"]: one["valueString"] for one in event["entity"][-1]["detail"]}
        here = tuple(said[name] for name in ("log", "index", "leaf"))
        people = [
            one["what"]["identifier"]["value"]
            for one in event["entity"]
            if one.get("what", {}).get("type") == "Patient"
        ]
        known = [str(one["system"]).endswith("/sid/action") for one in event["subtype"]]
        actions = [one["code"] for one, ours in zip(event["subtype"], known, strict=True) if ours]
        recorded = event["recorded"]
    except (KeyError, IndexError, TypeError, AttributeError):
        raise Refused(6, _EVENTS, f"lacks a field in an event of entry {place[1]}") from None
    action, is_token = str(entry.get("action")), entry.get("action") == "token.issue"
    expected = [action[:64] if _ACTION.fullmatch(action) else "unknown"]
    if here != place:
        raise Refused(6, _EVENTS, f"has another event where one of entry {place[1]} belongs")
    if people != ([] if patient is None or is_token else [patient]):
        raise Refused(6, _EVENTS, f"names another patient than entry {place[1]} does")
    if actions != ([] if is_token else expected):  # IUA's pattern has no room for it
        raise Refused(6, _EVENTS, f"says another action than entry {place[1]} does")
    if _moment(recorded) != _moment(entry.get("at")):
        raise Refused(6, _EVENTS, f"says another time than entry {place[1]} does")


def _patients(entry: dict[str, Any]) -> list[str]:
    """Return the patients whom an entry concerns; for a reading, whoever was asked for."""
    named = entry.get("patients")
    if named is None and isinstance(entry.get("query"), dict):
        named = [entry["query"].get("patient")]
    found = [one for one in named if isinstance(one, str)] if isinstance(named, list) else []
    return list(dict.fromkeys(filter(_PATIENT_ID.fullmatch, found)))


def _moment(said: Any) -> int:
    """Return milliseconds since 1970; 0 for what is no moment, as audit events have it."""
    try:
        return (datetime.fromisoformat(str(said)) - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, TypeError):
        return 0


# --- signed notes -------------------------------------------------------------


def read_key(text: str) -> Key:
    """Read a verifier key: `NAME+KEYID+BASE64` of an Ed25519 key (C2SP signed-note)."""
    name, _, rest = text.partition("+")
    hexed, _, encoded = rest.partition("+")
    raw = _decode(1, "vkey", encoded)
    key_id = hashlib.sha256(f"{name}\n".encode() + raw).digest()[:4]
    if len(raw) != 1 + _HASH or raw[0] != _ED25519 or key_id.hex() != hexed:
        raise Refused(1, "vkey", "is no verifier key of an Ed25519 key")
    if not name or not name.isprintable() or any(map(str.isspace, name)):
        raise Refused(1, "vkey", "has a name that is empty, or holds what cannot be shown")
    if (raw[1:-1] + bytes([raw[-1] & 0x7F])).hex() in _SMALL_ORDER:
        raise Refused(1, "vkey", "is a key for which anybody can sign")
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
        raw = _decode(step, file, encoded) if (mark, name) == ("—", key.name) else b""
        if raw[:4] != key.key_id:
            continue
        try:
            key.public.verify(raw[4:], f"{body}\n".encode())
        except InvalidSignature:
            break
        size, root = lines[1], _decode(step, file, lines[2])
        if not re.fullmatch("0|[1-9][0-9]{0,18}", size) or len(root) != _HASH:
            break
        return Checkpoint(int(size), root)
    raise Refused(step, file, "is not signed by the log's key")


def _checkpoint(step: int, folder: Path, file: str, key: Key) -> Checkpoint:
    note = _text(step, file, _read(step, folder, file, _NOTE))
    return open_checkpoint(step, file, note, key)


# --- reading ------------------------------------------------------------------


def printable(text: str) -> str:
    """Return a name that cannot move a terminal's cursor, nor hide what follows it."""
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return "".join(
        character if " " <= character <= "~" else ascii(character)[1:-1] for character in shown
    )


def _open(step: int, folder: Path, file: str) -> BinaryIO:
    """Open a regular file: no link, no pipe."""
    try:
        opened = os.fdopen(os.open(folder / file, _OPEN), "rb")
    except FileNotFoundError:
        raise Refused(step, file, "is missing") from None
    except OSError as error:
        raise Refused(step, file, f"cannot be read ({error.strerror})") from None
    if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
        opened.close()
        raise Refused(step, file, "is not a regular file")
    return opened


def _read(step: int, folder: Path, file: str, limit: int) -> bytes:
    with _open(step, folder, file) as opened:
        raw = opened.read(limit + 1)
    if len(raw) > limit:
        raise Refused(step, file, "is too long")
    return raw


def _text(step: int, file: str, raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Refused(step, file, "is not UTF-8") from None


def _object(step: int, folder: Path, file: str) -> dict[str, Any]:
    """Return a JSON object; what has more parts than a list of files has is refused unread."""
    raw = _read(step, folder, file, _MANIFEST)
    if sum(map(raw.count, (b",", b"[", b"{"))) > 1_000 + len(raw) // 30:
        raise Refused(step, file, "has more parts than files that it could name")
    found = _parse(step, file, raw)
    if not isinstance(found, dict):
        raise Refused(step, file, "is no JSON object")
    return found


def _lines(step: int, folder: Path, file: str) -> Iterator[dict[str, Any]]:
    """Yield each line of a file, which is a JSON object."""
    with _open(step, folder, file) as opened:
        while raw := opened.readline(_LINE + 1):
            if len(raw) > _LINE or not raw.endswith(b"\n"):
                raise Refused(step, file, "has a line that is too long, or not ended")
            found = _parse(step, file, raw)
            if not isinstance(found, dict):
                raise Refused(step, file, "has a line that is no JSON object")
            yield found


def _parse(step: int, file: str, raw: bytes) -> Any:
    try:
        return _JSON.decode(raw.decode())
    except (ValueError, RecursionError):
        raise Refused(step, file, "is not JSON, or says a field twice") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field twice")
    return found


def _no(_: str) -> NoReturn:
    raise ValueError("not JSON")


_JSON: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no)


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
