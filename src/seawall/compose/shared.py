"""PostgreSQL as an installation's database, and its preparation by the owner of the tables."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import create_engine
from sqlalchemy.pool import QueuePool

from seawall.adapters.db.claiming import claim_for
from seawall.adapters.db.dump import SqlDumpSource
from seawall.adapters.db.load import PostgresTarget
from seawall.adapters.db.postgres import Address, check_rights, connect, foreign_errors
from seawall.adapters.db.postgres_ledger import PostgresLedger
from seawall.adapters.db.postgres_pruner import PostgresPruner
from seawall.adapters.db.postgres_schema import check_prepared, prepare_database
from seawall.config import environment, read_database_password
from seawall.core.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from seawall.adapters.db.sequencer import Signer
    from seawall.compose.database import Appending
    from seawall.config import Settings

_PRUNE_SECONDS: Final = 600.0


class SharedDatabase:
    """PostgreSQL, as the role that the setting names; replicas need not know of each other."""

    is_shared: Final = True

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def engine(self) -> Engine:
        """The pool of reading connections."""
        return create_engine(
            "postgresql+psycopg://",
            creator=lambda: connect(_address(self._settings)),
            poolclass=QueuePool,
            pool_size=4,
            use_native_hstore=False,
        )

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Hold nothing: the database decides about every write by itself."""
        yield

    def prepare(self) -> None:
        """Check that the owner has prepared the database, and that this role may only append."""
        with connect(_address(self._settings)) as connection:
            check_prepared(connection)
            check_rights(connection)

    def claim_for(self, ring: str) -> None:
        """Note whose key ring this database goes with; `Conflict` if it is another's."""
        claim_for(self.engine, ring)

    def appending(self, signer: Signer) -> PostgresLedger:
        """Begin to append."""
        seconds = self._settings.ledger_seconds

        def connecting() -> Any:
            """Connect anew, with the password that is in force now."""
            return connect(_address(self._settings), limit_seconds=seconds, is_writing=True)

        return PostgresLedger(connecting, signer, limit_seconds=seconds)

    def pruner(self, _appending: Appending) -> PostgresPruner:
        """Return what deletes as the pruner's role; `Invalid` if none is set."""
        role = self._settings.database_pruner
        if not role:
            raise Invalid(
                "wrong-setting",
                "no role of the database is set that may prune",
                "set database_pruner, as in docs/how-to/use-postgresql.md",
            )
        password = read_database_password(environment(), "SEAWALL_DATABASE_PRUNER_PASSWORD")
        address = _address(self._settings).as_role(role, password)
        return PostgresPruner(
            partial(connect, address, limit_seconds=_PRUNE_SECONDS, is_writing=True)
        )

    def dump_source(self) -> SqlDumpSource:
        """Return what a backup is made from: a reader without a limit of time."""
        return SqlDumpSource(
            lambda: connect(_address(self._settings), limit_seconds=0), foreign_errors
        )


def _address(settings: Settings) -> Address:
    password = read_database_password(environment(), "SEAWALL_DATABASE_PASSWORD")
    return Address.read(settings.database, password)


def prepare_as_owner(settings: Settings, owner: str, pruner: str | None) -> None:
    """Make or update the tables as their owner, and grant the settings' role its rights."""
    service = Address.read(settings.database)
    password = read_database_password(environment(), "SEAWALL_DATABASE_OWNER_PASSWORD")
    role = pruner or settings.database_pruner or None
    prepare_database(service.as_role(owner, password), service.parameters["user"], role)


def restoring_as_owner(settings: Settings, owner: str) -> PostgresTarget:
    """Prepare an empty database as the owner of its tables, and return what fills it."""
    prepare_as_owner(settings, owner, None)
    service = Address.read(settings.database)
    password = read_database_password(environment(), "SEAWALL_DATABASE_OWNER_PASSWORD")
    return PostgresTarget(
        lambda: connect(service.as_role(owner, password), limit_seconds=0, is_writing=True),
        foreign_errors,
    )
