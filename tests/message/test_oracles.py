"""Offsets of every part in two mailboxes, as MimeKit has them: written down there in bytes, for LF and for CRLF."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from penstock.filter.message import Message, Part

from .conftest import CORPUS

BOXES = CORPUS / "mimekit" / "UnitTests" / "TestData" / "mbox"
ORACLES = CORPUS / "mimekit-oracles" / "UnitTests" / "TestData" / "mbox"

ZIP = "application/x-zip-compressed"
"""The type of the one part that differs: no empty line is between its header and its base64, so MimeKit takes all for
header. For us, as for Postfix and the standard library, a line that is no field ends it, and the file is found."""


@pytest.mark.parametrize("form", ["unix", "dos"])
@pytest.mark.parametrize(("box", "messages", "parts"), [("issue1189", 4, 14), ("content-length", 29, 105)])
def test_offsets(box: str, messages: int, parts: int, form: str) -> None:
    if not ORACLES.is_dir():
        pytest.skip(f"no oracles at {ORACLES}")
    raw = (BOXES / f"{box}.mbox.txt").read_bytes()
    octets = raw if form == "unix" else raw.replace(b"\n", b"\r\n")
    told = json.loads((ORACLES / f"{box}.{form}-offsets.json").read_text())
    compared = 0
    for entry in told:
        start, end = entry["beginOffset"], entry["endOffset"]
        message = Message(octets[start:end])
        theirs = list(in_order(entry["body"]))
        ours = list(message.walk())
        assert [part.content_type for part in ours] == [each["mimeType"].lower() for each in theirs]
        for part, each in zip(ours, theirs, strict=True):
            expected = [each["beginOffset"], each["headersEndOffset"], each["endOffset"]]
            found = [start + offset for offset in offsets(part)]
            if part.content_type == ZIP:
                del expected[1], found[1]
            assert found == expected
            compared += 1
    assert (len(told), compared) == (messages, parts)


def test_the_part_without_an_empty_line_has_its_file() -> None:
    if not ORACLES.is_dir():
        pytest.skip(f"no oracles at {ORACLES}")
    raw = (BOXES / "issue1189.mbox.txt").read_bytes()
    (entry,) = [e for e in json.loads((ORACLES / "issue1189.unix-offsets.json").read_text()) if ZIP in json.dumps(e)]
    message = Message(raw[entry["beginOffset"] : entry["endOffset"]])
    (part,) = [part for part in message.walk() if part.content_type == ZIP]
    assert part.content.startswith(b"7z\xbc\xaf\x27\x1c")


def offsets(part: Part) -> tuple[int, int, int]:
    node = part._node
    return node.start, node.body, node.end


def in_order(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The entity and all within, as `walk` has them; an attached message is told with its body's offsets."""
    yield body
    for child in body.get("children", ()):
        yield from in_order(child)
    if "message" in body:
        yield from in_order(body["message"]["body"])
