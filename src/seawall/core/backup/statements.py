"""What a backup repository says about itself: signed, and readable without a key.

Three texts, each with one spelling. The *listing* of a snapshot names every file
that it needs, with size and SHA-256. The *note* of a snapshot binds the listing
and the sealed manifest. The *index* of the repository names the snapshots that
count and the files of the key part. Note and index are signed notes (C2SP
signed-note, Ed25519) by the key that signs checkpoints; their first line keeps
them from being taken for a checkpoint.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

import orjson

from seawall.core.backup.chunks import FORM
from seawall.core.errors import Error, Tampered
from seawall.core.ledger.checkpoint import parse_vkey, require_signed
from seawall.core.ledger.note import (
    ED25519,
    Note,
    SignatureLine,
    decode_base64,
    encode_base64,
    make_key,
    read_key,
    read_note,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

REPOSITORY_ID: Final = re.compile(r"[0-9a-f]{32}")
SNAPSHOT_NAME: Final = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{12}")
_FILE: Final = re.compile(
    r"(chunks/[0-9a-f]{2}/[0-9a-f]{64}|payloads/[0-9a-f]{2}/[0-9a-f]{64}) (\d{1,12}) ([0-9a-f]{64})"
)
_DIGEST: Final = r"[0-9a-f]{64}"
_NOTE: Final = re.compile(
    rf"{FORM} snapshot\n([0-9a-f]{{32}}) (\S+)\nfiles ({_DIGEST})\nmanifest ({_DIGEST})\n"
)
_INDEX: Final = re.compile(rf"{FORM} index\n([0-9a-f]{{32}}) (\d{{1,15}})\nform ({_DIGEST})\n")
_SNAPSHOT: Final = re.compile(rf"snapshot (\S+) ({_DIGEST})")
_KEY: Final = re.compile(rf"key (keys/(?:ring|[0-9a-f]{{32}})-[0-9a-f]{{16}}) ({_DIGEST})")
_CHECKPOINT: Final = re.compile(r"checkpoint ([0-9A-Za-z+/]{1,4000}={0,2})")


@dataclass(frozen=True, slots=True)
class Identity:
    """What a repository's `seawall-backup.json` says: which one it is, and whose key signs."""

    repository: str
    vkey: str

    def to_bytes(self) -> bytes:
        """Return the one way to write it."""
        told = {"form": FORM, "repository": self.repository, "vkey": self.vkey}
        return orjson.dumps(told, option=orjson.OPT_INDENT_2) + b"\n"

    @classmethod
    def from_bytes(cls, raw: bytes) -> Identity:
        """Read it; `Tampered` unless it is written in that way and the key can be one."""
        try:
            told = orjson.loads(raw)
            read = cls(str(told["repository"]), str(told["vkey"]))
        except (orjson.JSONDecodeError, KeyError, TypeError):
            untold()
        key = read_key(read.vkey)
        is_sound = REPOSITORY_ID.fullmatch(read.repository) and key and key.algorithm == ED25519
        if not is_sound or not read.vkey.split("+")[0].endswith(f"/backup/{read.repository}"):
            untold()
        if read.to_bytes() != raw:
            untold()
        return read


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that a snapshot needs: its size and the SHA-256 of its bytes."""

    size: int
    digest: str


def write_listing(files: Mapping[str, Stored]) -> bytes:
    """Write which files a snapshot needs, by path."""
    lines = (f"{path} {held.size} {held.digest}\n" for path, held in sorted(files.items()))
    return "".join(lines).encode()


def read_listing(raw: bytes) -> dict[str, Stored]:
    """Read a listing; `Tampered` unless it is written in the one way."""
    files: dict[str, Stored] = {}
    for line in _text(raw).splitlines():
        found = _FILE.fullmatch(line)
        if found is None:
            untold()
        files[found[1]] = Stored(int(found[2]), found[3])
    if write_listing(files) != raw:
        untold()
    return files


@dataclass(frozen=True, slots=True)
class SnapshotNote:
    """What is signed of a snapshot: its name, and digests of its listing and its manifest."""

    repository: str
    name: str
    files: str
    manifest: str

    def text(self) -> str:
        """Return the text that is signed."""
        return (
            f"{FORM} snapshot\n{self.repository} {self.name}\n"
            f"files {self.files}\nmanifest {self.manifest}\n"
        )

    @classmethod
    def read(cls, note: bytes, vkey: str) -> SnapshotNote:
        """Read a signed one; `Tampered` unless form and signature are right."""
        found = _NOTE.fullmatch(_signed(note, vkey))
        if found is None or not SNAPSHOT_NAME.fullmatch(found[2]):
            untold()
        return cls(*found.groups())


@dataclass(frozen=True, slots=True)
class Index:
    """What counts in a repository: its snapshots, oldest first, and the files of the key part."""

    repository: str
    sequence: int
    """How often it was written: a copy from before has a smaller one."""
    form: str
    """SHA-256 of `seawall-backup.json`."""
    snapshots: tuple[tuple[str, str], ...] = ()
    """Names, and SHA-256 of their notes."""
    keys: tuple[tuple[str, str], ...] = ()
    """Paths, and SHA-256 of the files."""
    checkpoint: str = ""
    """Of the system's log, once it said that the newest snapshot was made."""

    def text(self) -> str:
        """Return the text that is signed."""
        lines = [f"{FORM} index", f"{self.repository} {self.sequence}", f"form {self.form}"]
        lines += [f"snapshot {name} {digest}" for name, digest in self.snapshots]
        lines += [f"key {path} {digest}" for path, digest in self.keys]
        if self.checkpoint:
            lines.append(f"checkpoint {encode_base64(self.checkpoint.encode())}")
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def read(cls, note: bytes, vkey: str) -> Index:
        """Read a signed one; `Tampered` unless form and signature are right."""
        text = _signed(note, vkey)
        head, rest = text.split("\n")[:3], text.split("\n")[3:-1]
        found = _INDEX.fullmatch("".join(f"{line}\n" for line in head))
        snapshots = [line for line in map(_SNAPSHOT.fullmatch, rest) if line]
        keys = [line for line in map(_KEY.fullmatch, rest) if line]
        told = next((line[1] for line in map(_CHECKPOINT.fullmatch, rest) if line), "")
        if found is None:
            untold()
        read = cls(
            found[1],
            int(found[2]),
            found[3],
            tuple((line[1], line[2]) for line in snapshots),
            tuple((line[1], line[2]) for line in keys),
            _text(decode_base64(told) or b""),
        )
        if read.text() != text or not all(SNAPSHOT_NAME.fullmatch(n) for n, _ in read.snapshots):
            untold()
        return read


def sign(text: str, vkey: str, signing: Callable[[bytes], bytes]) -> bytes:
    """Return a text as a signed note; `signing` makes the signature of the key of `vkey`."""
    key = parse_vkey(vkey)
    return str(Note(text, (SignatureLine(key.name, key.key_id, signing(text.encode())),))).encode()


def backup_vkey(host: str, repository: str, public_key: bytes) -> str:
    """Return the verifier key of a repository: the key of checkpoints under a name of its own."""
    return str(make_key(f"{host}/backup/{repository}", ED25519, public_key))


def _signed(note: bytes, vkey: str) -> str:
    """Return the text of a note that holds exactly one signature, which verifies."""
    key = parse_vkey(vkey)
    try:
        read = read_note(_text(note))
        require_signed(read, [key])
    except Error:
        untold()
    if len(read.lines) != 1:
        untold()
    return read.text


def _text(raw: bytes) -> str:
    try:
        return raw.decode("ascii", "strict") if raw.isascii() else raw.decode()
    except UnicodeDecodeError:
        untold()


def untold(path: str = "") -> NoReturn:
    """Raise that a statement is not one that was signed; `path` is a repository's own name."""
    raise Tampered(
        "backup-untrusted",
        f"a statement of the backup about itself is not as it was signed{path and ': '}{path}",
        "`seawall backup verify` names the file; use another copy, and treat it as an incident",
    )


def oldest_beyond(names: Sequence[str], keep: int) -> Sequence[str]:
    """Return which snapshots, oldest first, go when the newest `keep` stay.

    0 keeps all, and so does what is no number of snapshots: the newest never goes.
    """
    return names[:-keep] if keep > 0 else ()
