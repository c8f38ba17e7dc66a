"""Where tiles and entry bundles lie, and how a bundle is written: C2SP tlog-tiles.

Paths are relative to the log's prefix. `tile/0/x001/x234/067` is the tile of
level 0 with index 1,234,067; `.p/W` at the end says that it holds W hashes yet.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from seawall.core.errors import Tampered
from seawall.core.ledger.encoding import ENTRY_BYTES
from seawall.core.ledger.tree import TILE_HEIGHT, TILE_WIDTH

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "TILE_WIDTH",
    "bundle_path",
    "decode_bundle",
    "encode_bundle",
    "parse_path",
    "tile_path",
    "tiles_of",
]

_TOP_LEVEL: Final = 63
_PATH: Final = re.compile(
    r"tile/(entries|\d{1,2})/((?:x\d{3}/){0,6})(\d{3})(?:\.p/(\d{1,3}))?", re.ASCII
)


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """Return a tile's path; a `width` under 256 names the partial tile of that many hashes."""
    if not 0 <= level <= _TOP_LEVEL:
        raise RuntimeError("a tile's level is between 0 and 63")
    return f"tile/{level}/{_place(index, width)}"


def bundle_path(index: int, width: int = TILE_WIDTH) -> str:
    """Return an entry bundle's path; a `width` under 256 names the partial one."""
    return f"tile/entries/{_place(index, width)}"


def parse_path(path: str) -> tuple[int | None, int, int] | None:
    """Return (level, index, width) of a tile's path, level None for an entry bundle's.

    None unless it is the one spelling that `tile_path` or `bundle_path` writes: no
    leading zeros, no empty `x000` in front, a partial width of 1 to 255.
    """
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    index = int((found[2] + found[3]).replace("x", "").replace("/", ""))
    width = int(found[4]) if found[4] else TILE_WIDTH
    level = None if found[1] == "entries" else int(found[1])
    if not 1 <= width <= TILE_WIDTH or (level or 0) > _TOP_LEVEL:
        return None
    written = bundle_path(index, width) if level is None else tile_path(level, index, width)
    return (level, index, width) if written == path else None


def tiles_of(size: int) -> Iterator[tuple[int, int, int]]:
    """Yield (level, index, width) of every tile of a tree, lowest level first, left to right."""
    for level, height in enumerate(range(0, size.bit_length(), TILE_HEIGHT)):
        full, width = divmod(size >> height, TILE_WIDTH)
        yield from ((level, index, TILE_WIDTH) for index in range(full))
        if width:
            yield level, full, width


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Write 1 to 256 entries, each behind its length as two bytes, big-endian."""
    if not 1 <= len(entries) <= TILE_WIDTH or max(map(len, entries)) > ENTRY_BYTES:
        raise RuntimeError("a bundle holds 1 to 256 entries of at most 65,535 bytes")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def decode_bundle(raw: bytes, width: int) -> list[bytes]:
    """Read the entries of a bundle; `Tampered` unless it is exactly `width` of them."""
    entries, at = [], 0
    for _ in range(width):
        start = at + 2
        at = start + int.from_bytes(raw[at:start], "big")
        entries.append(raw[start:at])
        if at > len(raw):
            break
    if at != len(raw):
        raise Tampered(
            "bundle-malformed",
            f"an entry bundle does not hold exactly {width} entries",
            "fetch the bundle again; if it stays so, treat it as an incident",
        )
    return entries


def _place(index: int, width: int) -> str:
    if index < 0 or not 1 <= width <= TILE_WIDTH:
        raise RuntimeError("a tile has an index of at least 0 and 1 to 256 hashes")
    above, last = divmod(index, 1_000)
    path = f"{last:03d}"
    while above:
        above, part = divmod(above, 1_000)
        path = f"x{part:03d}/{path}"
    return path if width == TILE_WIDTH else f"{path}.p/{width}"
