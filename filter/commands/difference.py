"""What a result differs in from the message as it came: by line, with octet offsets, whatever the bytes.

The lines come from the message's own edits, so that nothing is guessed: what no edit touches is not even
looked at, and a message of 50 MB costs no more than its edits do. What is not printable is shown as an escape, since a
terminal obeys control characters. Line ends are shown where they differ from the message's usual one.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ..message import Edit, Message
from .printable import printable

CONTEXT: Final = 2
"""Lines shown around a change."""

MOST_LINES: Final = 40
"""Lines shown of one hunk; the rest is counted."""

_COMPARABLE: Final = 400


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a hunk: `mark` is ` ` (the same), `-` (was), `+` (is); or `…` or `\\`: a remark."""

    mark: str
    text: str


@dataclass(frozen=True, slots=True)
class Hunk:
    """Changes that lie together: octets `start` to `end` of the message became `new_start` to `new_end` of the result.

    `where` is `header`, `body`, or `header and body`.
    """

    where: str
    start: int
    end: int
    new_start: int
    new_end: int
    lines: tuple[Line, ...]


def hunks(result: Message) -> list[Hunk]:
    """The changes of `result` over the message that it was made from, in order."""
    source = memoryview(result.raw)
    newline = b"\r\n" if b"\r\n" in bytes(source[:4096]) else b"\n"
    shift = 0
    found = []
    for edits in _neighbours(source, result.edits):
        start, end = _around(source, edits)
        old = bytes(source[start:end])
        new = b"".join(_edited(source, edits, start, end))
        where = "body" if edits[0].body else "header and body" if edits[-1].body else "header"
        lines = tuple(_abbreviated(list(_compared(_split(old), _split(new), newline))))
        found.append(Hunk(where, start, end, start + shift, start + shift + len(new), lines))
        shift += len(new) - len(old)
    return found


def shown(octets: bytes, newline: bytes = b"\r\n") -> str:
    """A line as a terminal may show it: escapes for what is not printable, the usual line end left out."""
    return printable(octets.removesuffix(newline).decode("utf-8", "surrogateescape"))


def _neighbours(source: memoryview, edits: Sequence[Edit]) -> Iterator[list[Edit]]:
    """The edits in groups whose surroundings touch."""
    group: list[Edit] = []
    for edit in edits:
        if group and _around(source, [edit])[0] > _around(source, group)[1]:
            yield group
            group = []
        group.append(edit)
    if group:
        yield group


def _around(source: memoryview, edits: Sequence[Edit]) -> tuple[int, int]:
    """Where the lines around some edits begin and end."""
    start, end = _line_start(source, edits[0].start), edits[-1].end
    for _ in range(CONTEXT):
        start = _line_start(source, max(0, start - 1))
    for _ in range(CONTEXT + _ends_within_a_line(source, edits[-1])):
        end = _next_line(source, end)
    return start, end


def _edited(source: memoryview, edits: Sequence[Edit], start: int, end: int) -> Iterator[bytes]:
    for edit in edits:
        yield bytes(source[start : edit.start])
        yield edit.data
        start = edit.end
    yield bytes(source[start:end])


def _compared(old: Sequence[bytes], new: Sequence[bytes], newline: bytes) -> Iterator[Line]:
    """The lines of both, as a person would tell what changed; long stretches are told as exchanged."""
    if len(old) + len(new) > _COMPARABLE:
        head, tail = _common(old, new), _common(old[::-1], new[::-1])
        tail = min(tail, min(len(old), len(new)) - head)
        steps = [("equal", 0, head, 0, head), ("replace", head, len(old) - tail, head, len(new) - tail)]
        steps += [("equal", len(old) - tail, len(old), 0, 0)]
    else:
        steps = list(difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes())
    for step, a, b, c, d in steps:
        same = step == "equal"
        yield from _lines(" " if same else "-", old[a:b], newline)
        yield from _lines("+", () if same else new[c:d], newline)


def _lines(mark: str, lines: Sequence[bytes], newline: bytes) -> Iterator[Line]:
    for line in lines:
        yield Line(mark, shown(line, newline))
        if not line.endswith(b"\n"):
            yield Line("\\", "no line end")


def _common(old: Sequence[bytes], new: Sequence[bytes]) -> int:
    pairs = enumerate(zip(old, new, strict=False))
    return next((number for number, (a, b) in pairs if a != b), min(len(old), len(new)))


def _abbreviated(lines: Sequence[Line]) -> Iterator[Line]:
    """The lines, each stretch of one mark cut in its middle where the whole is too long."""
    if len(lines) <= MOST_LINES:
        yield from lines
        return
    at = 0
    while at < len(lines):
        end = next((n for n in range(at, len(lines)) if lines[n].mark != lines[at].mark), len(lines))
        yield from _cut(lines[at:end], MOST_LINES // 4)
        at = end


def _cut(stretch: Sequence[Line], most: int) -> Iterator[Line]:
    if len(stretch) <= most:
        yield from stretch
        return
    yield from stretch[: most - 2]
    kind = {"-": "removed", "+": "added"}.get(stretch[0].mark, "the same")
    yield Line("…", f"{len(stretch) - most + 1:,} more lines {kind}")
    yield stretch[-1]


def _split(octets: bytes) -> list[bytes]:
    """Lines that end at LF alone: a bare CR is data, and shown."""
    lines = octets.split(b"\n")
    return [line + b"\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _ends_within_a_line(source: memoryview, edit: Edit) -> bool:
    """Whether the line after an edit is changed as well, since the edit leaves text before it."""
    before = edit.data.endswith(b"\n") if edit.data else _is_line_start(source, edit.start)
    return not (before and _is_line_start(source, edit.end))


def _is_line_start(source: memoryview, at: int) -> bool:
    return at == 0 or source[at - 1] == 0x0A


def _line_start(source: memoryview, at: int) -> int:
    """Where the line that holds the octet `at` begins."""
    step = 256
    while at > 0:
        low = max(0, at - step)
        found = bytes(source[low:at]).rfind(b"\n")
        if found >= 0:
            return low + found + 1
        at = low
    return 0


def _next_line(source: memoryview, at: int) -> int:
    """Where the line after the one that holds the octet `at` begins, or the end."""
    step = 256
    while at < len(source):
        found = bytes(source[at : at + step]).find(b"\n")
        if found >= 0:
            return at + found + 1
        at += step
    return len(source)

