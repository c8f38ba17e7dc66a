"""One detector for all tests of this folder: the packaged lists take a moment to load."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from seawall.adapters.gazetteers import load_detector

if TYPE_CHECKING:
    from seawall.core.phi.detection import Detector


@pytest.fixture(scope="session")
def detector() -> Detector:
    """Return a detector over the packaged lists."""
    return load_detector()
