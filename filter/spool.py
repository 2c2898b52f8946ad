"""The spool: where a large message lies while it is under way.

A message above a size goes straight into a file that has no name, and is read from the file's mapping. Its
pages are the kernel's to drop, so that a message of 100 MB costs the process next to nothing; nobody else can open the
file, and it is gone with the last one who holds the message, or with the process, however that ends. No sync
is needed: Postfix has the message until it hears our 250.

On a tmpfs all of this would be memory again: `penstock check` warns of it.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO


def default_folder() -> Path:
    """The state directory, which the unit makes, where it may be used; else /var/tmp: on a disk, as /tmp often is not.

    `penstock check`, which systemd does not start, so finds the folder that the service has.
    """
    state = Path(os.environ.get("STATE_DIRECTORY", "").partition(":")[0] or "/var/lib/penstock")
    return state if os.access(state, os.W_OK | os.X_OK) else Path("/var/tmp")


@dataclass(frozen=True, slots=True)
class Spool:
    """A folder for files without a name; messages of more than `above` octets are kept there and not in memory."""

    folder: Path = field(default_factory=default_folder)
    above: int = 8 * 1024 * 1024

    def keep(self, octets: Iterable[bytes]) -> bytes | mmap.mmap:
        """The octets in one buffer, mapped. Raises OSError where the file cannot be made or written, and what
        the iterable raises."""
        with tempfile.TemporaryFile(dir=self.folder) as file:
            file.writelines(octets)
            file.flush()
            if not file.tell():
                return b""
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def gather(self, octets: Iterable[bytes], size: int) -> bytes | mmap.mmap:
        """The octets, `size` of them, in one buffer: in memory where they are few, else as `keep` has it."""
        return self.keep(octets) if size > self.above else b"".join(octets)

    def probe(self) -> None:
        """Raises OSError where no file can be made."""
        with tempfile.TemporaryFile(dir=self.folder):
            pass


class Heap:
    """Octets that come piece by piece: in memory while they are few, then in a file without a name."""

    __slots__ = ("_file", "_pieces", "_size", "_spool")

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._pieces: list[bytes] = []
        self._size = 0
        self._file: IO[bytes] | None = None

    def add(self, octets: bytes) -> None:
        """The next piece. Raises OSError where the file cannot be made or written; then all is lost."""
        if self._file is not None:
            self._file.write(octets)
            return
        self._pieces.append(octets)
        self._size += len(octets)
        if self._size > self._spool.above:
            self._file = tempfile.TemporaryFile(dir=self._spool.folder)  # noqa: SIM115  # as long as the heap
            self._file.writelines(self._pieces)
            self._pieces.clear()

    def whole(self) -> bytes | mmap.mmap:
        """All of them in one buffer, to be asked for once. Raises OSError."""
        if self._file is None:
            return b"".join(self._pieces)
        with self._file as file:
            file.flush()
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
