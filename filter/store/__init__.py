"""The store: conversations, receipts, outbox, pending questions, held mail, and the ledger.

The only place of the core that knows SQLAlchemy. No database connects before it is used, so a process
may fork between making a `Store` and opening it.
"""

from sqlalchemy.orm import Session

from .audit import Entry
from .custody import Custody
from .database import Change
from .draft import LedgerDraft
from .failures import Clash, StoreError, is_clash, is_store_failure
from .keeping import KeptMail, Remainder
from .ledger import Book, Ledger
from .outbox import SENDING, Waiting
from .posting import KeptLetter
from .states import KeptConversation
from .store import Store
from .which import Which
from .work import Abandoned, Work

__all__ = [
    "SENDING",
    "Abandoned",
    "Book",
    "Change",
    "Clash",
    "Custody",
    "Entry",
    "KeptConversation",
    "KeptLetter",
    "KeptMail",
    "Ledger",
    "LedgerDraft",
    "Remainder",
    "Session",
    "Store",
    "StoreError",
    "Waiting",
    "Which",
    "Work",
    "is_clash",
    "is_store_failure",
]
