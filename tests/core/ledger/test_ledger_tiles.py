"""Paths and bundles of C2SP tlog-tiles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core.errors import Tampered
from seawall.core.ledger.encoding import ENTRY_BYTES
from seawall.core.ledger.tiles import (
    bundle_path,
    decode_bundle,
    encode_bundle,
    parse_path,
    tile_path,
    tiles_of,
)

BUNDLES = st.lists(st.binary(max_size=40), min_size=1, max_size=256)


@pytest.mark.parametrize(
    ("index", "width", "expected"),
    [
        (0, 256, "000"),
        (999, 256, "999"),
        (1_000, 256, "x001/000"),
        (1_234_067, 256, "x001/x234/067"),
        (1_000_000, 1, "x001/x000/000.p/1"),
        (5, 255, "005.p/255"),
    ],
)
def test_path(index: int, width: int, expected: str) -> None:
    """A place has the path that tlog-tiles gives it."""
    assert f"tile/3/{expected}" == tile_path(3, index, width)
    assert f"tile/entries/{expected}" == bundle_path(index, width)


@pytest.mark.parametrize(
    ("level", "index", "width"), [(64, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257)]
)
def test_impossible_path_is_a_mistake(level: int, index: int, width: int) -> None:
    """There is no path for a tile that cannot be."""
    with pytest.raises(RuntimeError):
        tile_path(level, index, width)


def test_tiles_of_the_published_example() -> None:
    """A log of 70,000 entries has the tiles that tlog-tiles lists for it."""
    tiles = list(tiles_of(70_000))

    partial = [tile for tile in tiles if tile[2] < 256]
    assert [(0, 273, 112), (1, 1, 17), (2, 0, 1)] == partial
    assert [(0, index, 256) for index in range(273)] == tiles[:273]
    assert (1, 0, 256) in tiles


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, []),
        (1, [(0, 0, 1)]),
        (256, [(0, 0, 256), (1, 0, 1)]),
        (257, [(0, 0, 256), (0, 1, 1), (1, 0, 1)]),
    ],
)
def test_tiles_of_small_logs(size: int, expected: list[tuple[int, int, int]]) -> None:
    """Small logs have the tiles that tlog-tiles defines, and no empty ones."""
    assert expected == list(tiles_of(size))


@given(BUNDLES)
def test_bundle_round_trips(entries: list[bytes]) -> None:
    """A bundle reads back as the entries that were written."""
    assert entries == decode_bundle(encode_bundle(entries), len(entries))


@given(BUNDLES, st.binary(min_size=1, max_size=3))
def test_bundle_of_another_length_is_refused(entries: list[bytes], more: bytes) -> None:
    """A bundle with bytes too many or too few, or of another count, is refused."""
    raw = encode_bundle(entries)

    for wrong, width in (
        (raw + more, len(entries)),
        (raw[:-1], len(entries)),
        (raw, len(entries) + 1),
    ):
        with pytest.raises(Tampered):
            decode_bundle(wrong, width)


def test_bundle_of_one_known_form() -> None:
    """Each entry stands behind its length, two bytes, big-endian."""
    assert b"\0\3one\0\0\1\0" + b"x" * 256 == encode_bundle([b"one", b"", b"x" * 256])


@pytest.mark.parametrize("entries", [[], [b""] * 257, [b"x" * (ENTRY_BYTES + 1)]])
def test_impossible_bundle_is_a_mistake(entries: list[bytes]) -> None:
    """A bundle holds 1 to 256 entries, none longer than its prefix can say."""
    with pytest.raises(RuntimeError):
        encode_bundle(entries)


@given(
    st.none() | st.integers(0, 63),
    st.integers(0, 10**9) | st.integers(0, 2_000),
    st.integers(1, 256),
)
def test_every_written_path_is_read_back(level: int | None, index: int, width: int) -> None:
    """Reading a path that was written gives the place again."""
    path = bundle_path(index, width) if level is None else tile_path(level, index, width)

    assert (level, index, width) == parse_path(path)


@given(
    st.from_regex(r"tile/(entries|[0-9]{1,3})/(x?[0-9]{1,4}/){0,3}[0-9]{1,4}(\.p/[0-9]{1,4})?")
    | st.text(max_size=30).map("tile/".__add__)
)
def test_what_is_read_has_one_spelling(path: str) -> None:
    """A path that is read is exactly the one that its place has; all others are none."""
    place = parse_path(path)

    if place is not None:
        level, index, width = place
        written = bundle_path(index, width) if level is None else tile_path(level, index, width)
        assert written == path


@pytest.mark.parametrize(
    "path",
    [
        *("", "tile", "tile/0", "tile/0/", "tile/0/00", "tile/0/0000", "tile/00/000"),
        *("tile/64/000", "tile/-1/000", "tile/0/x000/001", "tile/0/001/002", "tile/0/x001"),
        *("tile/0/000.p/0", "tile/0/000.p/01", "tile/0/000.p/256", "tile/0/000.p/", "tile/0/000.p"),
        *("/tile/0/000", "tile/0/000/", "tile//0/000", "tile/0/../0/000", "tile/0/000\n"),
        *(
            "tile/entries/0",
            "tile/Entries/000",
            "tile/0/\u0660\u0660\u0660",
            "tile/0/" + "x001/" * 7 + "000",
        ),
    ],
)
def test_other_spellings_are_no_paths(path: str) -> None:
    """Zeros in front, missing or too many parts, and impossible widths name nothing."""
    assert parse_path(path) is None
