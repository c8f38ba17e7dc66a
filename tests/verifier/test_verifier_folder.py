"""Reading a folder that is not trusted."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from seawall.verifier.folder import ENTRIES, Copy, Folder, Row, rows_of
from seawall.verifier.refusal import Refusal

SIZE = 256_256
"""1,001 full tiles of level 0: the last lies in a folder of its own."""


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with files of the right lengths for a log of 256,256 entries."""
    folder = tmp_path_factory.mktemp("wide")
    for row in rows_of(SIZE):
        unit = 2 if row.kind == ENTRIES else 32
        for index in range(row.full + 1):
            width = 256 if index < row.full else row.width
            path = folder / row.path(index, width)
            if width:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(bytes(unit * width))
    return folder


def test_rows_of_a_size() -> None:
    """A log has one row of bundles and one of tiles for each level."""
    expected = [Row(ENTRIES, 273, 112), Row("0", 273, 112), Row("1", 1, 17), Row("2", 0, 1)]

    assert expected == rows_of(70_000)
    assert [] == rows_of(0)


def test_wide_log_has_its_files(wide: Path) -> None:
    """Tiles beyond the thousandth lie in folders, where they are found and counted."""
    assert 2 * 1_001 + 4 + 1 == Copy(Folder(wide)).check_files(3, SIZE)


@pytest.mark.parametrize(
    "file",
    [
        "tile/0/x000/000",
        "tile/0/x001/001",
        "tile/0/x001/x000/000",
        "tile/0/x002/000",
        "tile/0/x001/001.p/1",
        "tile/1/x000/000",
    ],
)
def test_stray_file_of_a_wide_log_is_refused(file: str, wide: Path) -> None:
    """No other spelling of a place, and no place beyond the last, is taken for the log's own."""
    path = wide / file
    made = [folder for folder in (path.parent.parent, path.parent) if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(32))

    try:
        with pytest.raises(Refusal, match="does not belong to the log"):
            Folder(wide).check_files(3, SIZE)
    finally:
        path.unlink()
        for folder in reversed(made):
            folder.rmdir()


def test_missing_file_of_a_wide_log_is_named(wide: Path) -> None:
    """The one file that is missing among two thousand is named."""
    path = wide / "tile/entries/x001/000"
    kept = path.read_bytes()
    path.unlink()

    with pytest.raises(Refusal, match="tile/entries/x001/000"):
        Copy(Folder(wide)).check_files(3, SIZE)
    path.write_bytes(kept)


@pytest.mark.parametrize(
    ("file", "problem"),
    [("file/below", "cannot be read"), ("nothing", "is missing"), ("long", "longer than")],
)
def test_unreadable_file_is_refused(file: str, problem: str, tmp_path: Path) -> None:
    """A file that cannot be read, or that grew since it was listed, is refused by name."""
    (tmp_path / "file").touch()
    (tmp_path / "long").write_bytes(b"x" * 11)

    with pytest.raises(Refusal, match=problem):
        Folder(tmp_path).read(2, file, 10)


@pytest.mark.skipif(sys.platform != "linux", reason="files of the kernel that read strangely")
@pytest.mark.parametrize(
    ("file", "problem"), [("version", "changed while it was read"), ("self/mem", "cannot be read")]
)
def test_file_that_is_not_as_long_as_it_says_is_refused(file: str, problem: str) -> None:
    """A file that holds more than it says, or that fails to be read, is refused by name."""
    with pytest.raises(Refusal, match=problem):
        Folder(Path("/proc")).read(2, file, 10_000)


def test_tile_that_comes_and_goes_is_refused(tmp_path: Path) -> None:
    """A tile that is there after the folder was listed without it is not taken for listed."""
    (tmp_path / "tile/0").mkdir(parents=True)
    copy, row = Copy(Folder(tmp_path)), Row("0", 1, 0)
    (tmp_path / "tile/0/000").write_bytes(bytes(8_192))

    with pytest.raises(Refusal, match="changed while it was read"):
        copy._require(3, row, 0)


def test_file_that_shrank_is_refused(tmp_path: Path) -> None:
    """A tile that is shorter when it is read than when it was listed is refused."""
    (tmp_path / "tile/0").mkdir(parents=True)
    (tmp_path / "tile/0/000").write_bytes(bytes(32))

    with pytest.raises(Refusal, match="has 32 bytes"):
        Folder(tmp_path).read_row(4, Row("0", 1, 0), 0, 256)


def test_partial_files_that_went_away_are_refused(tmp_path: Path) -> None:
    """A folder of partial files that became something else since it was listed is refused."""
    partial = tmp_path / "tile/0/000.p"
    partial.mkdir(parents=True)
    (partial / "1").write_bytes(bytes(32))
    folder, row = Folder(tmp_path), Row("0", 1, 0)
    folder.check_files(3, 256)

    assert [1] == folder.stale_widths(4, row, 0)
    (partial / "1").unlink()
    partial.rmdir()
    with pytest.raises(Refusal, match="changed while it was read"):
        folder.stale_widths(4, row, 0)


def test_folder_that_cannot_be_listed_is_refused(tmp_path: Path) -> None:
    """A `tile` that is a file is refused."""
    (tmp_path / "tile").touch()

    with pytest.raises(Refusal, match="cannot be listed"):
        Folder(tmp_path).check_files(3, 1)
