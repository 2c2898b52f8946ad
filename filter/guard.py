"""The guard against answering machines: which mail is automatic, and how ours says that it is.

Two programs that answer each other never stop. RFC 3834 has the rules: answer no automatic mail, mark
one's own as automatic, and answer nobody too often. What a sender does not say is told by the habits of older
programs: Precedence, list headers, addresses that no person writes from. When in doubt mail is
automatic, since an answer too few does less harm than one too many.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Final, Protocol

from .address import split
from .envelope import Envelope
from .message import Message

LOOP_MARK: Final = "X-Penstock-Loop"
"""On every letter that penstock writes by itself: the mark that survives a relay which drops Auto-Submitted."""

HOPS: Final = "X-Penstock-Hops"
"""How often a message, or the one that it answers, has left penstock."""

MOST_HOPS: Final = 999
"""What `hops` gives at most, so that no number in a header can be too large to work with."""


class Counter(Protocol):
    """Where answers are counted: the ledger."""

    def add(self, name: str, n: int = 1, window: str | timedelta | None = None) -> int: ...


class Answerable(Protocol):
    """What the guard needs to know of a `Mail`."""

    @property
    def envelope(self) -> Envelope: ...

    @property
    def message(self) -> Message: ...

    @property
    def sender(self) -> str: ...

    @property
    def ledger(self) -> Counter: ...


def may_auto_reply(mail: Answerable, *, cap: int = 10, period: timedelta = timedelta(days=1)) -> bool:
    """Whether a program may answer this mail: a person wrote it, and had at most `cap` answers in the period.

    Asking counts as answering, so ask once, and last.
    """
    if automatic(mail.message, mail.envelope.reverse_path):
        return False
    return mail.ledger.add(f"auto-reply to {mail.sender}", 1, period) <= cap


def automatic(message: Message, reverse_path: str) -> str | None:
    """Why this mail must not be answered by a program, in words for the log; None if a person wrote it."""
    return next(_reasons(message, reverse_path), None)


def automatic_headers(original: Message) -> list[tuple[str, str]]:
    """The fields of a program's answer (RFC 3834 section 3.1): the marks, and its place in the thread.

    Identifiers that no header can hold are left out, and the middle of a long thread.
    """
    own = _sound(original.ids("Message-ID"))[:1]
    thread = _sound(original.ids("References")) or _sound(original.ids("In-Reply-To"))[:1]
    thread = [known for known in thread if known not in own]
    if len(thread) > _LONGEST_THREAD:
        thread = thread[:1] + thread[1 - _LONGEST_THREAD :]
    fields = [("Auto-Submitted", "auto-replied"), (LOOP_MARK, "yes")]
    fields += [("In-Reply-To", own[0])] if own else []
    return fields + ([("References", " ".join(thread + own))] if thread or own else [])


def generated_headers() -> list[tuple[str, str]]:
    """The fields of a letter that a program writes unasked (RFC 3834 section 5.1)."""
    return [("Auto-Submitted", "auto-generated"), (LOOP_MARK, "yes")]


def hops(message: Message) -> int:
    """How often the message has left penstock: the largest number that it claims, at most `MOST_HOPS`."""
    claims = [value.strip() for value in message.get_all(HOPS)]
    return min(MOST_HOPS, max((int(claim[:9]) for claim in claims if _NUMBER.fullmatch(claim)), default=0))


def _reasons(message: Message, reverse_path: str) -> Iterator[str]:
    if not reverse_path:
        yield "the null reverse-path"
    local = split(reverse_path)[0].strip('"')
    if _NOBODY.fullmatch(local):
        yield f"the reverse-path {reverse_path}"
    yield from (f"the author {author.addr}" for author in message.addresses("From") if _NOBODY.fullmatch(author.local))
    for name, harmless in _TELLING.items():
        for value in message.get_all(name):
            word = _COMMENT.sub("", value.partition(";")[0]).strip().lower()
            if not harmless.fullmatch(word):
                yield f"{name}: {word[:40]}"
    if LOOP_MARK in message:
        yield f"our own mark {LOOP_MARK}"
    yield from (f"the field {name}" for name in message if name.lower().startswith("list-"))
    if message.content_type == "multipart/report":
        yield "a report"


def _sound(ids: list[str]) -> list[str]:
    return [known for known in ids if _ID.fullmatch(known)]


_ID: Final = re.compile(r"<[!-~]{1,900}>")
_LONGEST_THREAD: Final = 20
_NUMBER: Final = re.compile(r"[0-9]+", re.ASCII)
_COMMENT: Final = re.compile(r"\([^()]*\)")
_NOBODY: Final = re.compile(
    r"mailer-daemon|postmaster|listserv|majordomo|(?:do[-_.]?)?not?[-_.]?reply(?:[-_.+].*)?|owner-.*|.*-request"
    r"|(?:.*-)?bounces?(?:[-+=].*)?",
    re.IGNORECASE | re.DOTALL,
)
_TELLING: Final = {
    "Auto-Submitted": re.compile(r"no"),
    "Precedence": re.compile(r"(?!(?:bulk|junk|list|auto[-_]reply)\b).*", re.DOTALL),
    "X-Auto-Response-Suppress": re.compile(r"none"),
    "X-Autoreply": re.compile(r"no"),
    "X-Autorespond": re.compile(r"no"),
}
"""Fields that tell a program's mail, each with the values that do not."""
