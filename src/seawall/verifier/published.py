"""What lies beside a log: checkpoints of earlier sizes, and what others said about them."""

from __future__ import annotations

import heapq
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .folder import WIDTH, Folder, rows_of
from .note import NOTE_BYTES, Checkpoint, Key, Note, open_checkpoint, read_checkpoint, read_note
from .refusal import ALLOW_OLDER, CHECKPOINT, FETCH_AGAIN, FILES, ROOT, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CHECKPOINT_FILE: Final = "checkpoint"

_PUBLISHED: Final = "published"
_ARCHIVED: Final = "checkpoints"
_SIZE: Final = re.compile("0|[1-9][0-9]{0,18}")
_CONSIDERED: Final = 10_000
"""So many of the newest are looked at; a week of a log that is published each minute."""

_SCANNED_BYTES: Final = 256 * 1_048_576
"""So much of all the checkpoints in a copy is read: each may be long, and there may be many."""


@dataclass(frozen=True)
class Claim:
    """A signed statement about the log at some size, which its root then confirms or refutes."""

    file: str
    size: int
    root: bytes
    found: str
    """What to say if it is confirmed."""


@dataclass(frozen=True)
class Signed:
    """A checkpoint that the log's key signed, and the note that it came in."""

    file: str
    note: Note
    checkpoint: Checkpoint
    length: int
    """How many bytes the note has."""


@dataclass(frozen=True)
class Beside:
    """The log's own checkpoints that lie beside the present one, and how many were left out."""

    claims: tuple[Claim, ...] = ()
    ahead: int = 0
    """So many in the first folder sign more entries than the log has here."""
    unsigned: int = 0
    """So many cannot be read, or are not signed by the log's key."""
    is_cut: bool = False
    """Whether some place has so many that its oldest were not looked at."""


def read_signed(folder: Folder, step: int, file: str, key: Key, origin: str) -> Signed:
    """Read a checkpoint of the log from its folder; a refusal unless the log's key signed it."""
    raw = folder.read(step, file, NOTE_BYTES)
    try:
        note = read_note(raw)
        return Signed(file, note, open_checkpoint(note, key, origin), len(raw))
    except ValueError as error:
        advice = f"make sure that the key is the right one; if it is, {FETCH_AGAIN}"
        raise Refusal(step, file, str(error), advice) from None


def newest_archived(folder: Folder, key: Key, origin: str) -> tuple[Signed, int]:
    """Return an archive's newest checkpoint whose last tiles are there, and how many are newer."""
    sizes = _sizes(folder, CHECKPOINT, _ARCHIVED)
    for newer, size in enumerate(sizes):
        if _has_edge(folder, size):
            signed = read_signed(folder, CHECKPOINT, f"{_ARCHIVED}/{size}", key, origin)
            _require_size(CHECKPOINT, signed, size)
            return signed, newer
    advice = "name the folder that holds tile/ and checkpoints/, or leave --archive out"
    raise Refusal(CHECKPOINT, _ARCHIVED, "holds no checkpoint whose last tiles are there", advice)


def published(
    folder: Folder, step: int, present: Signed, *, key: Key, minimum: int, file: str
) -> Iterator[tuple[Signed, str]]:
    """Yield the published checkpoints that have a file of this name beside them, newest first.

    The file's name below the log's folder comes along. Those whose root cannot be
    recomputed, since their last entries were pruned, are left out. A refusal at one that
    the log's key did not sign, or that signs more entries than the log has: it was cut back.
    """
    origin, left = present.checkpoint.origin, _SCANNED_BYTES
    for size in _sizes(folder, step, _PUBLISHED):
        if size > present.checkpoint.size and folder.may_be_later:
            continue
        if not can_be_recomputed(size, minimum):
            continue
        name = f"{_PUBLISHED}/{size}/{file}"
        if not folder.is_there(name):
            continue
        signed = read_signed(folder, step, f"{_PUBLISHED}/{size}/{CHECKPOINT_FILE}", key, origin)
        _require_size(step, signed, size)
        left = _less(left, signed.length, step, signed.file)
        if size > present.checkpoint.size:
            problem = f"signs {size:,} entries, and the log has {present.checkpoint.size:,}: "
            raise Refusal(step, signed.file, f"{problem}it was cut back")
        yield signed, name


def find_beside(folders: Sequence[Folder], present: Signed, key: Key, minimum: int) -> Beside:
    """Return what the log's key signed in `published/` and `checkpoints/`, for step 6 to compare.

    Of each place the newest are read. What the key did not sign is no evidence and only
    counted. A refusal at one that signs more entries than the log has, where that may not be.
    """
    claims, ahead, unsigned, left, is_cut = [], 0, 0, _SCANNED_BYTES, False
    for folder in folders:
        for place in (_PUBLISHED, _ARCHIVED):
            is_cut |= len(_sizes(folder, ROOT, place)) == _CONSIDERED
        for file in _beside(folder):
            raw = folder.read(ROOT, file, NOTE_BYTES)
            left = _less(left, len(raw), ROOT, file)
            try:
                signed = read_checkpoint(raw, key, present.checkpoint.origin)
            except ValueError:
                unsigned += 1
                continue
            if signed.size > present.checkpoint.size:
                ahead += _count_ahead(folder, file, signed.size, present) * (folder is folders[0])
            elif can_be_recomputed(signed.size, minimum):
                claims.append(Claim(file, signed.size, signed.root, ""))
    return Beside(tuple(claims), ahead, unsigned, is_cut)


def _less(left: int, read: int, step: int, file: str) -> int:
    """Return what is left of what may be read; a refusal if it is used up."""
    if read > left:
        raise Refusal(step, file, f"lies among more than {_SCANNED_BYTES:,} bytes of checkpoints")
    return left - read


def _beside(folder: Folder) -> Iterator[str]:
    for size in _sizes(folder, ROOT, _PUBLISHED):
        file = f"{_PUBLISHED}/{size}/{CHECKPOINT_FILE}"
        if folder.is_there(file):
            yield file
    for size in _sizes(folder, ROOT, _ARCHIVED):
        yield f"{_ARCHIVED}/{size}"


def _count_ahead(folder: Folder, file: str, size: int, present: Signed) -> int:
    if not folder.may_be_later:
        problem = f"signs {size:,} entries, and the log has {present.checkpoint.size:,}: "
        raise Refusal(ROOT, file, f"{problem}it was cut back", ALLOW_OLDER)
    return 1


def can_be_recomputed(size: int, minimum: int) -> bool:
    """Whether the root of a size follows from the entries from the minimum on, and the tiles."""
    return size >= minimum or size % WIDTH == 0


def read_minimum(folder: Folder, size: int) -> int:
    """Return the first entry that a folder says to hold; zero if it says nothing."""
    file = "minimum"
    if not folder.is_there(file):
        return 0
    text = folder.read(FILES, file, 32).decode("ascii", "replace")
    digits = text.removesuffix("\n")
    if digits == text or not _SIZE.fullmatch(digits):
        raise Refusal(FILES, file, "is not a decimal number and a newline")
    if int(digits) % WIDTH or int(digits) > size:
        raise Refusal(FILES, file, f"is not a multiple of {WIDTH} up to the log's size")
    return int(digits)


def _sizes(folder: Folder, step: int, place: str) -> list[int]:
    """Return the sizes that a folder's files or folders are named by, largest first."""
    if not folder.is_there(place):
        return []
    try:
        names = (entry.name for entry in folder.listed(place) if not entry.is_symlink())
        sizes = (int(name) for name in names if _SIZE.fullmatch(name))
        return heapq.nlargest(_CONSIDERED, sizes)
    except OSError as error:
        raise Refusal(step, place, f"cannot be listed ({error.strerror})") from None


def _has_edge(folder: Folder, size: int) -> bool:
    """Whether the last bundle and the last tile of each level are there."""
    ends = ((row, row.full - (not row.width)) for row in rows_of(size))
    return all(folder.is_there(row.path(last, row.width_at(last))) for row, last in ends)


def _require_size(step: int, signed: Signed, size: int) -> None:
    if signed.checkpoint.size != size:
        raise Refusal(step, signed.file, f"signs {signed.checkpoint.size:,} entries, not {size:,}")
