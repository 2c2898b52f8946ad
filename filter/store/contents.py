"""Message contents, cut into rows so that neither end ever holds a large one twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from ..message import Message
from ..spool import Spool
from .failures import StoreError
from .schema import content_rows, contents

ROW: Final = 256 * 1024
"""Octets in a row of content."""


def write(connection: Connection, message: Message) -> int:
    """Store a message's octets; returns the content's number."""
    content = int(connection.execute(_INSERT, {"size": message.size}).scalar_one())
    for count, data in enumerate(_cut(message.chunks())):
        connection.execute(_INSERT_ROW, {"content": content, "number": count, "data": data})
    return content


def read(connection: Connection, content: int) -> Message:
    """The message that a content holds; a large one lies in the spool. Raises StoreError where that has no room."""
    size = connection.execute(select(contents.c.size).where(contents.c.id == content)).scalar_one()
    spool: Spool = connection.get_execution_options()["spool"]
    try:
        return Message(spool.gather(_rows(connection, content, size), size))
    except OSError as error:
        raise StoreError(f"[filter] spool: {spool.folder}: {error.strerror or error}") from error


def remove(connection: Connection, content: int) -> None:
    """Delete a content whose owner is gone."""
    connection.execute(delete(content_rows).where(content_rows.c.content == content))
    connection.execute(delete(contents).where(contents.c.id == content))


_INSERT: Final = insert(contents).returning(contents.c.id)
_INSERT_ROW: Final = insert(content_rows)


def _rows(connection: Connection, content: int, size: int) -> Iterator[bytes]:
    """The rows one by one: drivers may fetch all that one statement finds."""
    for number in range(-(-size // ROW)):
        wanted = select(content_rows.c.data).where(content_rows.c.content == content, content_rows.c.number == number)
        yield connection.execute(wanted).scalar_one()


def _cut(buffers: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    kept = bytearray()
    for buffer in buffers:
        view = memoryview(buffer)
        while len(kept) + len(view) >= ROW:
            take = ROW - len(kept)
            kept += view[:take]
            view = view[take:]
            yield bytes(kept)
            kept.clear()
        kept += view
    if kept:
        yield bytes(kept)
