"""How wide a page may be."""

from __future__ import annotations

import shutil


def width() -> int:
    """The columns of the terminal, or 100 where there is none; never so few that nothing fits."""
    return max(40, shutil.get_terminal_size((100, 24)).columns)
