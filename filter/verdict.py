"""Verdicts: what a handler decides, and the one table from trouble to SMTP reply.

A verdict may be returned or raised, with one meaning. Verdicts derive from BaseException, so that a
handler's own `except Exception` does not swallow a refusal.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Reply:
    """An SMTP reply: code (RFC 5321), enhanced status (RFC 3463) or None, and text, lines parted by LF."""

    code: int
    status: str | None
    text: str

    def __str__(self) -> str:
        return " ".join(str(part) for part in (self.code, self.status, self.text) if part)

    @property
    def is_ok(self) -> bool:
        return 200 <= self.code < 300

    @property
    def is_temporary(self) -> bool:
        return 400 <= self.code < 500

    @property
    def is_permanent(self) -> bool:
        return 500 <= self.code < 600


OK: Final = Reply(250, "2.0.0", "Ok")
HANDLED: Final = Reply(250, "2.0.0", "Ok: handled by penstock")
HELD: Final = Reply(250, "2.0.0", "Ok: held for review")
DISCARDED: Final = Reply(250, "2.0.0", "Ok: discarded")
NO_SUCH_ADDRESS: Final = Reply(550, "5.1.1", "No such address here")
NOT_IN_THIS_STATE: Final = Reply(550, "5.7.1", "This address does not take your mail now")
HANDLER_FAILED: Final = Reply(451, "4.3.0", "A handler failed; the message is safe, try again later")
HANDLER_TOO_SLOW: Final = Reply(451, "4.3.0", "A handler took too long; the message is safe, try again later")
STORE_FAILED: Final = Reply(451, "4.3.0", "The store is out of reach; the message is safe, try again later")
STORE_BUSY: Final = Reply(451, "4.3.0", "This conversation is busy; try again later")
REINJECT_FAILED: Final = Reply(451, "4.4.1", "The mail system behind the filter is out of reach; try again later")
REINJECT_LOST: Final = Reply(451, "4.4.2", "The mail system behind the filter hung up; try again later")
NEEDS_PORT: Final = Reply(451, "4.3.0", "This message cannot be handled before the queue; try again later")
SOME_DEFERRED: Final = Reply(451, "4.3.0", "Some recipients could not be served now; try again later")


class Verdict(BaseException):
    """The decision about a message for the recipients of one run.

    `then` moves the conversation as well: a state function of the handler, or its name.
    """

    def __init__(self, *, then: Callable[..., Any] | str | None = None) -> None:
        super().__init__()
        self.then = then

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __str__(self) -> str:
        return type(self).__name__.lower()


class Accept(Verdict):
    """Pass the message on, with the edits made so far."""


class Discard(Verdict):
    """Drop the message without a word to its sender; `reason` goes to the log."""

    def __init__(self, reason: str = "", *, then: Callable[..., Any] | str | None = None) -> None:
        super().__init__(then=then)
        self.reason = reason

    def __str__(self) -> str:
        return f"discard: {self.reason}" if self.reason else "discard"


class Hold(Verdict):
    """Keep the message in penstock for a person to look at; `reason` is what they read."""

    def __init__(self, reason: str, *, then: Callable[..., Any] | str | None = None) -> None:
        super().__init__(then=then)
        self.reason = reason

    def __str__(self) -> str:
        return f"hold: {self.reason}"


class _Refusal(Verdict):
    _class: str

    def __init__(self, code: int, status: str, text: str, *, then: Callable[..., Any] | str | None = None) -> None:
        if not isinstance(code, int) or code // 100 != int(self._class):
            name, first = type(self).__name__, self._class
            raise ValueError(f"{name} needs a code from {first}00 to {first}99, not {code!r}")
        if not re.fullmatch(rf"{self._class}\.\d{{1,3}}\.\d{{1,3}}", status):
            raise ValueError(f"{type(self).__name__} needs an enhanced status like {self._class}.7.1, not {status!r}")
        super().__init__(then=then)
        self.reply = Reply(code, status, _reply_text(text))

    def __str__(self) -> str:
        return str(self.reply)


class Reject(_Refusal):
    """Refuse for good: `code` 500 to 599, `status` as RFC 3463 has it (`5.7.1`), `text` for the sender.

    Raises ValueError for a code or status of another class, and for a control character in the text.
    Lines of the text are parted by LF; what is not ASCII is shown as `?` (RFC 5321 section 4.2).
    """

    _class = "5"


class Defer(_Refusal):
    """Refuse for now: `code` 400 to 499, `status` like `4.7.1`. Nothing that the run did is kept."""

    _class = "4"


def _reply_text(text: str) -> str:
    if re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text):
        raise ValueError(f"a reply text may not hold a control character: {text!r}")
    return text.encode("ascii", "replace").decode("ascii").strip() or "Refused"
