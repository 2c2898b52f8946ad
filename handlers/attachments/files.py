"""Files behind a link: written so that a crash loses none, under a name that nobody can guess.

The name is a keyed digest of the content, so that a message which comes again (Postfix brings it back after
a 451) finds its file in place and not a second one beside it. The key is in the ledger, which all hosts share.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from pathlib import Path
from typing import Final, Protocol

from .options import Link


class Values(Protocol):
    """Where the key is kept: the ledger."""

    def get(self, name: str) -> str | None: ...

    def set(self, name: str, value: str) -> None: ...


def publish(link: Link, values: Values, name: str, content: bytes, *, dry: bool = False) -> str:
    """Write the content where a web server finds it, synced, and return its URL. A dry run writes nothing.

    Raises OSError.
    """
    token = hashlib.blake2b(content, key=_key(values), digest_size=20).hexdigest()
    file = link.directory / token / _plain(name)
    if not dry:
        _keep(file, content)
    return f"{link.url.rstrip('/')}/{token}/{file.name}"


def _keep(file: Path, content: bytes) -> None:
    if not file.exists():
        file.parent.mkdir(exist_ok=True)
        _write_synced(file, content)
    _sync(file.parent)  # also where it was there: the run that wrote it may have ended before this
    _sync(file.parent.parent)


def _key(values: Values) -> bytes:
    known = values.get(_KEY)
    if known is None:
        known = secrets.token_hex(32)
        values.set(_KEY, known)
    return bytes.fromhex(known)


def _write_synced(file: Path, content: bytes) -> None:
    """Write beside it and move it there: the file is whole or not at all."""
    beside = file.with_name(f".{secrets.token_hex(8)}")
    with beside.open("xb") as new:
        new.write(content)
        new.flush()
        os.fsync(new.fileno())
    beside.replace(file)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _plain(name: str) -> str:
    """A file name that is the same in a folder, in a URL and on a command line, extension included."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)[-_LONGEST:].lstrip(".-") or "file"


_KEY: Final = "key of links"
_LONGEST: Final = 80
