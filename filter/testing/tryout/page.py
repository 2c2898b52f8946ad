"""What the try-out prints: a block for each case, and how to go on."""

from __future__ import annotations

import os
import sys
import textwrap
from pathlib import Path

from ...message import Message
from ..sink import Delivery
from ..site import Site
from .cases import Case
from .deeds import deeds
from .trial import Outcome, kind_of

WIDTH = 96
_DELIVERED = {"same": "octet for octet as it was sent", "rewritten": "rewritten", "letter": "a letter"}


def opening(site: Site) -> str:
    takes, back = site.postfix.smtp_port, site.postfix.reinject_port
    return (
        f"Postfix takes mail on 127.0.0.1:{takes}, and asks penstock as its milter before it queues it. Out of the\n"
        f"queue it hands mail to penstock's filter, takes it back on 127.0.0.1:{back}, and delivers it to a sink.\n"
        f"All of it in {site.folder}.\n"
    )


def block(number: int, case: Case, outcome: Outcome) -> str:
    """One case: what went in, what handlers did, what was delivered, and what is wrong with that."""
    origin = "from outside" if case.outside else "from this host"
    lines = [
        f"{_sign(not outcome.wrong)} {number}. {case.title}",
        _line("in", f'<{case.sender}> to <{outcome.recipient}>, {origin}: "{case.subject}"'),
        *(_line("did" if not at else "", deed) for at, deed in enumerate(outcome.did or ["nothing, it may pass"])),
        *([_line("told", outcome.refused)] if outcome.refused else _deliveries(case, outcome)),
        *(_line("WRONG", text) for text in outcome.wrong),
    ]
    return "\n".join(lines) + "\n"


def arrival(delivery: Delivery) -> str:
    """A message that came in while the try-out stays up."""
    subject = Message(delivery.content)["Subject"] or "(no subject)"
    return f'delivered  <{delivery.sender}> to <{", ".join(delivery.recipients)}>: "{subject}"'


def doings(log: str) -> list[str]:
    """What handlers did meanwhile."""
    return [f"handled    {deed}" for deed in deeds(log)]


def ending(site: Site, wrong: int, total: int) -> str:
    """The verdict on all cases."""
    if not wrong:
        return f"{_sign(True)} All {total} came out as they should."
    return f"{_sign(False)} {wrong} of {total} came out wrong; the logs are {site.log_file} and {site.postfix.log_file}"


def how_to_go_on(site: Site) -> str:
    """What to type next."""
    sudo = "sudo " if "SUDO_USER" in os.environ else ""
    server = f"swaks --server 127.0.0.1:{site.postfix.outside_port}"
    explain = f"{sudo}{Path(sys.executable).with_name('penstock')} explain --config {site.configuration}"
    return f"""
It stays up for you, and shows here what comes in. In another terminal:

  write to Ann, who is away        {server} --from you@example.test --to ann@office.test
  send a program                   {server} --from you@example.test --to dan@office.test \\
                                     --attach-name run.exe --attach @/bin/true
  join the tea list                {server} --from you@example.test --to tea-join@{site.owned[0]}
  what would happen to a message   {explain} \\
                                     --from you@example.test --to ann@office.test {site.folder}/sent/2.eml
  what was delivered               ls {site.folder}/sink
  the configuration                less {site.configuration}
  the logs                         tail -f {site.log_file} {site.postfix.log_file}

Ctrl-C ends it and removes {site.folder}.
"""


def _deliveries(case: Case, outcome: Outcome) -> list[str]:
    told = [_delivery(case, delivery, kind_of(delivery, outcome.sent)) for delivery in outcome.arrived]
    return [_line("" if at else "out", text) for at, text in enumerate(told or ["nothing"])]


def _delivery(case: Case, delivery: Delivery, kind: str) -> str:
    subject = f' "{Message(delivery.content)["Subject"]}"' if kind == "letter" else ""
    words = [expected.has for expected in case.arrives if expected.kind == kind and expected.has]
    found = [f', with the words "{text}"' for text in words if text.encode() in delivery.content]
    return f"to <{', '.join(delivery.recipients)}>, {_DELIVERED[kind]}{subject}{''.join(found)}"


def _line(label: str, text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=f"     {label:<6}", subsequent_indent=" " * 11)


def _sign(good: bool) -> str:
    sign, colour = ("✓", 32) if good else ("✗", 31)
    return f"\x1b[{colour}m{sign}\x1b[0m" if sys.stdout.isatty() else sign
