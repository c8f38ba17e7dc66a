"""Shredding on real servers: OpenBao with its raft storage, and either database.

An older backup is a whole copy of the installation from before. What was shredded opens
neither there nor anywhere else, not even with OpenBao's root token; all else does.
"""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import pytest

import openbao
import postgres
from seawall.adapters.keys.tenants import context_of
from seawall.adapters.keys.wrapping import unwrap_data_key
from seawall.app.entries import entry
from seawall.app.ports import SYSTEM_LOG, Secret, TenantKey, tenant_root
from seawall.app.recall import IDENTIFIERS
from seawall.compose import Installation
from seawall.config import Keys, Passphrase, Settings
from seawall.core.errors import Error, Tampered
from seawall.core.policy.grant import Grant, terms
from seawall.core.policy.principal import Principal
from seawall.core.seal.certificate import open_certificate, read_file, write_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from seawall.adapters.keys.openbao import OpenBaoKeys
    from seawall.app.manage_keys import ManageKeys
    from seawall.app.ports import Destruction, WrappedKey
    from seawall.compose import Writer

CLINIC: Final = "clinic"
OTHER: Final = "other"
NAMES: Final = ("ann", "ben")
PASSPHRASE: Final = Passphrase(b"")
WRAPPED: Final = re.compile(rb"vault:v([1-9][0-9]*):[A-Za-z0-9+/]+={0,2}")


@dataclass
class Scene:
    """An installation with two patients in each of two tenants, and what it stands on."""

    installation: Installation
    bao: openbao.BaoServer
    database: postgres.Server | None
    ids: dict[tuple[str, str], str]

    async def begin(self) -> Scene:
        """Open the tenants and import the patients."""
        async with self.installation.write() as writer:
            await writer.keys.prepare(SYSTEM_LOG)  # as the first operator's enrolment does
            for tenant in (CLINIC, OTHER):
                await writer.open_tenant(tenant)
                for name in NAMES:
                    who = Principal("operator", "olga", tenant)
                    made = await writer.import_patient.import_patient(who, patient(name))
                    self.ids[tenant, name] = made.patient
        return self

    def backup(self, place: Path) -> Scene:
        """Copy everything there is, as a backup does that is taken at once."""
        settings = self.installation.settings
        shutil.copytree(settings.data_dir, place)
        database = ""
        if self.database is not None:
            self.installation.engine.dispose()
            name = settings.database.partition("@/")[2].partition("?")[0]
            self.database.ask(f"create database {name}_copy template {name} strategy wal_log")
            database = self.database.url(f"{name}_copy")
        copied = replace(settings, data_dir=place, database=database)
        return replace(self, installation=Installation.open(copied, PASSPHRASE))

    async def opened(self) -> set[tuple[str, str]]:
        """Return whose identifiers open, by a process that holds no key yet."""
        found = set()
        async with self.installation.write() as writer:
            for (tenant, name), patient_id in self.ids.items():
                with suppress(Error):
                    if name.encode() in await opened(writer, tenant, patient_id):
                        found.add((tenant, name))
        return found

    async def shred(self, tenant: str, *patients: str, **more: Any) -> dict[str, Any]:
        """Shred patients or, without any, the tenant; return what came of it."""
        async with self.installation.write() as writer:
            managing: ManageKeys = writer.key_room.managing
            ids = [self.ids[tenant, name] for name in patients]
            order: dict[str, Any] = {"do": "shred", "reason": "relationship-ended"}
            order |= {"ids": ids} if ids else {"tenant": tenant}
            who = Principal("operator", "olga", tenant)
            done = await managing.do(who, order, more.get("progress"))
        return dict(done["shredded"][0])

    async def order(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carry out an order about the clinic's keys, as a process that begins anew."""
        again = Installation.open(self.installation.settings, PASSPHRASE)
        async with again.write() as writer:
            who = Principal("operator", "oscar", CLINIC)
            return dict(await writer.key_room.managing.do(who, order))

    async def verify(self) -> list[int]:
        """Recompute every log of the installation; return how many entries each has."""
        sizes = []
        for log in (SYSTEM_LOG, CLINIC, OTHER):
            checked = [size async for size, _ in self.installation.read_ledger.verify(log)]
            sizes.append(checked[-1])
            assert checked[-1] == (await self.installation.store.head(log)).size
        return sizes


def patient(name: str) -> dict[str, Any]:
    """Return a FHIR patient."""
    return {"resourceType": "Patient", "id": name, "name": [{"family": name, "given": ["Zed"]}]}


async def opened(writer: Writer, tenant: str, patient_id: str) -> bytes:
    """Open a patient's identifiers under a grant of this installation's ledger."""
    granted = terms(kinds=(IDENTIFIERS,), subjects=(patient_id,), until_ms=2**50)
    who = Principal("operator", "olga", tenant)
    said = entry("phi.open", who, writer.documents._clock, patients=[patient_id], grant=granted)
    receipt = await writer.ledger.append(tenant, said)
    sealed = await writer.documents._store.sealed(tenant, IDENTIFIERS, patient_id)
    return await writer.keys.open(sealed, Grant(receipt)) if sealed else b""


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[postgres.Server]:
    """Run a server for this file alone.

    Whatever lies on its disk is tried; on the one that all tests share it would be their keys too.
    """
    with postgres.running(may_be_in_memory=True) as server:
        yield server


@pytest.fixture(params=["folder", "postgresql"])
async def scene(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Scene:
    """Make an installation over OpenBao and the database of the parameter."""
    bao, prefix, database = openbao.server(), openbao.new_prefix(), None
    monkeypatch.setenv("SEAWALL_KEYS_TOKEN", bao.token(prefix))
    monkeypatch.setenv("SEAWALL_KEYS_OPERATOR_TOKEN", bao.token(prefix, is_operator=True))
    keys = Keys(provider="openbao", url=bao.url, authority=str(bao.authority), prefix=prefix)
    url = ""
    if request.param == "postgresql":
        database = request.getfixturevalue("postgres_server")
        url = database.url(database.new_database())
    settings = Settings(tmp_path / "data", keys=keys, database=url, ledger_seconds=30.0)
    made = Scene(Installation.create(settings, PASSPHRASE), bao, database, {})
    return await made.begin()


ALL: Final = {(tenant, name) for tenant in (CLINIC, OTHER) for name in NAMES}


async def test_a_shredded_patient_opens_nowhere(scene: Scene, tmp_path: Path) -> None:
    """Neither here nor in an older backup; the others open here, the other tenant everywhere."""
    backup = scene.backup(tmp_path / "older")
    assert ALL == await backup.opened()
    await scene.shred(CLINIC, "ann")
    assert ALL - {(CLINIC, "ann")} == await scene.opened()
    assert {(OTHER, "ann"), (OTHER, "ben")} == await backup.opened()
    assert all(size > 3 for size in (await scene.verify())[1:])


async def test_a_shredded_tenant_opens_nowhere(scene: Scene, tmp_path: Path) -> None:
    """Nothing of it, not even in an older backup; the other tenant everywhere; both logs verify."""
    backup = scene.backup(tmp_path / "older")
    assert ALL == await backup.opened()
    await scene.shred(CLINIC)
    others = {(OTHER, "ann"), (OTHER, "ben")}
    assert (others, others) == (await scene.opened(), await backup.opened())
    assert all(size > 3 for size in (await scene.verify())[1:])


@pytest.mark.parametrize("is_interrupted", [False, True])
async def test_no_credentials_open_what_the_disk_still_holds(
    scene: Scene, tmp_path: Path, *, is_interrupted: bool
) -> None:
    """No tenant key in rows, dead rows and the write-ahead log opens a data key of before.

    All of them are tried, with the root token; also where the root key was rotated between
    an interruption and the resume. SQLCipher's pages are encrypted: there it is all rows.
    """
    backup = scene.backup(tmp_path / "older")
    async with backup.installation.write() as writer:
        older = await writer.wrapped_keys.tenant_keys(CLINIC)
        held = writer.wrapped_keys
        data_keys = {
            name: await held.current(CLINIC, scene.ids[CLINIC, name], IDENTIFIERS) for name in NAMES
        }
    assert {"ann", "ben"} == opening(scene, {key.wrapped for key in older}, data_keys)
    if is_interrupted:
        with pytest.raises(RuntimeError, match="ended here"):
            await scene.shred(CLINIC, "ann", progress=ending_after("record the renewal"))
        await scene.order({"do": "rotate", "what": "root"})
        assert 1 == len((await scene.order({"do": "resume"}))["shredded"])
    else:
        await scene.shred(CLINIC, "ann")
    async with scene.installation.write() as writer:
        rows = await writer.wrapped_keys.tenant_keys(CLINIC)
        ben = await writer.wrapped_keys.current(CLINIC, scene.ids[CLINIC, "ben"], IDENTIFIERS)
    lying = {key.wrapped for key in [*older, *rows]}
    if scene.database is not None:
        scene.database.ask("checkpoint")
        found = lying_in(scene.database.folder / "cluster")
        assert lying <= found
        lying = found
    assert {"now"} == opening(scene, lying, {**data_keys, "now": ben})


def ending_after(step: str) -> Callable[[str, int, int], None]:
    """Return a progress that ends the process after a step."""

    def progress(what: str, _: int, __: int) -> None:
        """End after this step."""
        if what == step:
            raise RuntimeError("the process ended here")

    return progress


def lying_in(folder: Path) -> set[bytes]:
    """Return every tenant key that OpenBao wrapped, wherever it lies in the files of a folder."""
    return {
        match[0]
        for path in folder.rglob("*")
        if path.is_file()
        for match in WRAPPED.finditer(path.read_bytes())
    }


def opening(
    scene: Scene, blobs: set[bytes], data_keys: Mapping[str, WrappedKey | None]
) -> set[str]:
    """Return which data keys open by any of the wrapped tenant keys, with the root token."""
    root = scene.bao.keys(scene.installation.settings.keys.prefix, lambda: scene.bao.root)
    opened: set[str] = set()
    for blob in blobs:
        match = WRAPPED.fullmatch(blob)
        assert match is not None
        for version in {key.tenant_key_version for key in data_keys.values() if key}:
            tried = TenantKey(CLINIC, "data", version, int(match[1]), blob)
            with suppress(Error):
                secret = unwrapped(root, tried)
                for name, key in data_keys.items():
                    with suppress(Error):
                        assert key is not None
                        unwrap_data_key(secret, key)
                        opened.add(name)
    return opened


def unwrapped(manager: OpenBaoKeys, key: TenantKey) -> bytes:
    """Return a tenant key as whoever has the wrapped one and OpenBao's credentials gets it."""
    secret = Secret(key.root_version, key.wrapped)
    return manager.unwrap(tenant_root(key.tenant), secret, context_of(key))


async def test_the_certificate_verifies_and_a_changed_byte_is_noticed(scene: Scene) -> None:
    """Under the system log's key; whichever byte of the file it is, but for spaces."""
    done = await scene.shred(CLINIC, "ann")
    vkey = (await scene.installation.store.head(SYSTEM_LOG)).vkey
    written = write_file(done["certificate"])
    body = open_certificate(read_file(written), vkey)
    assert ("openbao", [1], "transit trim") == tuple(
        body["keys"][name] for name in ("provider", "versions", "method")
    )
    deleted = body["deleted"]
    assert (1, 1, True) == (deleted["data_keys"], deleted["sealed"], deleted["terms"] > 0)
    for at in range(0, len(written), 7):
        changed = written[:at] + bytes([written[at] ^ 1]) + written[at + 1 :]
        if written[at : at + 1].isspace() or written[at - 1 : at].isspace():
            continue
        with pytest.raises(Tampered):
            open_certificate(read_file(changed), vkey)


async def test_a_shredding_that_was_interrupted_is_finished_by_another_process(
    scene: Scene, tmp_path: Path
) -> None:
    """After OpenBao destroyed the versions, before anything said so."""
    backup = scene.backup(tmp_path / "older")

    with pytest.raises(RuntimeError, match="ended here"):
        await scene.shred(CLINIC, "ann", progress=ending_after("destroy the old root versions"))
    again = replace(scene, installation=Installation.open(scene.installation.settings, PASSPHRASE))
    async with again.installation.write() as writer:
        managing = writer.key_room.managing
        assert [False] == [one["done"] for one in (await managing.status(CLINIC))["shreddings"]]
        who = Principal("operator", "oscar", CLINIC)
        (done,) = (await managing.do(who, {"do": "resume"}))["shredded"]
    vkey = (await again.installation.store.head(SYSTEM_LOG)).vkey
    assert [1] == open_certificate(done["certificate"], vkey)["keys"]["versions"]
    assert ALL - {(CLINIC, "ann")} == await again.opened()
    assert {(OTHER, "ann"), (OTHER, "ben")} == await backup.opened()


async def test_without_an_operators_token_nothing_is_destroyed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service's token cannot: what was ordered stays open, to be finished with one."""
    token = scene.bao.token(scene.installation.settings.keys.prefix, is_operator=True)
    monkeypatch.delenv("SEAWALL_KEYS_OPERATOR_TOKEN")
    bare = replace(scene, installation=Installation.open(scene.installation.settings, PASSPHRASE))
    with pytest.raises(Error) as caught:
        await bare.shred(CLINIC)
    assert "key-operator-missing" == caught.value.code
    monkeypatch.setenv("SEAWALL_KEYS_OPERATOR_TOKEN", token)
    whole = replace(scene, installation=Installation.open(scene.installation.settings, PASSPHRASE))
    assert ALL == await whole.opened()


@pytest.mark.parametrize("what", ["tenant", "ann"])
async def test_a_token_that_goes_midway_makes_no_certificate(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Nothing is destroyed and no survivor lost; with a token again the same one is finished."""
    backup, prefix = scene.backup(tmp_path / "older"), scene.installation.settings.keys.prefix
    file = tmp_path / "operator"
    file.write_text(scene.bao.token(prefix, is_operator=True), "utf-8")
    monkeypatch.delenv("SEAWALL_KEYS_OPERATOR_TOKEN")
    monkeypatch.setenv("SEAWALL_KEYS_OPERATOR_TOKEN_FILE", str(file))
    bare = replace(scene, installation=Installation.open(scene.installation.settings, PASSPHRASE))
    if what == "tenant":
        # The order itself is good; what fails is all that comes after it.
        losing = Losing(bare.installation.key_operator, scene.bao, file)
        vars(bare.installation)["key_operator"] = losing

    def revoke(step: str, _: int, __: int) -> None:
        """Take the token away within the work."""
        if step == "wrap the survivors anew":
            scene.bao.revoke(file.read_text("utf-8"))
            file.unlink()

    with pytest.raises(Error) as caught:
        await bare.shred(CLINIC, *(NAMES[:1] if what == "ann" else ()), progress=revoke)
    assert "key-token-missing" == caught.value.code
    monkeypatch.delenv("SEAWALL_KEYS_OPERATOR_TOKEN_FILE")
    again = replace(scene, installation=Installation.open(scene.installation.settings, PASSPHRASE))
    left = {(OTHER, "ann"), (OTHER, "ben")} | ({(CLINIC, "ben")} if what == "ann" else set())
    assert left == await again.opened()
    monkeypatch.setenv("SEAWALL_KEYS_OPERATOR_TOKEN", scene.bao.token(prefix, is_operator=True))
    (done,) = (await scene.order({"do": "resume"}))["shredded"]
    vkey = (await scene.installation.store.head(SYSTEM_LOG)).vkey
    assert 1 in open_certificate(done["certificate"], vkey)["keys"]["versions"]
    assert (left, {(OTHER, "ann"), (OTHER, "ben")}) == (await again.opened(), await backup.opened())


class Losing:
    """An operator whose token is revoked and gone when it comes to the destruction."""

    def __init__(self, operator: Any, bao: openbao.BaoServer, file: Path) -> None:
        self._operator = operator
        self._bao = bao
        self._file = file
        self.versions = operator.versions
        self.make = operator.make
        self.rotate = operator.rotate

    async def destroy(self, name: str, below: int | None = None) -> Destruction:
        """Lose the token, then ask."""
        self._bao.revoke(self._file.read_text("utf-8"))
        self._file.unlink()
        destroyed: Destruction = await self._operator.destroy(name, below)
        return destroyed
