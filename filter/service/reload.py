"""A reload: a new configuration, with the handlers as they are on disk now, on its way to be served.

It is read, tried in a process of its own, its sockets are opened, its workers started; when all of them accept
connections it takes over. Until then nothing has changed for anybody, and whatever fails on the way leaves
it at that.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Iterable

from ..config import Settings
from .crew import Crew
from .failure import EXPECTED, CannotStart, words
from .sockets import Sockets
from .trial import Trial


class Reload:
    """One reload, from SIGHUP to its success or failure. To be looked at until it is over."""

    def __init__(
        self, load: Callable[[], Settings], sockets: Sockets, hire: Callable[[Settings], Crew],
        strangers: Iterable[socket.socket],
    ) -> None:  # fmt: skip
        """`load` reads the configuration, `hire` makes its crew. `strangers` are as `Child` has them."""
        self.problem = ""
        """Why it came to nothing, in words."""
        self.crew: Crew | None = None
        self._sockets = sockets
        self._hire = hire
        self._opened: Collection[str] = ()
        try:
            self.settings = load()
            self.trial: Trial | None = Trial(self.settings, strangers)
        except EXPECTED as error:
            self.trial = None
            self.problem = words(error)

    @property
    def succeeded(self) -> bool:
        """Whether the new crew is ready to take over."""
        return not self.problem and self.crew is not None and self.crew.ready

    def look(self) -> None:
        """Do the next step, if it is time."""
        if self.trial is not None and self.trial.is_over():
            trial, self.trial = self.trial, None
            self._open(trial.outcome())
        elif self.crew is not None:
            self.crew.look()
            if self.crew.failed:
                self.give_up("a new worker ended before it was ready; the log says more")

    def give_up(self, why: str) -> None:
        """Let it come to nothing. Its crew, if there is one, is to be looked at until its workers are gone."""
        self.problem = why
        if self.trial is not None:
            self.trial.end()
            self.trial = None
        if self.crew is not None:
            self.crew.kill()
        self._sockets.remove(self._opened)

    def _open(self, problem: str) -> None:
        try:
            if problem:
                raise CannotStart(problem)
            self._opened = self._sockets.open(self.settings)
        except CannotStart as error:
            self.problem = words(error)
        else:
            self.crew = self._hire(self.settings)
