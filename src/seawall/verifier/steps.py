"""What the verifier checks, in the order in which it says so.

1. Verifier key: the Ed25519 key that the log must be signed with. An auditor
   brings it (`--vkey`); a key that lies in the folder itself shows that the
   copy is whole, and not whose it is.
2. Checkpoint: a signed note of exactly the form of C2SP signed-note and
   tlog-checkpoint, signed by that key, for the origin of the key's name.
3. Files: `tile/` holds each file that a log of the checkpoint's size has, of a
   possible length, and nothing else. Partial tiles and bundles of earlier
   sizes may be there.
4. Entries: each bundle is cut exactly into its entries, whose hashes are the
   tile of level 0. Partial bundles and tiles of earlier sizes are beginnings
   of the present ones.
5. Tiles: each tile above is recomputed from the level below it.
6. Root: the recomputed root is the one that was signed.
7. Older checkpoint, if given: signed by the same key for the same origin, not
   larger than the present one, and its root is what the log's first entries
   make, so that nothing was rewritten since.
8. Content: whether the entries are Seawall's. It is said and never refused,
   since other logs have other entries.

Steps 4 to 6 are one pass over the log, a bundle at a time.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .content import Contents
from .folder import HASH, WIDTH, Folder, rows_of
from .note import NOTE_BYTES, Checkpoint, Key, read_checkpoint, text_of
from .refusal import FETCH_AGAIN, Refusal
from .tree import Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

STEPS: Final = (
    "verifier key",
    "checkpoint",
    "files",
    "entries",
    "tiles",
    "root",
    "older checkpoint",
    "content",
)
KEY, CHECKPOINT, FILES, BUNDLES, TILES, ROOT, OLDER, CONTENT = range(1, len(STEPS) + 1)

_READ_ALL: Final = 65_536
"""Up to this many entries step 8 reads each; of a longer log, one of each bundle."""


@dataclass(frozen=True)
class Request:
    """What to verify, and against what."""

    folder: Path
    key: Key
    key_is_from_folder: bool
    origin: str
    older: tuple[str, bytes] | None
    """The older checkpoint's file name and bytes."""
    every_entry: bool
    progress: Callable[[int, int], None]
    """Told now and then how many entries of how many are done."""


def verify(request: Request) -> Iterator[tuple[int, str, str]]:
    """Yield (step, result, what was found) for each step; `Refusal` where the log fails."""
    folder = Folder(request.folder)
    yield KEY, "ok", _whose_key(request)  # 1
    checkpoint = _open_checkpoint(folder.read(CHECKPOINT, "checkpoint", NOTE_BYTES), request)  # 2
    yield (
        CHECKPOINT,
        "ok",
        f"{checkpoint.origin}, {checkpoint.size:,} entries, root {text_of(checkpoint.root)}",
    )
    count = folder.check_files(FILES, checkpoint.size)  # 3
    yield FILES, "ok", f"{count:,} tiles and bundles, none missing and none strange"
    older = _open_older(request, checkpoint)
    run = _Pass(folder, checkpoint.size, older if isinstance(older, Checkpoint) else None, request)
    run.through()  # 4, 5
    yield BUNDLES, "ok", f"{checkpoint.size:,} entries hash to the tiles of level 0"
    yield TILES, "ok", f"{run.tiles:,} higher tiles recomputed"
    if run.tree.root([]) != checkpoint.root:  # 6
        raise Refusal(ROOT, "checkpoint", "signs another root than the entries and tiles make")
    yield ROOT, "ok", "the recomputed root is the signed one"
    yield OLDER, *_judge_older(request, older, run.older_root)  # 7
    yield CONTENT, "ok", run.contents.sentence(checkpoint.size)  # 8


class _Pass:
    """One reading of the log from its first bundle to its last."""

    def __init__(
        self, folder: Folder, size: int, older: Checkpoint | None, request: Request
    ) -> None:
        self.tiles = 0
        self.contents = Contents()
        self.older_root = b""
        self.tree = Tree(lambda level, index, raw: self._check_tile(level, index, WIDTH, raw))
        self._folder = folder
        self._size = size
        self._rows = rows_of(size)
        self._older = older
        self._progress = request.progress
        self._reads_all = request.every_entry or size <= _READ_ALL

    def through(self) -> None:
        """Check every bundle and tile; a refusal at the first that is wrong."""
        for base in range(0, self._size, WIDTH):
            leaves = self._check_bundle(base // WIDTH, min(WIDTH, self._size - base))
            if self._older and base <= self._older.size < base + WIDTH:
                self.older_root = self.tree.root(leaves[: self._older.size - base])
            self.tree.join(leaves)
            self._progress(self.tree.size, self._size)
        if self._older and self._older.size == self._size:
            self.older_root = self.tree.root([])
        for level, row in enumerate(self.tree.rows):
            if level and row:
                self._check_tile(level, self._rows[level + 1].full, len(row), b"".join(row))

    def _check_bundle(self, index: int, width: int) -> list[bytes]:
        """Return the leaf hashes of a bundle that agrees with its tile."""
        bundles, tiles = self._rows[0], self._rows[1]
        raw = self._folder.read_row(BUNDLES, bundles, index, width)
        ends = _cut(raw, width)
        if ends is None:
            problem = f"is not exactly {width} entries, each behind its length"
            raise Refusal(BUNDLES, bundles.path(index, width), problem)
        leaves = _hash(raw, ends)
        tile = self._folder.read_row(BUNDLES, tiles, index, width)
        if b"".join(leaves) != tile:
            at = next(i for i in range(width) if leaves[i] != tile[i * HASH : (i + 1) * HASH])
            problem = f"entry {index * WIDTH + at} is not what {tiles.path(index, width)} holds"
            raise Refusal(BUNDLES, bundles.path(index, width), problem)
        for stale in self._folder.stale_widths(BUNDLES, bundles, index):
            kept = self._folder.read_row(BUNDLES, bundles, index, stale)
            _require_beginning(BUNDLES, bundles.path(index, stale), kept, raw[: ends[stale - 1]])
        self._check_stale_tiles(BUNDLES, 0, index, tile)
        for at in range(width if self._reads_all else 1):
            self.contents.count(raw[(ends[at - 1] if at else 0) + 2 : ends[at]])
        return leaves

    def _check_tile(self, level: int, index: int, width: int, expected: bytes) -> None:
        row = self._rows[level + 1]
        if self._folder.read_row(TILES, row, index, width) != expected:
            problem = f"does not follow from the tiles of level {level - 1}"
            raise Refusal(TILES, row.path(index, width), problem)
        self._check_stale_tiles(TILES, level, index, expected)
        self.tiles += 1

    def _check_stale_tiles(self, step: int, level: int, index: int, tile: bytes) -> None:
        row = self._rows[level + 1]
        for width in self._folder.stale_widths(step, row, index):
            kept = self._folder.read_row(step, row, index, width)
            _require_beginning(step, row.path(index, width), kept, tile[: width * HASH])


def _cut(raw: bytes, width: int) -> list[int] | None:
    """Return where each entry of a bundle ends, or None if it is not exactly `width` of them."""
    ends: list[int] = []
    end, length = 0, len(raw)
    for _ in range(width):
        if end + 2 > length:
            return None
        end += 2 + (raw[end] << 8 | raw[end + 1])
        ends.append(end)
    return ends if end == length else None


def _hash(raw: bytes, ends: list[int]) -> list[bytes]:
    """Return the leaf hashes, SHA-256(0x00 || entry), of a bundle's entries."""
    sha256 = hashlib.sha256
    leaves, start = [], 2
    for end in ends:
        leaves.append(sha256(b"\x00" + raw[start:end]).digest())
        start = end + 2
    return leaves


def _require_beginning(step: int, file: str, kept: bytes, expected: bytes) -> None:
    if kept != expected:
        raise Refusal(step, file, "was kept from an earlier size, and is not how the log began")


def _whose_key(request: Request) -> str:
    named = f"{request.key.name}, key id {request.key.key_id.hex()}"
    if request.key_is_from_folder:
        return (
            f"{named}, taken from the folder itself: this can show that the copy is whole, not "
            "whose it is; compare it with the key that the operator gave you, or use --vkey"
        )
    return f"{named}, as given"


def _open_checkpoint(raw: bytes, request: Request) -> Checkpoint:
    try:
        return read_checkpoint(raw, request.key, request.origin)
    except ValueError as error:
        advice = f"make sure that the key is the right one; if it is, {FETCH_AGAIN}"
        raise Refusal(CHECKPOINT, "checkpoint", str(error), advice) from None


def _open_older(request: Request, present: Checkpoint) -> Checkpoint | Refusal | None:
    """Return the older checkpoint, or the refusal that step 7 will raise in its turn."""
    if request.older is None:
        return None
    file, raw = request.older
    try:
        older = read_checkpoint(raw, request.key, request.origin)
    except ValueError as error:
        return Refusal(OLDER, file, str(error), "use a checkpoint of this log, saved unchanged")
    if older.size > present.size:
        problem = f"signs {older.size:,} entries, and the log has {present.size:,}: it was cut back"
        return Refusal(OLDER, file, problem)
    return older


def _judge_older(
    request: Request, older: Checkpoint | Refusal | None, root: bytes
) -> tuple[str, str]:
    """Return step 7's result and what was found."""
    if isinstance(older, Refusal):
        raise older
    if older is None or request.older is None:
        return "not asked", "give one with --checkpoint to show that nothing was rewritten since"
    if older.root != root:
        problem = f"signs another history: the log's first {older.size:,} entries were rewritten"
        raise Refusal(OLDER, request.older[0], problem)
    return "ok", f"the first {older.size:,} entries are what was signed then"
