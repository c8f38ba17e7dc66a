"""Growing the tree of RFC 6962 from its leaves, a tile at a time, in bounded memory."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

from .note import EMPTY_ROOT


class Tree:
    """The incomplete tiles at the right edge, level by level.

    `completed` is told of each tile of level 1 and above as it fills: level,
    index, and its 256 hashes.
    """

    def __init__(self, completed: Callable[[int, int, bytes], None]) -> None:
        self.size = 0
        self.rows: list[list[bytes]] = []
        self._completed = completed

    def join(self, leaves: list[bytes]) -> None:
        """Add the leaves of one bundle; none may follow a bundle of fewer than 256."""
        self.size += len(leaves)
        self._put(0, leaves)

    def root(self, following: list[bytes]) -> bytes:
        """Return the root if `following`, less than a bundle, came next."""
        tail: list[bytes] = []
        for level, row in enumerate(self.rows):
            hashes = [*row, *(following if level == 0 else []), *tail]
            tail = [root_of(hashes)] if hashes else []
        if not self.rows and following:
            tail = [root_of(following)]
        return tail[0] if tail else EMPTY_ROOT

    def _put(self, level: int, hashes: list[bytes]) -> None:
        if level == len(self.rows):
            self.rows.append([])
        row = self.rows[level]
        row += hashes
        if len(row) == 256:  # noqa: PLR2004  a full tile
            if level:
                index = (self.size >> 8 * (level + 1)) - 1
                self._completed(level, index, b"".join(row))
            self.rows[level] = []
            self._put(level + 1, [root_of(row)])


def root_of(hashes: list[bytes]) -> bytes:
    """Return the root over adjacent subtrees of one size, the last of which may be smaller."""
    sha256 = hashlib.sha256
    row = hashes
    while len(row) > 1:
        odd = row[len(row) & ~1 :]
        pairs = zip(row[::2], row[1::2], strict=False)
        row = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
        row += odd
    return row[0]
