"""The bytes of a message as they came, behind one face for bytes, views and mappings.

Everything else speaks of the source in offsets, so a mapped file of 100 MB is never copied whole.
`bytes.find` runs at the speed of memory; a mapping or a view has nothing as fast, so those are searched
through windows that are copied one at a time.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from functools import partial
from typing import Final


class Source:
    """A read-only buffer: `data` is what patterns run on and slices of which are bytes.

    `find(octet, start, end)` gives the offset of the first such octet (one of them) in the range, or -1.
    """

    __slots__ = ("data", "find", "raw", "size")

    def __init__(self, raw: bytes | bytearray | memoryview | mmap.mmap) -> None:
        self.raw = raw
        self.data: bytes | memoryview | mmap.mmap = raw if isinstance(raw, (bytes, mmap.mmap)) else _plain(raw)
        self.size = len(self.data)
        self.find: Callable[[bytes, int, int], int] = (
            self.data.find if isinstance(self.data, bytes) else partial(_find_in_windows, self.data)
        )

    @property
    def view(self) -> memoryview:
        """The source for slices that copy nothing."""
        return memoryview(self.data).toreadonly()

    def cut(self, start: int, end: int) -> bytes:
        """A copy of the octets from `start` to `end`."""
        return bytes(self.data[start:end])


def _find_in_windows(data: memoryview | mmap.mmap, octet: bytes, start: int, end: int) -> int:
    for at in range(start, end, _WINDOW):
        if (found := bytes(data[at : min(at + _WINDOW, end)]).find(octet)) >= 0:
            return at + found
    return -1


def _plain(raw: bytearray | memoryview) -> bytes | memoryview:
    """A flat view of octets; a small one, or one that is not flat, as a copy."""
    view = memoryview(raw).toreadonly()
    return view if view.nbytes > _WINDOW and view.c_contiguous and view.itemsize == view.ndim == 1 else view.tobytes()


_WINDOW: Final = 1 << 20
