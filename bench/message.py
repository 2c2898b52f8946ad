"""Message against the standard library's `email`, as ratios of times taken in one run.

    python bench/message.py

Each time is the best of several, so that what else the machine does matters little. The messages are made
here: a plain one of 3 kB, one of 100 kB with attachments, one of 10 MB. The last table shows how the time to look
at everything grows from 250 kB to 1 MB of the nastiest input: about 4 is linear, 16 would be a square. What each row
means is in README.md.
"""

from __future__ import annotations

import base64
import binascii
import email
import random
import time
from collections.abc import Callable, Sequence
from email import policy
from functools import partial

from penstock.filter.message import Limits, Message


def main() -> None:
    small, middle, large = plain(3_000), attachments(100_000), attachments(10_000_000)
    sizes = (("3 kB", small, 10), ("100 kB", middle, 40), ("10 MB", large, 100))
    print(f"{'':42}{'stdlib':>12}{'penstock':>12}{'ratio':>9}{'goal':>7}")
    for title, raw, goal in sizes:
        compare(f"index, {title}", partial(email.message_from_bytes, raw), partial(Message, raw), goal)
    for title, raw, _ in sizes:
        compare(f"index and tree, {title}", partial(email.message_from_bytes, raw), partial(tree, raw), None)
    compare("three headers decoded (policy.default)", lambda: modern(small), lambda: headers(small), 15)
    encoded = bodies(large)
    compare("10 MB decoded (a2b_base64 alone)", lambda: [binascii.a2b_base64(b) for b in encoded],
            lambda: contents(large), 1 / 1.3)  # fmt: skip
    message = Message(small)
    compare("copy, edit, size (policy.default)", lambda: edited_modern(small), lambda: edited(message), None)
    beside_rust(sizes)
    print(f"\n{'':42}{'250 kB':>12}{'1 MB':>12}{'growth':>9}")
    for title, make in NASTY.items():
        few, many = (best(partial(look, make(size)), 1) for size in (250_000, 1_000_000))
        print(f"{title:42}{few * 1e3:10.1f}ms{many * 1e3:10.1f}ms{many / few:8.1f}x")


def beside_rust(sizes: Sequence[tuple[str, bytes, int]]) -> None:
    """The same header fields asked of fast-mail-parser, which reads the whole message for it."""
    try:
        from fast_mail_parser import parse_email
    except ImportError:
        print("\nfast-mail-parser is not installed: pip install fast-mail-parser")
        return
    print(f"\n{'':42}{'Rust':>12}{'penstock':>12}{'ratio':>9}{'goal':>7}")
    for title, raw, _ in sizes:
        compare(f"three headers, {title}", lambda raw=raw: parse_email(raw).subject, partial(headers, raw), 1)


def tree(raw: bytes) -> None:
    """Header index and MIME tree, each part visited."""
    for _ in Message(raw).walk():
        pass


def headers(raw: bytes) -> None:
    message = Message(raw)
    message["Subject"], message["From"], message["To"]


def modern(raw: bytes) -> None:
    message = email.message_from_bytes(raw, policy=policy.default)
    str(message["Subject"]), str(message["From"]), str(message["To"])


def contents(raw: bytes) -> None:
    for part in Message(raw).walk():
        if not part.parts:
            part.content  # noqa: B018


def edited(original: Message) -> None:
    message = original.copy()
    message["Subject"] = "[list] another"
    message.size  # noqa: B018


def edited_modern(raw: bytes) -> None:
    message = email.message_from_bytes(raw, policy=policy.default)
    message.replace_header("Subject", "[list] another")
    len(bytes(message))


def look(raw: bytes) -> None:
    """Every view of every part, however many there are, down to a thousand levels."""
    message = Message(raw, limits=Limits(depth=1_000, parts=1_000_000))
    for part in message.walk():
        part.content, part.text, part.filename, part.extensions, part.date  # noqa: B018
        for name in {name.lower() for name in part}:
            part[name], part.addresses(name), part.ids(name)
        for field in part.fields:
            field.value, field.params  # noqa: B018
    message.body("plain"), message.defects, message.sealed


def compare(title: str, theirs: Callable[[], object], ours: Callable[[], object], goal: float | None) -> None:
    slow, fast = best(theirs), best(ours)
    wanted = f"{goal:7.2g}" if goal else ""
    print(f"{title:42}{slow * 1e6:10.1f}us{fast * 1e6:10.1f}us{slow / fast:8.1f}x{wanted}")


def best(task: Callable[[], object], seconds: float = 0.6) -> float:
    """The best time of one run in seconds, over as many runs as fit."""
    fastest, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until:
        start = time.perf_counter()
        task()
        fastest = min(fastest, time.perf_counter() - start)
    return fastest


def head() -> list[str]:
    return [
        "Return-Path: <ann@example.org>",
        *(f"Received: from mx{n}.example.org (mx{n}.example.org [192.0.2.{n}])\r\n\tby mail.example.com (Postfix)"
          f" with ESMTPS id 4F{n}XYZ\r\n\tfor <bob@example.com>; Mon, 5 Jan 2026 10:0{n}:00 +0000 (UTC)"
          for n in range(4)),
        "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=mail;\r\n\tt=1767607200;"
        " bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\r\n\th=From:To:Subject:Date; b=" + "Ab3+/" * 60,
        "From: =?utf-8?q?Ann_M=C3=BCller?= <ann@example.org>",
        "To: Bob <bob@example.com>, \"Doe, John\" <john@example.com>",
        "Subject: =?utf-8?b?R3LDvMOfZSBhdXMgTcO8bmNoZW4=?= and more of it",
        "Date: Mon, 5 Jan 2026 10:00:00 +0000",
        "Message-ID: <20260105100000.12345@example.org>",
        "References: " + "\r\n ".join(f"<{n}.abcdef@example.org>" for n in range(5)),
        "MIME-Version: 1.0",
    ]  # fmt: skip


def plain(size: int) -> bytes:
    start = "\r\n".join([*head(), "Content-Type: text/plain; charset=utf-8", "", ""])
    return (start + "A line of text that is about as long as people write.\r\n" * ((size - len(start)) // 55)).encode()


def attachments(size: int) -> bytes:
    octets = random.Random(1).randbytes(size // 4 // 3 * 3)
    part = base64.encodebytes(octets).replace(b"\n", b"\r\n")
    disposition = b'Content-Disposition: attachment; filename="x.pdf"'
    type_ = b'Content-Type: application/pdf; name="x.pdf"\r\nContent-Transfer-Encoding: base64\r\n'
    start = "\r\n".join([*head(), 'Content-Type: multipart/mixed; boundary="----=_Part_1_2.3"', "", ""]).encode()
    delimiter = b"------=_Part_1_2.3"
    text = delimiter + b"\r\nContent-Type: text/plain\r\n\r\nHello\r\n"
    file = delimiter + b"\r\n" + type_ + disposition + b"\r\n\r\n" + part
    return start + text + 3 * file + delimiter + b"--\r\n"


def bodies(raw: bytes) -> list[bytes]:
    return [part._raw_body for part in Message(raw).walk() if part.content_type == "application/pdf"]


def padded(start: bytes, size: int) -> bytes:
    return start + b"\r\n" + b"A line at the bottom of it all.\r\n" * ((size - len(start)) // 33)


MIXED = b"From: a@b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
NASTY: dict[str, Callable[[int], bytes]] = {
    "header fields": lambda size: b"X: y\r\n" * (size // 6),
    "folded lines": lambda size: b"X: y\r\n" + b" z\r\n" * (size // 4),
    "multiparts, 1,000 deep": lambda size: padded(b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(1_000)
    ), size),
    "messages, 1,000 deep": lambda size: padded(b"Content-Type: message/rfc822\r\n\r\n" * 1_000, size),
    "multiparts without end": lambda size: b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(size // 52)
    ),
    "parts": lambda size: MIXED + b"--b\r\n\r\nx\r\n" * (size // 10),
    "delimiters": lambda size: MIXED + b"--b\r\n" * (size // 5),
    "lines of dashes": lambda size: MIXED + b"--\r\n" * (size // 4),
    "7,000-octet boundary": lambda size: (
        MIXED.replace(b"=b", b"=" + b"q" * 7000) + (b"--" + b"q" * 6999 + b"\n") * (size // 7002)
    ),
    "one line": lambda size: b"\r\n" + b"x" * size,
    "encoded words": lambda size: b"To: " + b"=?utf-8?q?=C3=A4?= " * (size // 19),
    "addresses": lambda size: b"To: " + b"a@b," * (size // 4),
    "parentheses": lambda size: b"To: " + b"(" * size,
    "parameters": lambda size: b"Content-Type: text/plain" + b";a=b" * (size // 4),
    "damaged base64": lambda size: b"Content-Transfer-Encoding: base64\r\n\r\n" + b"A*" * (size // 2),
}


if __name__ == "__main__":
    main()
