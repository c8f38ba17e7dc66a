"""What is planted in patients and prompts is found in no file, dump or backup, in no form."""

from __future__ import annotations

import ast
import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest

import seawall
from clinic import PASSPHRASE, SANDBOX_KEY, TENANT, Clinic, furnish, served_apart
from clinic_documents import documents
from planted import NEEDLES, PLANTED, REFERENCE, findings, findings_in_files, patient, said
from seawall.adapters.db.sqlcipher import connect
from seawall.compose import DATABASE, Installation, backup_maker
from seawall.config import Passphrase, read_settings
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clinic import Server as Serving
    from clinic import Upstream
    from planted import Finding
    from postgres import Server
    from seawall.app.backup.make import Made

PAYLOADS: Final = '[payloads]\nfolder = "{place}/payloads"\n'


@dataclass(frozen=True)
class Scene:
    """A clinic in which identifiers were planted: its files, and those of its processes."""

    place: Path
    clinic: Clinic
    database: str = ""

    @property
    def folders(self) -> list[Path]:
        """Everything that the clinic's processes may have written to."""
        return [self.place]


@contextmanager
def planted(
    place: Path, furnished: tuple[Clinic, Upstream], written: str
) -> Iterator[tuple[Scene, Serving]]:
    """Plant everything through the product, then yield the scene while its server runs.

    Payloads lie in a folder; the server is a process of its own, with debug logs in
    files and a temporary folder of its own.
    """
    folder, other = place / "data", furnished[0]
    folder.mkdir()
    text = written + PAYLOADS.format(place=place)
    (folder / "seawall.toml").write_text(text, encoding="ascii")
    settings = read_settings(folder, {}, port=0)
    installation = Installation.create(settings, Passphrase(PASSPHRASE.encode()))
    clinic = Clinic(installation, other.keys, {})
    secret = folder / "secrets" / "sandbox"
    secret.parent.mkdir()
    secret.write_text(SANDBOX_KEY, encoding="ascii")
    url = f"https://127.0.0.1:{furnished[1].port}/v1"
    asyncio.run(furnish(clinic, documents(url, secret.name, other.authority, other.keys)))
    asyncio.run(admit(installation))
    for name in ("tmp", "logs"):
        (place / name).mkdir()
    with served_apart(clinic, place / "logs", TMPDIR=str(place / "tmp")) as serving:
        converse(serving)
        yield Scene(place, clinic), serving


async def admit(installation: Installation) -> None:
    """Import the planted patient."""
    async with installation.write() as writer:
        principal = Principal("operator", "tests", TENANT)
        await writer.import_patient.import_patient(principal, patient())


def converse(serving: Serving) -> None:
    """Have exchanges about the planted patient: answered, streamed, refused, malformed."""
    named: dict[str, Any] = {"patient": REFERENCE, "conversation": "c-1"}
    for stream in (False, True):
        reply = serving.ask(said(), stream=stream, **named)
        heard = reply.streamed() if stream else reply.text()
        assert PLANTED["sentence"] in heard
    for endpoint in ("consumer-chat", "on-500", "on-cut", "nobody"):
        assert "answered" != serving.ask(said(), endpoint, **named).code
    assert "answered" != serving.ask(said(), patient=PLANTED["record number"] + "9").code
    for body in (said().encode(), b'{"model": "echo", "%s": 1}' % said().encode()):
        assert "answered" != serving.post(body, **named).code


def rows_of_embedded(scene: Scene) -> set[Finding]:
    """Return what is found in the rows of the embedded database, decrypted."""
    key = scene.clinic.installation.ring.key("database")
    connection = connect(scene.clinic.folder / DATABASE, key)
    tables = "select name from sqlite_master where type = 'table'"
    found: set[Finding] = set()
    for (table,) in connection.execute(tables).fetchall():
        for row in connection.execute(f'select * from "{table}"'):  # noqa: S608  our own tables
            found.update(findings(f"table {table}", [_bytes(value) for value in row]))
    connection.close()
    return found


def _bytes(value: object) -> bytes:
    # A separator, so that two columns do not make one value.
    return (value if isinstance(value, bytes) else str(value).encode()) + bytes(64)


def rows_of_postgres(server: Server, database: str) -> set[Finding]:
    """Return what is found in a dump of every table, as text and in binary."""
    tables = "select schemaname, tablename from pg_tables where schemaname = 'public'"
    found: set[Finding] = set()
    with psycopg.connect(server.url(database, "postgres")) as connection:
        for schema, table in connection.execute(tables).fetchall():
            for form in ("text", "binary"):
                query = f'copy "{schema}"."{table}" to stdout (format {form})'
                with connection.cursor().copy(query.encode()) as copying:
                    found.update(findings(f"{form} of {table}", map(bytes, copying)))
    return found


def backed_up(scene: Scene) -> Path:
    """Make a backup of the scene while it is served; return its folder."""

    async def record(_: Made) -> None:
        """Record nothing."""

    repository = scene.place / "backup"
    asyncio.run(backup_maker(scene.clinic.installation, repository, 0).make(record))
    assert any(path.stat().st_size > 0 for path in repository.rglob("*") if path.is_file())
    return repository


@pytest.mark.parametrize("form", sorted({form for _, form, _ in NEEDLES}))
def test_the_search_finds_each_form_in_a_file(tmp_path: Path, form: str) -> None:
    """So that finding nothing means something: wherever it stands in the file, whatever it is."""
    mine = {what: needle for what, its, needle in NEEDLES if its == form}
    assert mine.keys() == PLANTED.keys()
    for number, needle in enumerate(mine.values()):
        content = bytes((1 << 22) - 7 * number) + needle + b"\xff" * 9
        (tmp_path / f"{number}.bin").write_bytes(content)
    found = {one.what for one in findings_in_files(tmp_path) if one.form == form}
    assert PLANTED.keys() == found


def test_the_search_finds_what_common_tools_encoded(tmp_path: Path) -> None:
    """Each value is found in what Python's own encoders make of a longer text around it."""
    import base64  # noqa: PLC0415  this test alone
    import json  # noqa: PLC0415  as above
    from urllib.parse import quote  # noqa: PLC0415  as above

    for what, value in PLANTED.items():
        text = f"x: {value}; more"
        encoded = [
            *(base64.b64encode(b"y" * skipped + text.encode()) for skipped in range(3)),
            *(base64.urlsafe_b64encode(b"y" * skipped + text.encode()) for skipped in range(3)),
            text.encode().hex().encode(),
            json.dumps({"a": text}).encode(),
            quote(text, safe="").encode(),
            text.encode("utf-16"),
            text[::-1].encode(),
        ]
        for number, content in enumerate(encoded):
            (tmp_path / "file").write_bytes(content)
            found = {one.what for one in findings_in_files(tmp_path)}
            assert what in found, (what, number)


def test_the_embedded_database_and_all_around_it_hold_nothing(
    tmp_path: Path, furnished: tuple[Clinic, Upstream]
) -> None:
    """Neither files beside a running server, nor a backup, nor the decrypted rows."""
    with planted(tmp_path, furnished, "") as (scene, _):
        backed_up(scene)
        names = {path.name for path in tmp_path.rglob("*")}
        assert {DATABASE, f"{DATABASE}-wal", "ring.json", "stderr.log", "owner"} <= names
        assert set() == findings_in_files(*scene.folders)
    assert set() == findings_in_files(*scene.folders) | rows_of_embedded(scene)
    assert [] == list((tmp_path / "tmp").iterdir())


def test_payloads_outside_were_really_written_by_the_scene(
    tmp_path: Path, furnished: tuple[Clinic, Upstream]
) -> None:
    """What the search above looked at are sealed requests and answers, named by their digest."""
    with planted(tmp_path, furnished, "") as (scene, _):
        payloads = list((tmp_path / "payloads").glob("??/*"))
    assert len(payloads) >= 4
    assert all(path.read_bytes().startswith(b"SWS1") for path in payloads)
    held = scene.clinic.installation.store
    digests = [f"sha256:{path.name}" for path in payloads]
    assert len(asyncio.run(held.referred(digests))) >= 4


def test_postgresql_and_all_around_it_hold_nothing(
    tmp_path: Path, furnished: tuple[Clinic, Upstream], postgres_server: Server
) -> None:
    """Neither its tables, nor its own files and write-ahead log, nor a backup of it."""
    name = postgres_server.new_database()
    written = f'database = "{postgres_server.url(name)}"\n'
    with planted(tmp_path, furnished, written) as (scene, _):
        backed_up(scene)
        assert set() == findings_in_files(*scene.folders)
    postgres_server.ask("checkpoint")
    assert set() == rows_of_postgres(postgres_server, name)
    assert set() == findings_in_files(*scene.folders, postgres_server.folder / "cluster")
    assert int(postgres_server.ask("select count(*) from payloads", name)[0][0]) >= 4


def test_the_search_finds_what_postgresql_holds(postgres_server: Server) -> None:
    """A value in a column is found in the dump, in the server's files and in its log of writes."""
    name = postgres_server.new_database()
    value = PLANTED["record number"]
    with psycopg.connect(postgres_server.url(name, "postgres"), autocommit=True) as connection:
        connection.execute("create table plain (value text, raw bytea)")
        connection.execute("insert into plain values (%s, %s)", (value, value.encode()))
        connection.execute("checkpoint")
        forms = {one.form for one in rows_of_postgres(postgres_server, name)}
        places = {one.place for one in findings_in_files(postgres_server.folder / "cluster")}
        connection.execute("drop table plain")
    assert {"UTF-8", "hex"} <= forms
    assert {True, False} == {"/pg_wal/" in place for place in places}


# --- temporary files ------------------------------------------------------------

SOURCES: Final = Path(seawall.__file__).parent
TEMPORARY: Final = {
    "adapters/fips.py": "a page of nothing, by which SQLCipher shows that it encrypts",
    "cli/demo.py": "an export of the ledger, which holds no PHI, for the verifier",
    "compose/backup.py": "a drill's folder, in which what is restored is as sealed as ever",
}
"""Which modules of ours make temporary files, and why they may."""


def test_no_module_makes_temporary_files_without_a_reason() -> None:
    """What is temporary is forgotten on a disk; a new use is a decision somebody takes here."""
    using = {
        str(path.relative_to(SOURCES))
        for path in SOURCES.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        and "tempfile" in {getattr(node, "module", ""), *(alias.name for alias in node.names)}
    }
    assert TEMPORARY.keys() == using


@pytest.mark.parametrize(("setting", "expected"), [("", 0), ("pragma temp_store = file", 1)])
def test_sqlite_keeps_what_is_temporary_in_memory(
    tmp_path: Path, setting: str, expected: int
) -> None:
    """A sort of more than its cache holds makes a file only where that is asked for, as here."""
    connection = connect(tmp_path / "a.db", bytes(32))
    connection.execute(setting)
    cursor = connection.execute(
        "with recursive numbers (n) as (select 1 union all select n + 1 from numbers "
        "where n < 15000) select hex(randomblob(1000)) as value from numbers order by value"
    )
    cursor.fetchone()
    opened = [str(one.readlink()) for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]
    connection.close()
    assert expected == min(1, len([name for name in opened if "etilqs" in name]))
