"""The store, for a person who deals with what it keeps."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager

from ..clock import Clock
from ..config import Settings
from ..routing import Routers
from ..spool import Spool
from ..store import Custody, Store
from .program import Trouble, settings
from .stores import missing_file


@contextmanager
def custody() -> Iterator[Custody]:
    """What the service of this configuration keeps. No handler is loaded, so broken ones are no hindrance.

    Raises Trouble where there is no store yet, and what the store raises.
    """
    with store(settings()) as found:
        yield found.custody(person(), Clock().now())


@contextmanager
def store(found: Settings, routers: Routers | None = None) -> Iterator[Store]:
    """The store as it is, with the tables of these handlers."""
    if path := missing_file(found.store.url):
        raise Trouble(f"{path} is not there yet; the service makes it at its first start")
    opened = Store(found.store.url, Spool(found.filter.spool, found.filter.spool_above), connections=2)
    try:
        opened.prepare(*(routers.tables if routers is not None else ()))
        yield opened
    finally:
        opened.close()


def person() -> str:
    """Who is at the keyboard, for the audit: the user, and whose rights were taken on with sudo."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    behind = os.environ.get("SUDO_USER")
    return f"{behind} as {user}" if behind and behind != user else user
