"""What the verifier checks, in the order in which it says so.

1. Verifier key: the Ed25519 key that the log must be signed with. An auditor
   brings it (`--vkey`); a key that lies in the folder itself shows that the
   copy is whole, and not whose it is.
2. Checkpoint: a signed note of exactly the form of C2SP signed-note and
   tlog-checkpoint, signed by that key, for the origin of the key's name. Of an
   archive it is the newest one whose last tiles are there, and unless the auditor
   accepts an older state (`--allow-older`) the newest of all.
3. Files: `tile/` holds each file that a log of the checkpoint's size has, of a
   possible length, and nothing else. Partial tiles and bundles of earlier
   sizes may be there. A copy that says to begin at a later entry (`minimum`)
   is refused, unless the auditor accepts that (`--allow-pruned`) or gives the
   rest (`--also`).
4. Entries: each bundle is cut exactly into its entries, whose hashes are the
   tile of level 0. Partial bundles and tiles of earlier sizes are beginnings
   of the present ones. Of entries before the minimum nothing is hashed: the
   tiles of level 1 stand for them.
5. Tiles: each tile above is recomputed from the level below it.
6. Root: the recomputed root is the one that was signed, and so is that of each
   checkpoint in `published/` and `checkpoints/` that the log's key signed: two
   roots of one size are two histories. One of more entries than the log has
   shows that it was cut back, and is refused unless the auditor accepts that
   (`--allow-older`) or the copy is an archive.
7. Older checkpoint, if given: signed by the same key for the same origin, not
   larger than the present one, and its root is what the log's first entries
   make, so that nothing was rewritten since.
8. Content: whether the entries are Seawall's. It is said and never refused,
   since other logs have other entries.
9. Cosignatures, if witnesses are given: the present checkpoint, or the newest
   of `published/` that has enough, is cosigned by as many different witnesses
   as the auditor demands, and its root is what the log's first entries make. A
   bad cosignature of a given witness is refused; those of others are ignored.
10. Time stamps, if an authority is given: the newest stamp in `published/` is
   of RFC 3161, by a certificate of that authority, over a checkpoint whose
   root is what the log's first entries make.

Steps 4 to 6 are one pass over the log, which also recomputes the roots that
steps 7, 9 and 10 compare.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .content import Contents
from .entries import Bundles, Run, check_stale_tiles
from .folder import WIDTH, Copy, Folder, rows_of
from .note import Key, read_checkpoint, text_of
from .published import (
    CHECKPOINT_FILE,
    Beside,
    Claim,
    Signed,
    can_be_recomputed,
    find_beside,
    newest_archived,
    read_minimum,
    read_signed,
)
from .refusal import (
    ALLOW_OLDER,
    BUNDLES,
    CHECKPOINT,
    CONTENT,
    COSIGNATURES,
    FILES,
    KEY,
    OLDER,
    ROOT,
    SPLIT,
    STAMPS,
    TILES,
    Refusal,
    shortened,
)
from .runs import runs
from .stamp import Authority, find_stamped
from .tree import Tree
from .witnesses import Policy, find_witnessed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from pathlib import Path

_READ_ALL: Final = 65_536
"""Up to this many entries step 8 reads each; of a longer log, one of each bundle."""

_NOT_ASKED: Final = {
    OLDER: "give one with --checkpoint to show that nothing was rewritten since",
    COSIGNATURES: "give the keys of the log's witnesses with --witness to show that there is one "
    "history for all",
    STAMPS: "give the authority's certificate with --timestamp-authority to show since when the "
    "log has been so",
}
_PRUNED: Final = (
    "get the rest from the log's archive and give its folder with --also; to verify only what is "
    "here, use --allow-pruned"
)


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
    also: tuple[Path, ...] = ()
    """Folders that hold what the first one lacks."""
    is_archive: bool = False
    allows_pruned: bool = False
    allows_older: bool = False
    witnesses: Policy | None = None
    authority: Authority | None = None


Step = tuple[int, str, str]
"""Number, result, and what was found."""


@dataclass(frozen=True)
class Outcome:
    """What the verdict is about."""

    size: int = 0
    verified_from: int = 0
    """The first entry that was hashed: zero, unless a pruned copy was allowed."""
    newer: int = 0
    """So many checkpoints lie there that sign more entries than were verified."""


def verify(request: Request) -> Generator[Step, None, Outcome]:
    """Yield each step as it ends; `Refusal` where the log fails."""
    yield KEY, "ok", _whose_key(request)  # 1
    may_be_later = request.is_archive or request.allows_older
    folder = Folder(request.folder, may_be_later=may_be_later)
    present, newer = _present(folder, request)  # 2
    size, root = present.checkpoint.size, present.checkpoint.root
    found = f"{shortened(present.checkpoint.origin)}, {size:,} entries, root {text_of(root)}"
    yield CHECKPOINT, "ok", f"{found}{_newer(newer, request)}"
    copy = _open_copy(folder, request, size)  # 3
    yield FILES, "ok", _files(copy, copy.check_files(FILES, size))
    claims = _claims(request, copy, present)
    beside = _find_beside(request, copy, present)
    own = beside.claims if isinstance(beside, Beside) else ()
    run = _Pass(copy, size, {size} | _sizes([*claims.values(), *own]), request)
    run.through()  # 4, 5
    yield BUNDLES, "ok", _hashed(copy, size)
    yield TILES, "ok", f"{run.tiles:,} higher tiles recomputed"
    if run.roots[size] != root:  # 6
        raise Refusal(ROOT, present.file, "signs another root than the entries and tiles make")
    yield ROOT, "ok", _compared(beside, run.roots)
    yield OLDER, *_judge(OLDER, claims, run.roots)  # 7
    yield CONTENT, "ok", run.contents.sentence(size)  # 8
    yield COSIGNATURES, *_judge(COSIGNATURES, claims, run.roots)  # 9
    yield STAMPS, *_judge(STAMPS, claims, run.roots)  # 10
    ahead = beside.ahead if isinstance(beside, Beside) and not request.is_archive else 0
    return Outcome(size, copy.minimum, newer + ahead)


class _Pass:
    """One reading of the log from its first bundle to its last."""

    def __init__(self, copy: Copy, size: int, sizes: set[int], request: Request) -> None:
        self.tiles = 0
        self.contents = Contents()
        self.roots: dict[int, bytes] = {}
        """The root of each size that was asked for."""
        self._copy = copy
        self._size = size
        self._rows = rows_of(size)
        self._asked = sorted(sizes, reverse=True)
        self._progress = request.progress
        self._tree = Tree(lambda level, index, raw: self._check_tile(level, index, WIDTH, raw))
        reads_all = request.every_entry or size <= _READ_ALL
        self._bundles = Bundles(copy, size, frozenset(sizes), reads_all=reads_all)

    def through(self) -> None:
        """Check every bundle and tile; a refusal at the first that is wrong."""
        run = Run()
        for run in runs(self._bundles, self._size):
            for node in run.roots:
                self._answer(run.tails)
                self._tree.join(node)
            self.contents.add(run.contents)
            self._progress(self._tree.bundles * WIDTH, self._size)
        self._answer(run.tails)
        for level, row in enumerate(self._tree.rows, 1):
            if row:
                self._check_tile(level, self._rows[level + 1].full, len(row), b"".join(row))

    def _answer(self, tails: dict[int, bytes]) -> None:
        """Keep the roots of the sizes that end in the next bundle, or just before it."""
        while self._asked and self._asked[-1] // WIDTH == self._tree.bundles:
            size = self._asked.pop()
            self.roots[size] = self._tree.root(tails.get(size, b""))

    def _check_tile(self, level: int, index: int, width: int, expected: bytes) -> None:
        row = self._rows[level + 1]
        if self._copy.read_row(TILES, row, index, width) != expected:
            problem = f"does not follow from the tiles of level {level - 1}"
            raise Refusal(TILES, row.path(index, width), problem)
        check_stale_tiles(self._copy, TILES, row, index, expected)
        self.tiles += 1


def _whose_key(request: Request) -> str:
    named = f"{shortened(request.key.name)}, key id {request.key.key_id.hex()}"
    if request.key_is_from_folder:
        return (
            f"{named}, taken from the folder itself: this can show that the copy is whole, not "
            "whose it is; compare it with the key that the operator gave you, or use --vkey"
        )
    return f"{named}, as given"


def _present(folder: Folder, request: Request) -> tuple[Signed, int]:
    """Return the checkpoint to verify by, and how many newer ones an archive holds."""
    if request.is_archive:
        return newest_archived(folder, request.key, request.origin)
    return read_signed(folder, CHECKPOINT, CHECKPOINT_FILE, request.key, request.origin), 0


def _newer(count: int, request: Request) -> str:
    """Say how many checkpoints could not be taken; a refusal without the auditor's consent."""
    if not count:
        return ""
    found = f"{count:,} newer checkpoints lie there WITHOUT the tiles of their last entries"
    if not request.allows_older:
        raise Refusal(CHECKPOINT, "checkpoints", f"is ahead of the tiles: {found}", ALLOW_OLDER)
    return f"; {found}"


def _open_copy(folder: Folder, request: Request, size: int) -> Copy:
    """Return the folders together; a refusal if entries are missing without consent."""
    folders = [folder, *(Folder(path, may_be_later=True) for path in request.also)]
    for each in folders:
        each.minimum = read_minimum(each, size)
    copy = Copy(*folders)
    if copy.minimum and not request.allows_pruned:
        problem = f"says that the copy begins at entry {copy.minimum:,}: the others are not here"
        raise Refusal(FILES, "minimum", problem, _PRUNED)
    return copy


def _files(copy: Copy, count: int) -> str:
    found = f"{count:,} tiles and bundles, none missing and none strange"
    if later := sum(folder.later for folder in copy.folders):
        found += f"; {later:,} of a larger log were not read"
    if copy.minimum:
        found += f"; those of the first {copy.minimum:,} entries are NOT in this copy"
    return found


def _hashed(copy: Copy, size: int) -> str:
    if not copy.minimum:
        return f"{size:,} entries hash to the tiles of level 0"
    return (
        f"{size - copy.minimum:,} entries, from {copy.minimum:,} on, hash to the tiles of level 0; "
        f"the {copy.minimum:,} before them were NOT hashed: the tiles of level 1 stand for them"
    )


def _claims(request: Request, copy: Copy, present: Signed) -> dict[int, Claim | Refusal]:
    """Return what steps 7, 9 and 10 will judge, or the refusals that they raise in their turn."""
    folder = copy.folders[0]
    given = (folder, present, request.key)
    finders: dict[int, Callable[[], Claim]] = {}
    if older := request.older:
        finders[OLDER] = lambda: _open_older(older, request, present, copy.minimum)
    if policy := request.witnesses:
        finders[COSIGNATURES] = lambda: find_witnessed(*given, policy, copy.minimum)
    if authority := request.authority:
        finders[STAMPS] = lambda: find_stamped(*given, authority, copy.minimum)
    claims: dict[int, Claim | Refusal] = {}
    for step, find in finders.items():
        try:
            claims[step] = find()
        except Refusal as refusal:
            claims[step] = refusal
    return claims


def _find_beside(request: Request, copy: Copy, present: Signed) -> Beside | Refusal:
    """Return what step 6 will compare, or the refusal that it raises in its turn."""
    try:
        return find_beside(copy.folders, present, request.key, copy.minimum)
    except Refusal as refusal:
        return refusal


def _compared(beside: Beside | Refusal, roots: dict[int, bytes]) -> str:
    """Compare each signed checkpoint of the copy with the root of its size, and say so."""
    if isinstance(beside, Refusal):
        raise beside
    for claim in beside.claims:
        if claim.root != roots[claim.size]:
            problem = (
                f"signs another history of the first {claim.size:,} entries: the log was forked"
            )
            raise Refusal(ROOT, claim.file, problem, SPLIT)
    found = "the recomputed root is the signed one"
    if beside.claims:
        found += f", and so are those of {len(beside.claims):,} other checkpoints in this copy"
    if beside.is_cut:
        found += "; of so many only the newest were looked at"
    if beside.ahead:
        found += f"; {beside.ahead:,} of a larger log were NOT compared"
    if beside.unsigned:
        found += f"; {beside.unsigned:,} that the key did not sign were NOT compared"
    return found


def _sizes(claims: Iterable[Claim | Refusal]) -> set[int]:
    return {claim.size for claim in claims if isinstance(claim, Claim)}


def _open_older(given: tuple[str, bytes], request: Request, present: Signed, minimum: int) -> Claim:
    file, raw = given
    try:
        older = read_checkpoint(raw, request.key, request.origin)
    except ValueError as error:
        advice = "use a checkpoint of this log, saved unchanged"
        raise Refusal(OLDER, file, str(error), advice) from None
    size, now = older.size, present.checkpoint.size
    if size > now:
        problem = f"signs {size:,} entries, and the log has {now:,}: it was cut back"
        raise Refusal(OLDER, file, problem)
    if not can_be_recomputed(size, minimum):
        problem = f"signs {size:,} entries, and those before {minimum:,} are not in this copy"
        raise Refusal(OLDER, file, problem, "give the folder that holds them with --also")
    return Claim(file, size, older.root, f"the first {size:,} entries are what was signed then")


def _judge(
    step: int, claims: dict[int, Claim | Refusal], roots: dict[int, bytes]
) -> tuple[str, str]:
    """Return a step's result and what was found."""
    claim = claims.get(step)
    if claim is None:
        return "not asked", _NOT_ASKED[step]
    if isinstance(claim, Refusal):
        raise claim
    if claim.root != roots[claim.size]:
        problem = f"signs another history: the log's first {claim.size:,} entries were rewritten"
        raise Refusal(step, claim.file, problem)
    return "ok", claim.found
