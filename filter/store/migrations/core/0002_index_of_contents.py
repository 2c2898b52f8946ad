"""Who a content belongs to is found without a look at every row, whenever one is deleted."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    for table in ("penstock_held", "penstock_outbox", "penstock_pending"):
        op.create_index(f"ix_{table}_content", table, ["content"])
