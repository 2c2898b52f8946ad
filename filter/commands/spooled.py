"""What can be wrong with the spool, seen from this process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ..config import Settings
from ..quantities import spell_size
from ..spool import Spool
from .findings import Finding

_IN_MEMORY: Final = {"tmpfs", "ramfs"}


def in_spool(settings: Settings) -> Iterator[Finding]:
    """Whether large messages can lie in the spool, and whether that spares any memory."""
    folder, limit = settings.filter.spool, settings.filter.message_size_limit
    try:
        Spool(folder).probe()
        kind = _file_system(folder)
        room = os.statvfs(folder)
    except OSError as error:
        mend = "make the folder, and let the user of the service write there"
        yield Finding("error", "spool", f"{folder} cannot be used: {error.strerror or error}", mend)
        return
    if kind in _IN_MEMORY:
        text = f"{folder} is a {kind}: large messages fill the memory all the same"
        yield Finding("warning", "spool", text, "name a folder on a disk in [filter] spool")
    elif room.f_bavail * room.f_frsize < limit:
        text = f"{folder} has no room for one message of {spell_size(limit)}, the message_size_limit"
        yield Finding("warning", "spool", text, "make room, or name another folder in [filter] spool")
    else:
        yield Finding("ok", "spool", str(folder))


def _file_system(folder: Path) -> str:
    """The type of the file system that a folder is on; "" where it cannot be told."""
    device = os.stat(folder).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines():
        fields = line.split()
        if fields[2] == number:
            return fields[fields.index("-") + 1]
    return ""
