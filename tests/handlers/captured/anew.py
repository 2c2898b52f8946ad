"""How the mail in this folder was captured, and how to do it again: `python tests/handlers/captured/anew.py`, as root.

Each message goes into a private Postfix by the way that it says, and what Postfix then hands to its content filter is
kept by `penstock capture`. A live test does the same, and compares.
"""

from __future__ import annotations

import base64
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from penstock.filter.testing.site import penstock, post, smtp_session
from penstock.postfix.private import PrivatePostfix, free_port, greets, until

ANN: Final = "ann@example.org"
BOB: Final = "bob@example.com"
EVE: Final = "eve@example.net"


@dataclass(frozen=True)
class Case:
    """A message and its envelope, and the way in: by SMTP as one of ours or as a stranger, or by sendmail(1)."""

    name: str
    sender: str
    to: Sequence[str]
    content: bytes
    way: Literal["ours", "stranger", "pickup"] = "ours"
    mail: Sequence[str] = ()
    rcpt: Sequence[str] = ()


def cases() -> Iterator[Case]:
    """Everything that is captured here. Who is not Ann comes from outside, who writes to tea@ knows the list."""
    yield Case("lunch", BOB, [ANN], _letter(BOB, ANN, "Lunch on Friday?", "At noon?"))
    yield Case("three", BOB, [ANN, "carol@example.org", "dora@example.org"], _letter(BOB, ANN, "To all", "Hello!"))
    offer = _letter(EVE, ANN, "Buy now", "Cheap!", more=["X-Mailer: Bulk 3.1", "X-Spam-Flag: YES"])
    yield Case("offer", EVE, [ANN], offer, "stranger")
    yield Case("invoice", "billing@example.com", [ANN], _invoice(), "stranger")
    away = ["Auto-Submitted: auto-replied", "In-Reply-To: <7@example.org>"]
    vacation = _letter("carol@example.com", ANN, "Out of office", "I am away until Monday.", more=away)
    yield Case("vacation", "carol@example.com", [ANN], vacation, "stranger")
    marks = [f"Cc: {ANN}", "List-Id: Tea <tea.lists.test>", "List-Post: <mailto:tea@lists.test>", "Precedence: list"]
    listed = _letter(BOB, "tea@lists.test", "[tea] Darjeeling", "First flush is here.", more=marks)
    yield Case("list-post", f"tea-bounces+{ANN.replace('@', '=')}@lists.test", [ANN], listed, "stranger")
    latin = ["MIME-Version: 1.0", "Content-Type: text/plain; charset=iso-8859-1", "Content-Transfer-Encoding: 8bit"]
    greeting = _letter(BOB, ANN, "Greetings", "Grüße, naïve Ännchen", more=latin).decode().encode("latin-1")
    yield Case("eight-bit", BOB, [ANN], greeting, mail=["BODY=8BITMIME"])
    joerg, aennchen = "jörg@bücher.example", "ännchen@example.org"
    everywhere = _letter(joerg, aennchen, "Grüße", "日本からも")
    yield Case("international", joerg, [aennchen], everywhere, mail=["SMTPUTF8", "BODY=8BITMIME"])
    notify = ["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;Ann+2BOld@example.org"]
    contract = _letter(BOB, ANN, "The contract", "Tell me when it is there.")
    yield Case("notify", BOB, [ANN], contract, mail=["RET=HDRS", "ENVID=QQ+2B314"], rcpt=notify)
    yield Case("bounce", "", [ANN], _bounce(), "stranger")
    yield Case("pickup", "dora@example.org", [ANN], _letter("dora@example.org", ANN, "From the shell", "Hi."), "pickup")
    yield Case("join", ANN, ["tea-join@lists.test"], _letter(ANN, "tea-join@lists.test", "hello", "let me in"))


def capture(folder: Path, *wanted: Case) -> None:
    """Keep in `folder` what a private Postfix hands to its filter of these cases: NAME.eml and NAME.eml.json."""
    with _postfix() as postfix, tempfile.TemporaryDirectory(prefix="penstock-captured-") as place:
        listen, count = f"unix:{postfix.socket_path}", str(len(wanted))
        command = [*penstock(), "capture", place, "--listen", listen, "--count", count]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            try:
                until(lambda: greets(socket.AF_UNIX, str(postfix.socket_path)), 20, lambda: "nobody listens")
                for number, case in enumerate(wanted, 1):
                    _submit(postfix, case)
                    _await(Path(place), number, postfix)
                process.wait(60)
            finally:
                process.kill()
        for case, file in zip(wanted, _captured(Path(place)), strict=True):
            shutil.copyfile(file, folder / f"{case.name}.eml")
            shutil.copyfile(f"{file}.json", folder / f"{case.name}.eml.json")


@contextmanager
def _postfix() -> Iterator[PrivatePostfix]:
    with tempfile.TemporaryDirectory(prefix="penstock-live-") as place:
        Path(place).chmod(0o755)  # user postfix must pass
        with PrivatePostfix(Path(place), sink=f"127.0.0.1:{free_port()}") as postfix:  # nothing comes so far
            yield postfix


def _submit(postfix: PrivatePostfix, case: Case) -> None:
    if case.way == "pickup":
        command = ["sendmail", "-C", str(postfix.config_directory), "-i", "-f", case.sender, "--", *case.to]
        subprocess.run(command, input=case.content.replace(b"\r\n", b"\n"), timeout=60, check=True)
        return
    stranger = case.way == "stranger"
    with smtp_session(postfix.outside_port if stranger else postfix.smtp_port, stranger=stranger) as smtp:
        post(smtp, case.sender, case.to, case.content, case.mail, case.rcpt)


def _await(place: Path, number: int, postfix: PrivatePostfix) -> None:
    until(lambda: len(_captured(place)) == number, 30, lambda: f"message {number} does not come\n{postfix.log_end()}")


def _captured(place: Path) -> list[Path]:
    return sorted(place.glob("[0-9]*.eml"))


def _letter(sender: str, to: str, subject: str, *lines: str, more: Sequence[str] = ()) -> bytes:
    name = "".join(character for character in subject.lower() if "a" <= character <= "z")
    header = [f"From: {sender}", f"To: {to}", f"Subject: {subject}", "Date: Mon, 05 Jan 2026 10:00:00 +0000"]
    return "".join(f"{line}\r\n" for line in (*header, f"Message-ID: <{name}@example.com>", *more, "", *lines)).encode()


def _invoice() -> bytes:
    """A program that would pass for a PDF, beside something that is one."""
    program = base64.encodebytes(b"MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00" + bytes(112)).decode()
    mixed = ['Content-Type: multipart/mixed; boundary="frontier"']
    return _parted(
        _letter("billing@example.com", ANN, "Your invoice", more=mixed),
        "Content-Type: text/plain; charset=utf-8\n\nPlease find it attached.\n",
        'Content-Type: application/pdf; name="terms.pdf"\nContent-Disposition: attachment; filename="terms.pdf"\n'
        f"Content-Transfer-Encoding: base64\n\n{base64.encodebytes(b'%PDF-1.4 terms').decode()}",
        'Content-Type: application/pdf\nContent-Disposition: attachment; filename="invoice.pdf.exe"\n'
        f"Content-Transfer-Encoding: base64\n\n{program}",
    )


def _bounce() -> bytes:
    """A notice of failure (RFC 3464)."""
    report = ['Content-Type: multipart/report; report-type=delivery-status; boundary="frontier"']
    return _parted(
        _letter("MAILER-DAEMON@mail.example.net", ANN, "Undelivered Mail Returned to Sender", more=report),
        "Content-Type: text/plain\n\nYour message could not be delivered.\n",
        "Content-Type: message/delivery-status\n\nReporting-MTA: dns; mail.example.net\n\n"
        "Final-Recipient: rfc822; nobody@example.net\nAction: failed\nStatus: 5.1.1\n",
        f"Content-Type: text/rfc822-headers\n\nFrom: {ANN}\nTo: nobody@example.net\nSubject: Hello?\n",
    )


def _parted(head: bytes, *parts: str) -> bytes:
    """A header with its empty line, and the parts behind it."""
    body = "".join(f"--frontier\n{part}" for part in parts) + "--frontier--\n"
    return head.replace(b"\r\n\r\n", b"\r\nMIME-Version: 1.0\r\n\r\n") + body.replace("\n", "\r\n").encode()


if __name__ == "__main__":
    chosen = [case for case in cases() if case.name in sys.argv[1:] or not sys.argv[1:]]
    capture(Path(__file__).parent, *chosen)
