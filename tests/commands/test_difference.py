"""The byte diff: exact in its offsets, whatever the bytes and the edits."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from penstock.filter.commands.difference import MOST_LINES, Line, hunks
from penstock.filter.message import Edit, Message

PIECES = [b"a", b"Subject: x", b"\r\n", b"\n", b"\r", b"\xff\x00", b"\r\n\r\n", b"."]


@st.composite
def edited(draw: st.DrawFn) -> Message:
    raw = b"".join(draw(st.lists(st.sampled_from(PIECES), max_size=40)))
    ends = sorted(draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    spans = zip(ends[::2], ends[1::2], strict=False)
    data = st.sampled_from([b"", b"new", b"new\r\n", b"\r\n", b"two\r\nlines\n"])
    return Message.with_edits(raw, [Edit(start, end, draw(data)) for start, end in spans])


@given(edited())
def test_the_offsets_lead_from_the_source_to_the_result(message: Message) -> None:
    raw, result = bytes(message.raw), bytes(message)
    made, at = b"", 0
    for hunk in hunks(message):
        made += raw[at : hunk.start] + result[hunk.new_start : hunk.new_end]
        at = hunk.end
    assert made + raw[at:] == result


@given(edited())
def test_hunks_do_not_overlap_and_can_be_printed(message: Message) -> None:
    found = hunks(message)
    assert all(before.end <= after.start for before, after in pairwise(found))
    assert all(line.text.isprintable() for hunk in found for line in hunk.lines)


def test_a_change_with_its_surroundings() -> None:
    raw = b"".join(b"line %d\r\n" % number for number in range(10))
    (hunk,) = hunks(Message.with_edits(raw, [Edit(40, 40, b"big ")]))
    assert hunk.lines == (
        Line(" ", "line 3"),
        Line(" ", "line 4"),
        Line("-", "line 5"),
        Line("+", "big line 5"),
        Line(" ", "line 6"),
        Line(" ", "line 7"),
    )
    assert (hunk.start, hunk.end, hunk.new_start, hunk.new_end) == (24, 64, 24, 68)


def test_line_ends_that_differ_from_the_usual_are_shown() -> None:
    (hunk,) = hunks(Message.with_edits(b"A: b\r\n\r\nend\r\n", [Edit(8, 13, b"bare\nend")]))
    assert hunk.lines[-4:] == (Line("-", "end"), Line("+", "bare\\n"), Line("+", "end"), Line("\\", "no line end"))


def test_a_long_change_is_told_short() -> None:
    old, new = (b"".join(b"%s %d\r\n" % (word, n) for n in range(5000)) for word in (b"old", b"new"))
    (hunk,) = hunks(Message.with_edits(b"A: b\r\n\r\n" + old, [Edit(8, 8 + len(old), new)]))
    assert len(hunk.lines) <= MOST_LINES
    assert Line("…", "4,991 more lines removed") in hunk.lines
    assert Line("+", "new 4999") in hunk.lines


def test_what_is_not_changed_has_no_hunk() -> None:
    assert hunks(Message(b"A: b\r\n\r\nbody\r\n")) == []
