"""The heap of a process: one for all threads, and no larger than it must be.

glibc gives each of its threads a heap of its own, up to eight for each processor, so that they need not wait for each
other. Python's threads take turns anyway. What a session's thread frees stays with that heap, and with mail of all
sizes over many threads each of them grows to what its largest messages needed: one heap for all is smaller by a sixth.
What is free within it is given back now and then, or it would stay as large as the busiest moment had made it. See
mallopt(3) and malloc_trim(3).
"""

from __future__ import annotations

import ctypes
from typing import Final

TRIM_EVERY: Final = 10.0
"""Seconds between two calls of `give_back`, which takes about a millisecond."""

_M_ARENA_MAX: Final = -8
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_AT_HAND: Final = 16 * 1024 * 1024
"""Octets that stay at hand for the next message: to have pages mapped anew for each costs more than to fill them."""


def share_one_heap() -> bool:
    """Let all threads share one heap, here and in children; False where the C library has no such choice (musl).

    To be called before the first thread is started: with the second one glibc makes up its mind.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    wanted = ((_M_ARENA_MAX, 1), (_M_TRIM_THRESHOLD, 2 * _AT_HAND), (_M_MMAP_THRESHOLD, _AT_HAND))
    return all(mallopt(parameter, value) == 1 for parameter, value in wanted)


def give_back() -> None:
    """Give free pages of the heap back to the system, where the C library can."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
