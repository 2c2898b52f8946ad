"""What Alembic runs. `upgrading` has put a connection that is in a transaction, and the branch, into `attributes`."""

from __future__ import annotations

from alembic import context

given = context.config.attributes
context.configure(
    connection=given["connection"],
    target_metadata=given["metadata"],
    version_table=given["version_table"],
    render_as_batch=True,  # SQLite alters a table by making another
    compare_type=True,
)
context.run_migrations()
