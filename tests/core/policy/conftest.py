"""The documents of the decision cases, read as an installation reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from seawall.core.registers.register import Register, read_document
from seawall.core.registers.spec import Document

DOCUMENTS = Path(__file__).parents[2] / "vectors" / "decisions" / "documents.yaml"


@pytest.fixture(scope="session")
def documents() -> list[dict[str, Any]]:
    """Return the documents as parsed from their file."""
    found: list[dict[str, Any]] = yaml.safe_load(DOCUMENTS.read_text())["documents"]
    return found


@pytest.fixture(scope="session")
def register(documents: list[dict[str, Any]]) -> Register:
    """Return the register that holds the first version of each document."""
    read = (read_document(fields) for fields in documents)
    return Register(Document(kind, name, 1, spec) for kind, name, spec in read)
