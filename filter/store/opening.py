"""From `[store] url` to the two databases of a store: its own, and the ledger's.

On SQLite the ledger has a file of its own beside the store's, on PostgreSQL connections of its own. A power failure
may cost the last moments of it.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import URL
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from .database import Database
from .failures import StoreError
from .postgresql import PostgreSQL
from .sqlite import SQLite

CONNECTIONS: Final = 20
"""Connections of one process to PostgreSQL, unless the configuration says otherwise."""


def open_databases(url: str, connections: int = CONNECTIONS) -> tuple[Database, Database]:
    """The databases of the store and of its ledger. Nothing is connected yet. Raises StoreError."""
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        store = SQLite(parsed)
        return store, SQLite(_beside(parsed), synchronous="NORMAL")
    few = max(1, connections // 4)
    return PostgreSQL(parsed, connections=connections), PostgreSQL(parsed, connections=few, synchronous=False)


def _parsed(url: str) -> URL:
    """Raises StoreError, without the URL: it may hold a password."""
    try:
        parsed = make_url(url)
        parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError) as error:
        raise StoreError(f"[store] url: {error}") from error
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite", "postgresql", "postgresql+psycopg"):
        raise StoreError(
            "[store] url: the store is kept in SQLite (sqlite:////a/file.db) or PostgreSQL "
            f"(postgresql+psycopg://user@host/database), not in {parsed.drivername}"
        )
    return parsed


def _beside(url: URL) -> URL:
    assert url.database is not None  # SQLite has seen to it
    base = url.database.removesuffix(".db")
    return url.set(database=f"{base}-ledger.db")
