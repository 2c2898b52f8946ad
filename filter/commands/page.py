"""The explanation as a page to read: who wrote to whom, what ran, what would come of it.

Colours are for terminals only (click leaves them out elsewhere) and say nothing that the words do not.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

import click

from .difference import Hunk
from .explained import Kept, Match, Moved, Ran, Report, Result, Told, Written
from .printable import cut, printable
from .tree import complaints, drawn, in_short

MOST_TEXT: Final = 30
"""Lines shown of a letter's text."""

_LABEL: Final = 10
_FATES: Final = {
    "passes": ("green", "passes: it goes back to Postfix"),
    "consumed": ("green", "consumed: the handler has taken it"),
    "discarded": ("yellow", "discarded"),
    "held": ("yellow", "held for a person"),
    "deferred": ("yellow", "deferred: Postfix keeps it and comes again"),
    "rejected": ("red", "rejected"),
    "refused": ("red", "refused"),
}
_DOORS: Final = {"filter": "", "milter": ", before the queue", "preview": ", foreseen before the queue"}
_MARKS: Final = {"+": "green", "-": "red", "…": "bright_black", "\\": "bright_black"}


def page(report: Report, width: int) -> Iterator[str]:
    """The lines of the page, at most `width` wide where they can be broken."""
    yield click.style("What would happen to", bold=True)
    yield from _message(report, width)
    yield from _form(report, width)
    if report.whole:
        yield from _heading("The message as a whole", width)
        yield from _steps(report.whole, width)
    for told in report.recipients:
        yield from _recipient(told, width)
    if report.one_reply:
        yield from ("", *_field("reply", f"{report.one_reply} (one for all, over SMTP)", width))
    yield from _several(report.moves, "Conversations", width, _move)
    if report.queued:
        yield from _result("In the queue, as the milter leaves it", report.queued, report.size, width)
    size = report.queued.size if report.queued else report.size
    for result in report.results:
        yield from _result(f"Result for {', '.join(result.recipients)}", result, size, width)
    for number, letter in enumerate(report.letters, 1):
        yield from _heading(f"Letter {number} of {len(report.letters)}, by {letter.handler}", width)
        yield from _letter(letter, width)
    yield from _several(report.held, "Held", width, _held)
    yield from ("", click.style("Nothing of this was kept or sent.", dim=True))


def _message(report: Report, width: int) -> Iterator[str]:
    envelope = report.envelope
    client: dict[str, Any] = envelope["client"]
    path = f"<{envelope['reverse_path']}>" if envelope["reverse_path"] else "<>, the null reverse-path"
    verified = f"verified ({report.verified})" if report.verified else "not verified, so not told of a refusal"
    alone = f", {in_short(replace(report.parts[0], size=None))}" if len(report.parts) == 1 else ""
    yield from _field("message", f"{report.size:,} octets{alone}", width)
    yield from _field("sender", f"{path}, {verified}", width)
    if client:
        yield from _field("client", ", ".join(f"{name} {value}" for name, value in client.items()), width)


def _form(report: Report, width: int) -> Iterator[str]:
    """The tree of parts, where there is more than one, and the defects, where there are any."""
    if len(report.parts) > 1:
        yield from _heading(f"Its {len(report.parts):,} parts", width)
        yield from drawn(report.parts, width)
    if report.defects:
        yield from _heading("Its defects", width)
        yield from complaints([(defect["start"], defect["text"]) for defect in report.defects], width)


def _recipient(told: Told, width: int) -> Iterator[str]:
    yield from _heading(f"<{told.address}>", width)
    for match in told.matches:
        yield from _match(match, width)
    if not told.matches and told.fate != "refused":
        yield from _field("route", "no route matches this address", width)
    yield from _steps(told.steps, width)
    colour, words = _FATES.get(told.fate, ("", told.fate))
    reason = f": {told.reason}" if told.reason else ""
    first, *more = _field("outcome", words + reason, width)
    yield first.replace(words, click.style(words, fg=colour or None, bold=True), 1)
    yield from more
    after = ", once Postfix has taken it back" if told.fate == "passes" else ""
    yield from _field("reply", told.reply + after, width)
    if told.traceback:
        yield from (click.style(f"    {printable(line)}", fg="red") for line in told.traceback.splitlines())


def _match(match: Match, width: int) -> Iterator[str]:
    sees, takes = f"{match.handler}.{match.function} sees it", f"{match.handler} takes it as {match.pattern}"
    blanks = "  ".join(f"{name}={value}" for name, value in match.blanks.items())
    yield from _field("route", sees if match.function else takes, width)
    if blanks:
        yield from _field("", blanks, width)


def _steps(steps: Iterable[Ran], width: int) -> Iterator[str]:
    for number, step in enumerate(steps, 1):
        state = f"{step.before} → {step.after}" if step.before != step.after else f"stays in {step.before}"
        name = f"{step.handler}.{step.function}" if step.function else f"{step.handler} (not run)"
        parts = [name.ljust(24), *([state.ljust(18)] if step.before else []), step.verdict + _DOORS[step.door]]
        yield from _field(f"step {number}", "  ".join(parts), width)


def _move(moved: Moved) -> str:
    key = ", ".join(part for part in (moved.sender, moved.resource) if part) or "one for all"
    until = f", deadline {moved.deadline:%Y-%m-%d %H:%M %Z}" if moved.deadline else ""
    return f"{moved.handler} [{key}]: {moved.before} → {moved.after}{until}"


def _held(kept: Kept) -> str:
    until = f" until {kept.expires:%Y-%m-%d %H:%M %Z}" if kept.expires else ""
    return f"for {', '.join(kept.recipients)}{until}: {kept.reason}"


def _result(title: str, result: Result, size: int, width: int) -> Iterator[str]:
    yield from _heading(title, width)
    if not result.edits:
        yield f"  unchanged, byte for byte ({size:,} octets)"
        return
    yield f"  {size:,} octets become {result.size:,}"
    for hunk in result.hunks:
        yield from _hunk(hunk, width)


def _hunk(hunk: Hunk, width: int) -> Iterator[str]:
    place = f"{hunk.where}, octets {hunk.start:,}–{hunk.end:,} become {hunk.new_start:,}–{hunk.new_end:,}"
    yield click.style(f"  @@ {place} @@", fg="cyan")
    for line in hunk.lines:
        yield click.style(f"  {line.mark} {cut(line.text, width - 4)}", fg=_MARKS.get(line.mark))


def _letter(letter: Written, width: int) -> Iterator[str]:
    verp = " (a return path for each)" if letter.verp else ""
    recipients = ", ".join(f"<{address}>" for address in letter.recipients)
    yield from _field("envelope", f"<{letter.sender}> to {recipients}{verp}", width)
    lines = [f"{name}: {value}" for name, value in letter.headers]
    text = letter.plain if letter.plain is not None else letter.html
    lines += ["", *(text or "").splitlines()[:MOST_TEXT]]
    lines += _rest(letter)
    for line in lines:
        broken = textwrap.wrap(printable(line), width - 4, drop_whitespace=False) or [""]
        yield from (f"  │ {piece}".rstrip() for piece in broken)


def _rest(letter: Written) -> Iterator[str]:
    text = letter.plain if letter.plain is not None else letter.html
    more = len((text or "").splitlines()) - MOST_TEXT
    if more > 0:
        yield f"… {more:,} more lines"
    if letter.plain is not None and letter.html is not None:
        yield f"… and the same in HTML, {len(letter.html):,} characters"


def _several(items: tuple[Any, ...], title: str, width: int, say: Any) -> Iterator[str]:
    if items:
        yield from _heading(title, width)
        for item in items:
            yield from textwrap.wrap(printable(say(item)), width, initial_indent="  ", subsequent_indent="    ")


def _heading(text: str, width: int) -> Iterator[str]:
    yield ""
    yield click.style(cut(printable(text), width), bold=True)


def _field(label: str, value: str, width: int) -> Iterator[str]:
    start = "  " + label.ljust(_LABEL)
    lines = textwrap.wrap(printable(value), max(20, width - len(start)), break_on_hyphens=False) or [""]
    yield start + lines[0]
    yield from (" " * len(start) + line for line in lines[1:])
