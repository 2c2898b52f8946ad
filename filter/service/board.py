"""The board: what workers tell of themselves, in memory that all processes share.

A worker writes its figures once a second; nobody waits for anybody, and a message costs nothing. The time
of the last writing is the worker's heartbeat: a process whose interpreter is held writes no more.
"""

from __future__ import annotations

import mmap
import time
from dataclasses import dataclass
from typing import Final

PLACES: Final = 1024

_FIELDS: Final = 4
_BEAT, _MESSAGES, _SESSIONS, _ABANDONED = range(_FIELDS)


@dataclass(frozen=True, slots=True)
class Figures:
    """What a worker has done so far, and has under way: sessions, and runs that were given up but have not ended."""

    messages: int = 0
    sessions: int = 0
    abandoned: int = 0


class Board:
    """Places for the figures of workers. To be made before the first fork."""

    def __init__(self) -> None:
        self._cells = memoryview(mmap.mmap(-1, PLACES * _FIELDS * 8)).cast("q")
        self._free = list(range(PLACES - 1, -1, -1))

    def place(self) -> Place:
        """A free place, beginning with a heartbeat. For the supervisor."""
        number = self._free.pop()
        place = Place(self._cells[number * _FIELDS : (number + 1) * _FIELDS], number)
        place.write(Figures())
        return place

    def give_back(self, place: Place) -> None:
        """Let the next worker have the place of one that is gone."""
        self._free.append(place.number)


class Place:
    """One worker's place."""

    def __init__(self, cells: memoryview[int], number: int) -> None:
        self.number = number
        self._cells = cells

    def write(self, figures: Figures) -> None:
        """Give a sign of life, with the figures as they are."""
        self._cells[_MESSAGES] = figures.messages
        self._cells[_SESSIONS] = figures.sessions
        self._cells[_ABANDONED] = figures.abandoned
        self._cells[_BEAT] = time.monotonic_ns()

    @property
    def figures(self) -> Figures:
        """The figures last written."""
        return Figures(*self._cells[_MESSAGES:])

    @property
    def silent_for(self) -> float:
        """Seconds since the last sign of life."""
        return (time.monotonic_ns() - self._cells[_BEAT]) / 1e9
