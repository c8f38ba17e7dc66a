"""Files in the clear are whole, their owner's alone, or not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from seawall.adapters.datasets.files import check_free, writing
from seawall.core.errors import Conflict, Error

if TYPE_CHECKING:
    from pathlib import Path

BOTH = pytest.mark.parametrize("by_name", [False, True])


@BOTH
def test_a_whole_file_is_its_owners_alone(tmp_path: Path, *, by_name: bool) -> None:
    """With a name from the beginning or from the end, it is the same file."""
    with writing(tmp_path / "rows", by_name=by_name) as out:
        out.write(b"1")

    assert (b"1", 0o600) == (
        (tmp_path / "rows").read_bytes(),
        (tmp_path / "rows").stat().st_mode & 0o777,
    )


@BOTH
def test_a_file_that_was_not_finished_is_no_file(tmp_path: Path, *, by_name: bool) -> None:
    """Whatever ends the writing, cancelling included, nothing is left."""

    def interrupted() -> None:
        """Write, and be interrupted."""
        with writing(tmp_path / "rows", by_name=by_name) as out:
            out.write(b"1")
            out.flush()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert [] == [*tmp_path.iterdir()]


def test_until_it_is_whole_a_file_has_no_name(tmp_path: Path) -> None:
    """So that a process that is killed leaves nothing, even without a chance to tidy up."""
    with writing(tmp_path / "rows") as out:
        out.write(b"1")
        out.flush()
        meanwhile = [*tmp_path.iterdir()]

    assert ([], ["rows"]) == (meanwhile, [path.name for path in tmp_path.iterdir()])


def test_what_came_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    """A file of the name that is wanted stays as it is."""

    def late() -> None:
        """Write, while somebody else makes a file of that name."""
        with writing(tmp_path / "rows") as out:
            out.write(b"1")
            (tmp_path / "rows").write_bytes(b"mine")

    with pytest.raises(Conflict) as caught:
        late()

    assert ("file-exists", b"mine") == (caught.value.code, (tmp_path / "rows").read_bytes())


def test_a_link_to_nowhere_is_a_file_of_that_name(tmp_path: Path) -> None:
    """Rows do not go where somebody's link leads."""
    (tmp_path / "rows").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(Error) as caught:
        check_free(tmp_path / "rows")

    assert "file-exists" == caught.value.code
