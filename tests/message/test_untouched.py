"""An edit leaves every other octet as it was: the corpus in LF and in CRLF form, one random edit after another.

Each edit is told where it may touch the source: its own field or part, the empty line that closes a header, and
MIME-Version, which a body that was no MIME needs. `message.edits` must lie within these.
"""

import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from penstock.filter.message import Edit, EditError, Message, Part

Spans = list[tuple[int, int]]


def set_field(message: Message, dice: random.Random) -> Spans:
    number = dice.choice(plain_fields(message))
    message.fields[number].value = "another, Grüße"
    return [message._index.matches[number].span()]


def remove_field(message: Message, dice: random.Random) -> Spans:
    number = dice.choice(plain_fields(message))
    spans = [message._index.matches[number].span()]
    message.fields[number].remove()
    if not message.fields:
        spans.append((0, message._index.first))    # lines before the first field go with the last
    return spans


def add_field(message: Message, dice: random.Random) -> Spans:
    message.add("X-New", "x", first=dice.random() < 0.5)
    return [(message._index.first, message._index.first), (message._index.last, message._index.last)]


def set_text(message: Message, dice: random.Random) -> Spans:
    leaf = dice.choice([part for part in message.walk() if not part.parts])
    leaf.text = "another text\n"
    return [span(leaf), header(message)] if leaf is message else [span(leaf)]


def set_content(message: Message, dice: random.Random) -> Spans:
    leaf = dice.choice([part for part in message.walk() if not part.parts])
    leaf.content = b"\0another\n"
    return [span(leaf), header(message)] if leaf is message else [span(leaf)]


def add_to_part(message: Message, dice: random.Random) -> Spans:
    part = dice.choice(list(message.walk()))
    part["X-New"] = "x"
    return [header(part)]


def remove_part(message: Message, dice: random.Random) -> Spans:
    part = dice.choice([part for part in message.walk() if part.parent is not None and part.parent.is_multipart])
    parent = part.parent
    assert parent is not None
    node, place = parent._node, parent._children().index(part)
    after = node.delimiters[place + 1] if place + 1 < len(node.delimiters) else node.close
    part.remove()
    # Its delimiter line goes with it, and where it was the last one the line ending before that.
    return [(node.delimiters[place], node.end if after is None else after), (node.body, node.body)]


def wrap_part(message: Message, dice: random.Random) -> Spans:
    part = dice.choice([part for part in message.walk() if part.parent is not None and part.parent.is_multipart])
    start, end = span(part)
    before = (start - 2, start)                    # a delimiter line that the source ends in
    part.wrap("mixed")
    return [before, header(part), (end, end + 2)]


def wrap_message(message: Message, dice: random.Random) -> Spans:
    kept = [field.raw for field in message.fields if is_plain(field.name)]
    spans = [(0, message.body_start), (message.size, message.size)]
    message.wrap("mixed")
    assert [field.raw for field in message.fields if is_plain(field.name)][: len(kept)] == kept
    return spans


def attach(message: Message, dice: random.Random) -> Spans:
    parts = [part for part in message.walk() if part.content_type == "multipart/mixed" and part.is_multipart]
    part = dice.choice(parts)
    node = part._node
    part.attach(b"\0", filename="x.bin")
    return [(node.children[-1].end, node.end)]


EDITS = [
    *(set_field, remove_field, add_field, set_text, set_content, add_to_part),
    *(remove_part, wrap_part, wrap_message, attach),
]


@pytest.mark.parametrize("edit", EDITS)
def test_edits_stay_where_they_belong(corpus: list[Path], edit: Callable[[Message, random.Random], Spans]) -> None:
    dice, done = random.Random(edit.__name__), 0
    for path in corpus:
        for raw in forms(path):
            message = Message(raw)
            with message.unseal(), suppress(EditError, IndexError):  # nothing of that kind in this message
                spans = edit(message, dice)
                done += 1
                assert all(is_within(each, spans) for each in message.edits), (path, message.edits, spans)
                assert rest(raw, message.edits) == rest(bytes(message), reversed_edits(message.edits)), path
    assert done >= 400


def test_wrap_and_unwrap_leave_nothing_behind(corpus: list[Path]) -> None:
    """A part is as it was, octet for octet; so is the body of a message, whose Content fields move."""
    dice, done = random.Random(0), 0
    for path in corpus:
        for raw in forms(path):
            message = Message(raw)
            parts = [part for part in message.walk() if part.parent is not None and part.parent.is_multipart]
            with message.unseal():
                # A header without its empty line gets one, and a part of a digest says what it was by default.
                if parts and all(each._index.closed and "Content-Type" in each for each in message.walk()):
                    dice.choice(parts).wrap("mixed").unwrap()
                    assert bytes(message) == raw, path
                    done += 1
                message = Message(raw)
                with message.unseal():
                    message.wrap("mixed").unwrap()
            body = bytes(Message(bytes(message)).raw_body)
            assert body == bytes(Message(raw).raw_body), path
    assert done >= 400


def forms(path: Path) -> set[bytes]:
    lf = path.read_bytes().replace(b"\r\n", b"\n")
    return {lf, lf.replace(b"\n", b"\r\n")} if len(lf) < 200_000 else set()


def plain_fields(message: Message) -> list[int]:
    return [number for number, field in enumerate(message.fields) if is_plain(field.name)]


def is_plain(name: str) -> bool:
    return not name.lower().startswith(("content-", "mime-version"))


def span(part: Part) -> tuple[int, int]:
    return part._node.start, part._node.end


def header(part: Part) -> tuple[int, int]:
    return part._node.header.start, part._node.header.end


def is_within(edit: Edit, spans: Spans) -> bool:
    if edit.name == "MIME-Version" or (not edit.body and edit.data in (b"\n", b"\r\n")):
        return True
    return any(start <= edit.start <= edit.end <= end for start, end in spans)


def rest(octets: bytes, edits: tuple[Edit, ...]) -> list[bytes]:
    """What stands between the edits."""
    ends = [0, *(edit.end for edit in edits)]
    starts = [*(edit.start for edit in edits), len(octets)]
    return [octets[end:start] for end, start in zip(ends, starts, strict=True)]


def reversed_edits(edits: tuple[Edit, ...]) -> tuple[Edit, ...]:
    """The edits as places in the result."""
    found, shift = [], 0
    for edit in edits:
        start = edit.start + shift
        found.append(Edit(start, start + len(edit.data), b""))
        shift += len(edit.data) - (edit.end - edit.start)
    return tuple(found)
