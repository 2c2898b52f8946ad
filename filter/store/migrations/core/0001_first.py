"""The tables of the store."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "penstock_attempts",
        sa.Column("arrival", sa.String(length=32), nullable=False),
        sa.Column("recipient", sa.String(length=32), nullable=False),
        sa.Column("handler", sa.String(length=128), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("arrival", "recipient", "handler"),
    )
    op.create_index("ix_penstock_attempts_at", "penstock_attempts", ["at"])
    op.create_table(
        "penstock_contents",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "penstock_conversations",
        sa.Column("handler", sa.String(length=128), nullable=False),
        sa.Column("sender", sa.String(length=320), nullable=False),
        sa.Column("resource", sa.String(length=512), nullable=False),
        sa.Column("state", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("deadline", sa.Float(), nullable=True),
        sa.Column("blanks", sa.JSON(), nullable=False),
        sa.Column("changed", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("handler", "sender", "resource"),
    )
    op.create_index("ix_penstock_conversations_deadline", "penstock_conversations", ["deadline"])
    op.create_table(
        "penstock_receipts",
        sa.Column("arrival", sa.String(length=32), nullable=False),
        sa.Column("digest", sa.String(length=32), nullable=False),
        sa.Column("recipient", sa.String(length=32), nullable=False),
        sa.Column("fate", sa.String(length=16), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("noticed", sa.Boolean(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("arrival", "digest", "recipient"),
    )
    op.create_index("ix_penstock_receipts_at", "penstock_receipts", ["at"])
    op.create_table(
        "penstock_settings",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "penstock_content_rows",
        sa.Column("content", NUMBER, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["content"], ["penstock_contents.id"]),
        sa.PrimaryKeyConstraint("content", "number"),
    )
    op.create_table(
        "penstock_held",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("expires", sa.Float(), nullable=True),
        sa.Column("handler", sa.String(length=128), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("traceback", sa.Text(), nullable=True),
        sa.Column("envelope", sa.JSON(), nullable=False),
        sa.Column("content", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["content"], ["penstock_contents.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_penstock_held_expires", "penstock_held", ["expires"])
    op.create_table(
        "penstock_outbox",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("handler", sa.String(length=128), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("envelope", sa.JSON(), nullable=False),
        sa.Column("verp", sa.Boolean(), nullable=False),
        sa.Column("content", NUMBER, nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("due", sa.Float(), nullable=False),
        sa.Column("lease", sa.Float(), nullable=True),
        sa.Column("owner", sa.String(length=64), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_reply", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["content"], ["penstock_contents.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("penstock_outbox_due", "penstock_outbox", ["due"])
    op.create_table(
        "penstock_pending",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("handler", sa.String(length=128), nullable=False),
        sa.Column("purpose", sa.String(length=128), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("expires", sa.Float(), nullable=False),
        sa.Column("content", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["content"], ["penstock_contents.id"]),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("ix_penstock_pending_expires", "penstock_pending", ["expires"])
