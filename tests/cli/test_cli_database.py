"""A ledger on PostgreSQL from the terminal: prepared by its owner, then used like any other."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from examples import a_client, an_entry
from faults.faulty import whole
from postgres import OWNER, PRUNER
from seawall.app.ports import OpenExchange
from seawall.compose import Installation
from seawall.config import Passphrase, Settings, read_database_password
from seawall.core.errors import Invalid, Missing
from seawall.core.policy.principal import Principal
from seawall.core.registers.client import ClientSpec
from terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from postgres import Server
    from terminal import Said


class Clinic:
    """A terminal on a folder whose ledger is in a database of a server."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.terminal = Terminal(folder)
        self.url = server.url(server.new_empty_database())

    def run(self, *command: str) -> Said:
        """Run a command of `seawall`."""
        return self.terminal.run(*command, SEAWALL_DATABASE=self.url)

    def installation(self, **settings: str) -> Installation:
        """Unlock the folder."""
        chosen = Settings(self.terminal.folder, database=self.url, **settings)  # type: ignore[arg-type]
        return Installation.open(chosen, Passphrase(b"open sesame"))


@pytest.fixture
def clinic(tmp_path: Path, postgres_server: Server) -> Clinic:
    """Return a clinic whose database nobody has prepared."""
    return Clinic(tmp_path / "data", postgres_server)


@pytest.fixture
def prepared(clinic: Clinic) -> Clinic:
    """Return a clinic whose database is prepared, with the tenant `hillside`."""
    assert clinic.run("database", "prepare", "--owner", OWNER, "--pruner", PRUNER).status == 0
    assert clinic.run("init", "--tenant", "hillside").status == 0
    return clinic


def test_a_database_that_nobody_prepared_is_refused(clinic: Clinic) -> None:
    """`seawall init` makes no table: it says who has to, and goes on afterwards."""
    assert "schema-version" == clinic.run("init", "--tenant", "hillside").code
    assert 0 == clinic.run("database", "prepare", "--owner", OWNER).status
    assert 0 == clinic.run("init", "--tenant", "hillside").status


def test_preparing_needs_a_database(tmp_path: Path) -> None:
    """Without the setting there is nothing to prepare."""
    said = Terminal(tmp_path).run("database", "prepare", "--owner", OWNER)
    assert "wrong-setting" == said.code


def test_a_folder_on_postgresql_is_used_like_any_other(prepared: Clinic) -> None:
    """Logs are listed by the same command, and no database file is in the folder."""
    assert 0 == prepared.run("ledger", "list").status
    logs = asyncio.run(prepared.installation().store.logs())
    assert {"hillside", "system"} == {log.log for log in logs}
    assert not (prepared.terminal.folder / "seawall.db").exists()


async def test_two_replicas_write_at_once(prepared: Clinic) -> None:
    """Two processes' worth of writers on one folder share each log, and none is turned away."""
    async with (
        prepared.installation().write() as one,
        prepared.installation().write() as other,
    ):
        before = (await prepared.installation().store.head("hillside")).size
        await asyncio.gather(
            *((one, other)[at % 2].ledger.append("hillside", an_entry(at=at)) for at in range(200))
        )
        entries = await whole(prepared.installation().store, "hillside")
    assert before + 200 == len(entries)


async def test_a_replica_that_starts_leaves_the_others_exchanges_open(prepared: Clinic) -> None:
    """Only what a replica without a lease left open is closed, as `unknown`, by an entry."""
    async with prepared.installation().write() as one:
        names = {"x-1": one.replica, "x-2": "a replica that is gone"}
        opening = [OpenExchange("hillside", item, replica) for item, replica in names.items()]
        await one.ledger.append("hillside", an_entry(), opening)
        async with prepared.installation().write():
            pass
        assert ["x-1"] == await prepared.installation().store.open_exchanges("hillside")


async def test_a_replica_knows_what_another_applied(prepared: Clinic) -> None:
    """A document is in force at every replica as soon as it asks, and not before it is applied."""
    operator = Principal("operator", "operator", "hillside")
    spec = a_client().model_dump()
    async with (
        prepared.installation().write() as one,
        prepared.installation().write() as other,
    ):
        await one.documents.apply(operator, [{"kind": "Client", "name": "desk", "spec": spec}])
        assert other.documents.register("hillside").find(ClientSpec, "desk") is None
        await other.documents.refresh()
        found = other.documents.register("hillside").find(ClientSpec, "desk")
    assert found is not None
    assert 1 == found.version


async def test_the_pruner_is_a_role_of_its_own(prepared: Clinic) -> None:
    """Without the setting nothing prunes; with it another role does."""
    async with prepared.installation().write() as writer:
        with pytest.raises(Invalid):
            _ = writer.pruner
    async with prepared.installation(database_pruner=PRUNER).write() as writer:
        with pytest.raises(Missing):
            await writer.pruner.prune("nowhere", 256)


def test_a_database_password_comes_from_a_file_first(tmp_path: Path) -> None:
    """The file wins over the variable; without both there is none; a missing file is told."""
    (tmp_path / "password").write_text("from the file\n", encoding="utf-8")
    both = {"P": "from the variable", "P_FILE": str(tmp_path / "password")}
    assert "from the file" == read_database_password(both, "P")
    assert "from the variable" == read_database_password({"P": "from the variable"}, "P")
    assert read_database_password({}, "P") is None
    with pytest.raises(Missing) as caught:
        read_database_password({"P_FILE": str(tmp_path / "nowhere")}, "P")
    assert caught.value.code == "database-password-missing"
