"""`seawall init` that was ended half way, and files that are there whole or not at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from fakes import FakeRandom
from seawall.adapters.keys.ring_file import RingFile
from seawall.cli.running import write_client_key
from seawall.compose import DATABASE, RING, Installation
from seawall.config import Passphrase, Settings
from seawall.core.errors import Invalid
from seawall.demo.stage import staged
from terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path


def ended_before_the_database(folder: Path, passphrase: str) -> None:
    """Leave a folder as a process does that is killed after it wrote the key ring."""
    made = Installation.create(Settings(folder), Passphrase(passphrase.encode()))
    made.engine.dispose()
    for path in folder.glob(f"{DATABASE}*"):
        path.unlink()


def test_init_goes_on_where_it_was_ended(tmp_path: Path) -> None:
    """With a key ring and no database, init makes the rest under the same keys."""
    ended_before_the_database(tmp_path, "open sesame")
    ring = (tmp_path / RING).read_bytes()
    terminal = Terminal(tmp_path)

    said = terminal.run("init", "--tenant", "hillside")
    listed = terminal.run("get", "Client", "--json").json()

    assert (0, "ring-exists") == (said.status, terminal.run("init", "--tenant", "hillside").code)
    assert ["operator"] == [document["name"] for document in listed]
    assert json.loads(ring)["root"] == json.loads((tmp_path / RING).read_bytes())["root"]


async def test_demo_goes_on_where_it_was_ended_and_tells_its_own_errors(tmp_path: Path) -> None:
    """With a key ring and no tables the demo begins; an error after that is not the sandbox's."""
    ended_before_the_database(tmp_path, "open sesame")
    (tmp_path / "passphrase").write_text("open sesame\n", encoding="ascii")
    (tmp_path / "clients").mkdir()
    (tmp_path / "clients" / "harborview-demo-app.jwk").write_bytes(b"")

    with pytest.raises(Invalid) as caught:
        async with staged(tmp_path, 0, lambda _said: None):
            raise RuntimeError("an empty key is no key")

    assert caught.value.code == "client-key-invalid"
    assert (tmp_path / "clients" / "harborview-operator.jwk").exists()


@pytest.mark.parametrize("tenant", ["../x", "", "a/b", "system", "x\ny"])
def test_name_that_cannot_be_a_tenants_is_refused(tenant: str, tmp_path: Path) -> None:
    """A path, nothing, two lines and the system's own name are refused, and make no file."""
    said = Terminal(tmp_path / "data").run("init", "--tenant", tenant)
    made = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")}

    assert ("tenant-name", set()) == (said.code, made & {"data", "x"} - {"data"})
    assert [] == [*tmp_path.rglob("*.jwk"), *tmp_path.rglob("ring.json")]


class CountedRing(RingFile):
    """A ring that counts how often it is written."""

    written = 0

    def _write(self) -> None:
        CountedRing.written += 1
        super()._write()


def test_new_ring_is_written_once_with_all_its_keys(tmp_path: Path) -> None:
    """A new ring's keys come in one write, so that a ring that is there has them all."""
    path, names = tmp_path / "ring.json", ("one", "three", "two")

    CountedRing.create(path, b"open sesame", FakeRandom(), names)

    unlocked = RingFile.unlock(path, b"open sesame", FakeRandom())
    assert (1, list(names)) == (CountedRing.written, unlocked.names())


def test_half_a_client_key_never_stands_under_its_name(tmp_path: Path) -> None:
    """A key that cannot be written leaves no file of its name."""
    path = tmp_path / "app.jwk"
    path.with_name("app.jwk.new").mkdir()

    with pytest.raises(OSError, match="directory"):
        write_client_key(path)

    assert not path.exists()


def test_half_a_client_key_of_an_ended_process_is_replaced(tmp_path: Path) -> None:
    """What an ended process left beside the key's name is written over, and gone."""
    path = tmp_path / "app.jwk"
    path.with_name("app.jwk.new").write_bytes(b'{"kty": "OK' * 100)

    public = write_client_key(path)

    assert public["x"] == json.loads(path.read_bytes())["x"]
    assert ["app.jwk"] == [left.name for left in tmp_path.iterdir()]
