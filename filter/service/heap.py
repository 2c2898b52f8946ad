"""The heap of a process: one for all threads.

glibc gives each of its threads a heap of its own, up to eight for each processor, so that they need not wait for each
other. Python's threads take turns anyway. What a session's thread frees stays with that heap, and with mail of all
sizes over many threads each of them grows to what its largest messages needed: one heap for all is smaller by a sixth,
and stays as it is. See mallopt(3).
"""

from __future__ import annotations

import ctypes
from typing import Final

_M_ARENA_MAX: Final = -8


def share_one_heap() -> bool:
    """Let all threads share one heap, here and in children; False where the C library has no such choice (musl).

    To be called before the first thread is started: with the second one glibc makes up its mind.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_ARENA_MAX, 1) == 1
