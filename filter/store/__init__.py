"""The store: conversations, receipts, outbox, pending questions, held mail, and the ledger.

The only place of the core that knows SQLAlchemy. No database connects before it is used, so a process
may fork between making a `Store` and opening it.
"""

from sqlalchemy.orm import Session

from .draft import LedgerDraft
from .failures import Clash, StoreError, is_clash, is_store_failure
from .ledger import Book, Ledger
from .outbox import SENDING, Waiting
from .store import Store
from .work import Abandoned, Work

__all__ = [
    "SENDING",
    "Abandoned",
    "Book",
    "Clash",
    "Ledger",
    "LedgerDraft",
    "Session",
    "Store",
    "StoreError",
    "Waiting",
    "Work",
    "is_clash",
    "is_store_failure",
]
