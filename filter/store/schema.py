"""The tables. Times are seconds since the epoch, UTC; envelopes and lists are JSON.

Text of keys is bounded (`rows.key_text`): PostgreSQL indexes no more than 2,700 octets of a row. Who changes a table
here writes a revision as well; a test compares the two.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
)

metadata: Final = MetaData()

Number: Final = BigInteger().with_variant(Integer, "sqlite")
"""The number of a row. A busy service uses up 32 bits in a year; on SQLite an INTEGER has 64, and only it counts up."""

settings: Final = Table(
    "penstock_settings",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

conversations: Final = Table(
    "penstock_conversations",
    metadata,
    Column("handler", String(128), primary_key=True),
    Column("sender", String(320), primary_key=True),
    Column("resource", String(512), primary_key=True),
    Column("state", String(128), nullable=False),
    Column("version", Integer, nullable=False),
    Column("deadline", Float, index=True),
    Column("blanks", JSON, nullable=False),
    Column("changed", Float, nullable=False),
)

receipts: Final = Table(
    "penstock_receipts",
    metadata,
    Column("arrival", String(32), primary_key=True),
    Column("digest", String(32), primary_key=True),
    Column("recipient", String(32), primary_key=True),
    Column("fate", String(16), nullable=False),
    Column("result", JSON, nullable=False),
    Column("noticed", Boolean, nullable=False),
    Column("at", Float, nullable=False, index=True),
)

attempts: Final = Table(
    "penstock_attempts",
    metadata,
    Column("arrival", String(32), primary_key=True),
    Column("recipient", String(32), primary_key=True),
    Column("handler", String(128), primary_key=True),
    Column("count", Integer, nullable=False),
    Column("at", Float, nullable=False, index=True),
)

contents: Final = Table(
    "penstock_contents",
    metadata,
    Column("id", Number, primary_key=True),
    Column("size", BigInteger, nullable=False),
)

content_rows: Final = Table(
    "penstock_content_rows",
    metadata,
    Column("content", ForeignKey("penstock_contents.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)

pending: Final = Table(
    "penstock_pending",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("handler", String(128), nullable=False),
    Column("purpose", String(128), nullable=False),
    Column("facts", JSON, nullable=False),
    Column("sender", Text, nullable=False),
    Column("expires", Float, nullable=False, index=True),
    Column("content", ForeignKey("penstock_contents.id"), nullable=False, index=True),
)

outbox: Final = Table(
    "penstock_outbox",
    metadata,
    Column("id", Number, primary_key=True),
    Column("handler", String(128), nullable=False),
    Column("message_id", Text, nullable=False),
    Column("envelope", JSON, nullable=False),
    Column("verp", Boolean, nullable=False),
    Column("content", ForeignKey("penstock_contents.id"), nullable=False, index=True),
    Column("created", Float, nullable=False),
    Column("due", Float, nullable=False),
    Column("lease", Float),
    Column("owner", String(64)),
    Column("attempts", Integer, nullable=False, default=0),
    Column("last_reply", Text),
    Index("penstock_outbox_due", "due"),
)

held: Final = Table(
    "penstock_held",
    metadata,
    Column("id", Number, primary_key=True),
    Column("at", Float, nullable=False),
    Column("expires", Float, index=True),
    Column("handler", String(128), nullable=False),
    Column("reason", Text, nullable=False),
    Column("traceback", Text),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("done", Boolean, nullable=False, server_default=false()),
    Column("verp", Boolean, nullable=False, server_default=false()),
    Column("envelope", JSON, nullable=False),
    Column("content", ForeignKey("penstock_contents.id"), nullable=False, index=True),
)

audit: Final = Table(
    "penstock_audit",
    metadata,
    Column("id", Number, primary_key=True),
    Column("at", Float, nullable=False, index=True),
    Column("who", Text, nullable=False),
    Column("deed", String(16), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("subject", Text, nullable=False),
    Column("handler", String(128), nullable=False),
    Column("details", JSON, nullable=False),
)
