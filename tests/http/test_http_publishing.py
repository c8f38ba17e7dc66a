"""A server whose settings name witnesses publishes its checkpoints while it serves."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from fakes import FakeClock, MemoryLedger, MemoryStore, RecordingNotifier
from seawall.cli.ledger.exporting import write_export
from seawall.compose.publishing import publishing
from seawall.config import Settings, TimeStamps, Witness
from seawall.core.errors import Invalid
from seawall.core.ledger.cosignature import is_witnessed, parse_cosigner
from seawall.verifier.__main__ import main as verify
from witnesses import Running, made, witnessing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from clinic import Clinic
    from seawall.app.publish_checkpoints import PublishCheckpoints

PATIENCE = 60.0


@contextmanager
def served(folder: Path) -> Iterator[Running]:
    """Serve a folder's witness on a thread of its own."""
    begun: list[Running] = []
    ready, stopping = threading.Event(), threading.Event()

    async def serve() -> None:
        """Serve until told to stop."""
        async with witnessing(folder, "localhost/w1") as running:
            begun.append(running)
            ready.set()
            await asyncio.to_thread(stopping.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(PATIENCE)
        yield begun[0]
    finally:
        stopping.set()
        thread.join(PATIENCE)


def test_a_server_publishes_what_its_settings_say(
    clinic: Clinic, serve_here: Callable[..., Any], tmp_path: Path
) -> None:
    """While a server serves its logs get witnessed checkpoints, and proofs rest on them."""
    store = clinic.installation.store
    heads = [head for head in asyncio.run(store.logs()) if head.size]
    made(tmp_path / "w1", "localhost/w1", *(head.vkey for head in heads))
    with served(tmp_path / "w1") as witness:
        authority = str(witness.folder / "tls" / "authority.pem")
        url = f"https://127.0.0.1:{witness.port}/"
        settings = Witness(witness.vkeys[1], url, authority)
        with serve_here(witnesses=(settings,), witnesses_required=1, publish_seconds=1) as (one, _):
            here = one.clinic.installation
            until = time.monotonic() + PATIENCE
            found: list[Any] = []
            while not (found and all(found)) and time.monotonic() < until:
                found = [
                    asyncio.run(here.store.newest_witnessed(head.log, head.size)) for head in heads
                ]
            proof = asyncio.run(here.read_ledger.proof(heads[0].log, 0))
            asyncio.run(write_export(here, heads[0].log, tmp_path / "copy"))

    key = parse_cosigner(witness.vkeys[1])
    now = int(time.time())
    assert len(heads) == len(found) > 0
    for head, published in zip(heads, found, strict=True):
        assert is_witnessed(published.note, head.vkey, [key], 1, now=now)
    assert key.name in proof
    assert f"{key}\n" == (tmp_path / "copy" / "witnesses").read_text()
    shown = tmp_path / "copy" / "published" / str(found[0].size) / "checkpoint"
    assert found[0].note == shown.read_text()
    arguments = ["--vkey", heads[0].vkey, "--witness", str(key), "--witnesses-required", "1"]
    assert 0 == verify([str(tmp_path / "copy"), *arguments])


def configured(**settings: Any) -> PublishCheckpoints | None:
    """Return what publishes by these settings."""
    ledger = MemoryLedger()
    return publishing(
        Settings(**settings),
        store=MemoryStore(ledger),
        ledger=ledger,
        clock=FakeClock(),
        notifier=RecordingNotifier(),
    )


def test_without_witnesses_and_stamps_nothing_is_published(tmp_path: Path) -> None:
    """An installation that names nobody outside tells nobody."""
    assert configured(data_dir=tmp_path) is None


def test_both_keys_of_one_witness_cannot_be_two(tmp_path: Path) -> None:
    """A policy that its witnesses can never meet refuses to start."""
    vkeys = made(tmp_path / "w1", "localhost/w1")
    both = tuple(Witness(vkey, "https://localhost:8444") for vkey in vkeys)

    assert configured(data_dir=tmp_path, witnesses=both, witnesses_required=1) is not None
    with pytest.raises(Invalid, match="witnesses_required"):
        configured(data_dir=tmp_path, witnesses=both, witnesses_required=2)


@pytest.mark.parametrize(
    ("vkey", "url"), [("not a key", "https://w.example"), ("", "http://w.example")]
)
def test_a_witness_that_cannot_be_asked_refuses_to_start(
    tmp_path: Path, vkey: str, url: str
) -> None:
    """A malformed key, and a URL without TLS, are told at the start."""
    (right, _) = made(tmp_path / "w1", "localhost/w1")

    with pytest.raises(Invalid):
        configured(
            data_dir=tmp_path, witnesses=(Witness(vkey or right, url),), witnesses_required=1
        )


def test_stamps_alone_are_configured(tmp_path: Path) -> None:
    """Time stamps need no witnesses, but their authority's root."""
    (tmp_path / "w1").mkdir()
    made(tmp_path / "w2", "localhost/w2")
    root = str(tmp_path / "w2" / "tls" / "authority.pem")

    assert configured(data_dir=tmp_path, timestamps=TimeStamps("http://tsa.example", root))
