"""A clinic that runs Seawall, for the whole session: a folder, a sandbox model, a server.

`clinic` is an installation with documents and the sample patients; `server` is
`seawall serve` on a copy of it, a process of its own with debug logs in files;
`upstream` is the sandbox model's own witness, which says what really left.
"""

from __future__ import annotations

import asyncio
import os
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import hypothesis
import pytest
from argon2.low_level import hash_secret_raw

import postgres
from clinic import (
    PASSPHRASE,
    SANDBOX_KEY,
    Clinic,
    Server,
    Upstream,
    furnish,
    sandbox,
    served_apart,
    served_here,
)
from clinic_documents import documents
from seawall.adapters.gazetteers import load_detector
from seawall.adapters.keys import root_locks
from seawall.compose import Installation, new_client_key
from seawall.config import Passphrase, Settings
from seawall.demo.stage import sample_patients

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from seawall.adapters.models.openai import UpstreamClient
    from seawall.core.phi.detection import Detector


# A program's processes compile all of it once, and not each time, which takes half a second.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# The key of a passphrase and a salt is derived at its full cost, a third of a second of a core,
# but once in a worker, however often a test unlocks the same folder or a copy of it.
vars(root_locks)["hash_secret_raw"] = cache(hash_secret_raw)

# How long an example takes is a busy machine's matter, and no property.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")

LONG: Final = ("test_docs.py", "test_witness_page.py", "test_benchmarks.py", "test_shredding.py")
"""Files that take long as a whole, and are begun first, so that no worker ends with one alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long; the others stay in their order."""
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """Run a PostgreSQL server of these tests' own; each test makes its databases in it."""
    with postgres.running(may_be_in_memory=True) as server:
        yield server


@pytest.fixture(scope="session")
def detector() -> Detector:
    """Return the real detector, loaded once."""
    return load_detector()


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Clinic, Upstream]]:
    """Make the clinic's folder and run its sandbox model."""
    place = tmp_path_factory.mktemp("clinic")
    settings, passphrase = Settings(place / "data", port=0), Passphrase(PASSPHRASE.encode())
    installation = Installation.create(settings, passphrase)
    names = ("app", "narrow", "bare", "changing", "admin", "auditor", "operator")
    keys = {name: new_client_key() for name in names}
    clinic = Clinic(installation, keys, sample_patients())
    secret = settings.data_dir / "secrets" / "sandbox"
    secret.parent.mkdir()
    secret.write_text(SANDBOX_KEY, encoding="ascii")
    with sandbox(installation) as port:
        url = f"https://127.0.0.1:{port}/v1"
        asyncio.run(furnish(clinic, documents(url, secret.name, clinic.authority, keys)))
        yield clinic, Upstream(port, clinic.authority)


@pytest.fixture(scope="session")
def clinic(furnished: tuple[Clinic, Upstream]) -> Clinic:
    """Return the clinic's folder, which no server holds: copy it to change it."""
    return furnished[0]


@pytest.fixture
def upstream(furnished: tuple[Clinic, Upstream]) -> Upstream:
    """Return the sandbox model with a witness that has seen nothing."""
    furnished[1].forget()
    return furnished[1]


@pytest.fixture(scope="session")
def server(clinic: Clinic, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve a copy of the clinic by a process of its own, for all tests."""
    place = tmp_path_factory.mktemp("server")
    with served_apart(clinic.copy(place / "data"), place) as serving:
        yield serving


@pytest.fixture
def serve_here(clinic: Clinic, detector: Detector, tmp_path: Path) -> Callable[..., Any]:
    """Return a function that serves a fresh copy of the clinic, or `of` a copy, on a thread."""

    def serve(
        models: UpstreamClient | None = None, of: Clinic | None = None, **settings: Any
    ) -> Any:
        folder = tmp_path / f"copy-{len(list(tmp_path.iterdir()))}"
        return served_here(of or clinic.copy(folder, **settings), detector, models)

    return serve
