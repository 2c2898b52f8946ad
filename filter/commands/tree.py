"""The parts of a message as a tree to look at, and what is wrong with its form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import click

from ..message import Message, Part
from .printable import cut, printable

MOST_PARTS: Final = 50
"""Parts shown; a message may have thousands."""

MOST_DEFECTS: Final = 10
"""Defects shown."""


@dataclass(frozen=True, slots=True)
class Branch:
    """One part: how deep it lies, what it declares, and the octets of its content, decoded (None around parts)."""

    depth: int
    type: str
    charset: str
    encoding: str
    disposition: str
    filename: str | None
    size: int | None


def branches(message: Message) -> tuple[Branch, ...]:
    """All parts in the order of their octets, the message itself first."""
    found = []
    waiting: list[tuple[int, Part]] = [(0, message)]
    while waiting:
        depth, part = waiting.pop()
        found.append(_branch(depth, part))
        waiting += [(depth + 1, child) for child in reversed(part.parts)]
    return tuple(found)


def in_short(branch: Branch) -> str:
    """What a part is, in a few words: `text/plain, utf-8, base64, 1,234 octets`."""
    name = f'"{branch.filename}"' if branch.filename is not None else ""
    size = f"{branch.size:,} octets" if branch.size is not None else ""
    encoding = branch.encoding if branch.encoding not in ("7bit", "8bit", "binary") else ""
    attached = branch.disposition if branch.disposition == "attachment" else ""
    return ", ".join(word for word in (branch.type, name, attached, branch.charset, encoding, size) if word)


def drawn(found: Sequence[Branch], width: int) -> Iterator[str]:
    """The tree in lines no wider than `width`."""
    lasts = list(_lasts(found))
    for branch, last in list(zip(found, lasts, strict=True))[:MOST_PARTS]:
        lines = ["   " if gone else "│  " for gone in last[:-1]]
        knee = [] if not last else ["└─ " if last[-1] else "├─ "]
        yield cut("  " + "".join([*lines, *knee]) + printable(in_short(branch)), width)
    if len(found) > MOST_PARTS:
        yield f"  … {len(found) - MOST_PARTS:,} more parts"


def complaints(defects: Sequence[tuple[int, str]], width: int) -> Iterator[str]:
    """What is wrong with the message, in lines."""
    for start, text in defects[:MOST_DEFECTS]:
        yield click.style(cut(f"  ! {text}, at octet {start:,}", width), fg="yellow")
    if len(defects) > MOST_DEFECTS:
        yield f"  … {len(defects) - MOST_DEFECTS:,} more defects"


def _branch(depth: int, part: Part) -> Branch:
    encoding = part.get("Content-Transfer-Encoding", "").strip().lower()
    size = None if part.parts else len(part.content)
    return Branch(depth, part.content_type, part.charset, encoding, part.disposition, part.filename, size)


def _lasts(found: Sequence[Branch]) -> Iterator[tuple[bool, ...]]:
    """For each part, whether it and the parts around it (outermost first) are the last of theirs."""
    ends: list[tuple[bool, ...]] = []
    deeper: dict[int, bool] = {}                   # by depth: whether another part of it comes before one less deep
    for branch in reversed(found):
        deeper = {depth: more for depth, more in deeper.items() if depth <= branch.depth}
        ends.append(tuple(not deeper.get(depth, False) for depth in range(1, branch.depth + 1)))
        deeper[branch.depth] = True
    return reversed(ends)
