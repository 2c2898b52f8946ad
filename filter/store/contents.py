"""Message contents, cut into rows so that neither end ever holds a large one twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from ..message import Message
from .schema import content_rows, contents

ROW: Final = 256 * 1024
"""Octets in a row of content."""


def write(connection: Connection, message: Message) -> int:
    """Store a message's octets; returns the content's number."""
    number = connection.execute(insert(contents).values(size=message.size)).inserted_primary_key
    assert number is not None
    content = int(number[0])
    for count, data in enumerate(_cut(message.chunks())):
        connection.execute(insert(content_rows).values(content=content, number=count, data=data))
    return content


def read(connection: Connection, content: int) -> Message:
    """The message that a content holds."""
    rows = connection.execute(
        select(content_rows.c.data).where(content_rows.c.content == content).order_by(content_rows.c.number)
    )
    return Message(b"".join(rows.scalars()))


def remove(connection: Connection, content: int) -> None:
    """Delete a content whose owner is gone."""
    connection.execute(delete(content_rows).where(content_rows.c.content == content))
    connection.execute(delete(contents).where(contents.c.id == content))


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
