"""What Alembic runs: the steps, on the connection that the program hands in."""

from __future__ import annotations

from alembic import context

from seawall.adapters.db.schema import metadata


def migrate() -> None:
    """Take the steps in the transaction that the caller has begun, and will commit."""
    context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
    context.run_migrations()


migrate()
