"""`penstock capture`: keep the mail that Postfix hands to a content filter, for tests."""

from __future__ import annotations

import contextlib
import errno
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import Final

import click

from ..port import Reinjector, Server
from ..submission import Submission
from ..verdict import OK, Reply
from .keeper import Keeper, Kept
from .logs import log_to_stderr
from .printable import printable
from .program import Trouble

News = SimpleQueue["tuple[Kept, Sequence[Reply]] | None"]
"""What the port's threads tell the one that prints; None is the end."""

SWALLOWS: Final = "! Mail ends here: it is answered with 250 and goes nowhere; --reinject passes it on."


@click.command(short_help="Keep what arrives as .eml files, for tests.")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR")
@click.option(
    "--listen", required=True, metavar="ADDRESS",
    help="Where Postfix finds it: unix:/path (which speaks LMTP), host:port or [v6]:port.",
)
@click.option("--reinject", metavar="ADDRESS", help="Pass mail on to here, by SMTP; else it ends in DIR.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after so many messages.")
def capture(folder: Path, listen: str, reinject: str | None, count: int | None) -> None:
    """Keep what arrives as .eml files, each with its envelope, for tests.

    Postfix's content_filter must name the address; no configuration is read and no handler runs. Each message is kept
    in DIR, which is made if need be, as NUMBER-NAME.eml, octet for octet, and its envelope (addresses, DSN parameters,
    client) as NUMBER-NAME.eml.json beside it. Both are on the disk before Postfix gets its 250. A test reads them with
    penstock.eml("NUMBER-NAME.eml").

    Without --reinject it swallows mail: nothing that it took is delivered. With it mail goes on unchanged, and what the
    mail system there says is the answer; mail that it defers comes again, and is kept again.

    A line is printed for each message. SIGTERM and SIGINT end it, as --count does: what is under way is finished, for
    at most 30 seconds, and Postfix keeps the rest.

    Exit status: 0 after an orderly end, 1 when it could not start, 2 for a wrong call.
    """
    try:
        way_back = Reinjector(reinject) if reinject else None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--reinject") from error
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    news: News = SimpleQueue()
    keeper = Keeper(folder, count, lambda kept, replies: news.put((kept, replies)))
    with _ended_by_signals(news), _serving(Server([listen], keeper, way_back or _Nowhere()), listen) as where:
        log_to_stderr("warning")
        click.echo(f"Listening on {where}; mail is kept in {folder} and {_fate(reinject)}.")
        if way_back is None:
            click.secho(SWALLOWS, fg="yellow")
        _show(news, count)
    if way_back is not None:
        way_back.close()


class _Nowhere:
    """The way back of mail that goes nowhere."""

    def send(self, submission: Submission) -> Sequence[Reply]:
        return [OK] * len(submission.envelope.recipients)


@contextlib.contextmanager
def _serving(server: Server, listen: str) -> Iterator[str]:
    """Serve; gives the addresses that are listened on. Raises Trouble or click.BadParameter where none can be."""
    try:
        server.start()
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--listen") from error
    except OSError as error:
        hint = "; does something else listen there?" if error.errno == errno.EADDRINUSE else ""
        raise Trouble(f"cannot listen on {listen}: {error.strerror or error}{hint}") from error
    try:
        yield ", ".join(str(listener.endpoint) for listener in server.listeners)
    finally:
        server.stop()


@contextlib.contextmanager
def _ended_by_signals(news: News) -> Iterator[None]:
    def end(number: int, frame: FrameType | None) -> None:
        news.put(None)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _show(news: News, count: int | None) -> None:
    """Print a line for each message, until there were so many, or the end is told."""
    shown = 0
    while shown != count and (told := news.get()) is not None:
        click.echo(_line(*told))
        shown += 1


def _line(kept: Kept, replies: Sequence[Reply]) -> str:
    assert kept.file is not None
    envelope = kept.arrival.envelope
    recipients = ", ".join(f"<{recipient.address}>" for recipient in envelope.recipients)
    told = "".join(f"; {reply}" for reply in dict.fromkeys(replies) if not reply.is_ok)
    octets = kept.arrival.message.size
    return printable(f"{kept.file.name}  <{envelope.reverse_path}> to {recipients}, {octets} octets{told}")


def _fate(reinject: str | None) -> str:
    return f"passed on to {reinject}" if reinject else "swallowed"
