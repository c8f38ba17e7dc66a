"""A folder that `seawall init` made, and a terminal on it."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import TYPE_CHECKING

import pytest

from terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """Return a terminal on a folder with the tenant `hillside`."""
    made = Terminal(tmp_path_factory.mktemp("cli") / "data")
    said = made.run("init", "--tenant", "hillside")
    assert (0, None) == (said.status, said.code)
    return made


@pytest.fixture(scope="session")
def shipped() -> Iterator[Path]:
    """Return the folder of the demo's documents, patients and agreement."""
    with as_file(files("seawall.demo")) as folder:
        yield folder
