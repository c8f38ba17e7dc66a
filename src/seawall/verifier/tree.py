"""Growing the tree of RFC 6962 from the roots of its bundles, in bounded memory."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

from .note import EMPTY_ROOT


class Tree:
    """The incomplete tiles at the right edge, from level 1 upwards.

    `completed` is told of each tile as it fills: level, index, and its 256 hashes.
    """

    def __init__(self, completed: Callable[[int, int, bytes], None]) -> None:
        self.bundles = 0
        self.rows: list[list[bytes]] = []
        self._completed = completed

    def join(self, node: bytes) -> None:
        """Add the root of the next full bundle."""
        self.bundles += 1
        for above in range(len(self.rows) + 1):
            if above == len(self.rows):
                self.rows.append([])
            row = self.rows[above]
            row.append(node)
            if len(row) < 256:  # noqa: PLR2004  not a full tile yet
                return
            index = (self.bundles >> 8 * (above + 1)) - 1
            self._completed(above + 1, index, b"".join(row))
            node = root_of(row)
            row.clear()

    def root(self, following: bytes) -> bytes:
        """Return the root if a bundle that is not full came next, whose root this is, if any."""
        tail = following
        for row in self.rows:
            hashes = [*row, tail] if tail else row
            tail = root_of(hashes) if hashes else b""
        return tail or EMPTY_ROOT


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
