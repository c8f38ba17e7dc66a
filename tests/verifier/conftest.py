"""Sound logs, and the program."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from seawall.verifier.__main__ import main
from verifier.logs import Log, Run, Verdict, log_in

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def small(tmp_path: Path) -> Log:
    """Return a log of 5 entries that once had 3."""
    return log_in(tmp_path / "small", 3, 5)


@pytest.fixture
def middle(tmp_path: Path) -> Log:
    """Return a log of 700 entries that once had 100, 300 and 600."""
    return log_in(tmp_path / "middle", 100, 300, 600, 700)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Log:
    """Return a log of 66,000 entries, which has tiles of level 2, and once had 65,600."""
    return log_in(tmp_path_factory.mktemp("large"), 65_600, 66_000)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return what runs the program with --json, and reads what it says."""

    def verify(log: Log, *arguments: str, vkey: bool = True) -> Verdict:
        key = ("--vkey", log.vkey) if vkey else ()
        status = main([str(log.folder), "--json", *key, *arguments])
        return Verdict(status, json.loads(capsys.readouterr().out))

    return verify
