"""The server: libmilter, by way of pymilter's low-level module `milter`, which nothing else imports.

There is one libmilter in a process, with one socket, one set of callbacks and a `main` that runs once. It reads from
Postfix in threads of its own and calls back. It wants to be treated with care:

* `open` may be called before a fork; then each child has its own `start` on the shared socket.
* libmilter blocks the signals that end a process in the thread that runs it, and waits for them in another: so it runs
  in a thread of its own, and signals stay Python's.
* When libmilter stops it waits for no session, and frees what those in progress still use. So `stop` first lets it
  listen where nobody calls, then waits for the sessions, and stops it last.
* A packet may be larger than libmilter takes by default: a field of 102,400 octets is within Postfix's limit, and
  its message would come again for ever. The limit is raised by a function that pymilter does not know.
* What pymilter cannot decode raises before we are called: the name in HELO, if it is no UTF-8. Its policy for
  exceptions answers 451, which Postfix says to the next MAIL, and the log has a line about it.
* A step whose answer Postfix does not wait for must not have one, whatever happens in it: libmilter would lose its
  place in the conversation, and Postfix would wait for 300 seconds. Its faults are told at the end of the message.
  (An MTA that sends a last piece of the body with the end of a message would get no answer. Postfix does not.)
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Final

import milter

from ..filter.judgement import Wants
from .answers import FAULT, refuse
from .context import Answer
from .listening import Listening
from .session import Door, Session

log = logging.getLogger("penstock.milter")

LARGEST_PACKET: Final = 16 * 1024 * 1024
"""Octets: the largest header field, whatever `header_size_limit` of Postfix says."""

_NAME: Final = "penstock"  # pymilter keeps a pointer into this very object
_BACKLOG: Final = 512
_BREATH: Final = 0.2
_NOREPLY: Final = int(Answer.NOREPLY)
_ACTIONS: Final = (
    milter.ADDHDRS | milter.CHGHDRS | milter.CHGBODY | milter.CHGFROM | milter.ADDRCPT | milter.ADDRCPT_PAR
    | milter.DELRCPT | milter.QUARANTINE | milter.SETSYMLIST
)  # fmt: skip
_STEPS: Final = (
    milter.P_HDR_LEADSPC | milter.P_NODATA | milter.P_NOEOH | milter.P_NOUNKNOWN
    | milter.P_NR_CONN | milter.P_NR_MAIL | milter.P_NR_HDR | milter.P_NR_BODY
)  # fmt: skip
_MACROS: Final = {
    milter.M_CONNECT: "j",
    milter.M_HELO: "{tls_version} {cipher}",
    milter.M_ENVFROM: "{auth_type} {auth_authen}",
    milter.M_ENVRCPT: "i",
    milter.M_EOM: "i",
}


class MilterServer:
    """The milter of this process: there can be only one, once."""

    def __init__(self, address: str) -> None:
        """`address` is where to listen: `unix:/path`, `host:port` or `[v6]:port`."""
        self._address = address
        self._connections = 0
        self._listening: Listening | None = None
        self._door: Door | None = None
        self._sessions: set[Session] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Bind the socket and listen; nobody is served before `start`. Raises OSError."""
        _raise_packet_limit()
        milter.set_flags(_ACTIONS)
        milter.set_exception_policy(milter.TEMPFAIL)
        milter.set_connect_callback(_quiet(lambda session, context, name, _, at: session.connect(context, name, at)))
        milter.set_helo_callback(_helo)
        milter.set_envfrom_callback(_quiet(lambda session, context, *words: session.mail(*words)))
        milter.set_envrcpt_callback(_rcpt)
        milter.set_header_callback(_quiet(lambda session, context, *words: session.header(*words)))
        milter.set_body_callback(_quiet(lambda session, context, *words: session.body(*words)))
        milter.set_eom_callback(_end)
        milter.set_abort_callback(_abort)
        milter.set_close_callback(self._close)
        milter.register(_NAME, negotiate=self._negotiate)
        milter.setbacklog(_BACKLOG)
        self._listening = Listening(self._address, _open_socket)

    @property
    def sessions(self) -> int:
        """How many connections there are."""
        return len(self._sessions)

    @property
    def listening(self) -> Listening:
        """The socket; RuntimeError before `open`."""
        if self._listening is None:
            raise RuntimeError("the milter is not open")
        return self._listening

    def start(self, door: Door, connections: int = 1000, timeout: float = 7200.0) -> None:
        """Serve in threads, so many connections at most; one that is silent for `timeout` seconds is closed."""
        self._door = door
        self._connections = connections
        milter.settimeout(int(timeout))
        self._thread = threading.Thread(target=self._serve, name="penstock-libmilter", daemon=True)
        self._thread.start()

    def stop(self, drain_seconds: float = 30.0) -> bool:
        """Take no more connections, let those there are end for so long, and stop. Returns whether all ended."""
        if self._thread is None:
            return True
        self.listening.divert()
        with self._changed:
            drained = self._changed.wait_for(lambda: not self._sessions, drain_seconds)
        if not drained:
            log.warning("event=broken-off milter-sessions=%d", len(self._sessions))
        threading.Thread(target=milter.stop, name="penstock-libmilter-stop", daemon=True).start()
        while self._thread.is_alive():
            self.listening.wake()
            self._thread.join(_BREATH)
        self._thread = None
        return drained

    def close(self) -> None:
        """Remove the file of a unix socket: in the process that opened it, once all have stopped."""
        self.listening.remove()

    def _serve(self) -> None:
        with _exceptions_in_the_log():
            milter.main()

    def _negotiate(self, context: Any, options: list[int]) -> int:
        """Agree on what is sent and answered. `options` are actions and steps offered, and in place those wanted."""
        door = self._door
        if door is None or len(self._sessions) >= self._connections:
            log.warning("event=too-many-connections listener=%s limit=%d", self._address, self._connections)
            return int(Answer.REJECT)
        actions, steps = options[:2]
        options[0] = actions & _ACTIONS
        options[1] = steps & (_STEPS | _left_out(door.core.wants))
        if actions & milter.SETSYMLIST:
            for stage, names in _MACROS.items():
                context.setsymlist(stage, names)
        session = Session(door, spaced=bool(steps & milter.P_HDR_LEADSPC))
        context.setpriv(session)
        with self._changed:
            self._sessions.add(session)
        return int(Answer.CONTINUE)

    def _close(self, context: Any) -> int:
        session = context.setpriv(None)
        with self._changed:
            self._sessions.discard(session)
            self._changed.notify_all()
        return int(Answer.CONTINUE)


def _helo(context: Any, name: str) -> int:
    context.getpriv().helo(name)
    return int(Answer.CONTINUE)


def _rcpt(context: Any, *words: bytes) -> int:
    session: Session = context.getpriv()
    try:
        return session.rcpt(context, *words)
    except Exception:
        log.exception("event=fault at=RCPT")
        return refuse(context, FAULT) if session.answers_rcpt else session.spoil()


def _end(context: Any) -> int:
    session: Session = context.getpriv()
    try:
        return session.end(context)
    except milter.error as error:
        log.error("event=operation-failed reason=%r Postfix is gone, or does not grant it", str(error))
    except Exception:
        log.exception("event=fault at=end-of-message")
    return refuse(context, FAULT)


def _abort(context: Any) -> int:
    context.getpriv().reset()
    return int(Answer.CONTINUE)


def _quiet(step: Callable[..., None]) -> Callable[..., int]:
    """A callback to which Postfix awaits no answer."""

    def callback(context: Any, *words: Any) -> int:
        session: Session = context.getpriv()
        try:
            step(session, context, *words)
        except Exception:
            log.exception("event=fault at=milter")
            session.spoil()
        return _NOREPLY

    return callback


def _left_out(wants: Wants) -> int:
    """The steps that are of no use to the handlers."""
    steps = 0 if wants.rcpt else milter.P_NR_RCPT
    steps |= 0 if wants.header else milter.P_NOHDRS
    return int(steps | (0 if wants.body else milter.P_NOBODY))


def _open_socket(spelling: str) -> None:
    try:
        milter.setconn(spelling)
        milter.opensocket(False)
    except milter.error as error:
        raise OSError(f"{error}; libmilter says why in the system's log") from error


def _raise_packet_limit() -> None:
    """`smfi_setmaxdatasize`, found through pymilter's own hold of libmilter."""
    libmilter = ctypes.CDLL(milter.__file__)
    libmilter.smfi_setmaxdatasize.argtypes = [ctypes.c_size_t]
    libmilter.smfi_setmaxdatasize.restype = ctypes.c_size_t
    libmilter.smfi_setmaxdatasize(LARGEST_PACKET)


@contextlib.contextmanager
def _exceptions_in_the_log() -> Iterator[None]:
    """What pymilter cannot hand over it prints by `sys.excepthook`: a line in the log instead."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        log.error("event=unreadable error=%r", str(error), exc_info=(kind, error, trace) if trace else None)

    before, sys.excepthook = sys.excepthook, hook
    try:
        yield
    finally:
        sys.excepthook = before
