"""Held mail knows how it is released, and what a person does with what is kept is written down."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    for name in ("done", "verp"):
        op.add_column("penstock_held", sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("penstock_held", sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "penstock_audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("deed", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("handler", sa.String(length=128), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_penstock_audit_at", "penstock_audit", ["at"])
