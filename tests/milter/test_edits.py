"""Milter operations: what an edit of Message or Envelope comes to, case by case."""

from collections.abc import Callable
from math import isqrt

import pytest
from penstock.filter.envelope import Envelope, Recipient
from penstock.filter.message import Edit, Message
from penstock.milter.edits import HEADER_SIZE_LIMIT, MOST_STEPS, operations
from penstock.milter.operation import (
    CHUNK,
    AddHeader,
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    DeleteHeader,
    DeleteRecipient,
    Inexpressible,
    InsertHeader,
    Operation,
    ReplaceBody,
)

RAW = b"From: a@a.test\r\nX: 1\r\nx: 2\r\nSubject: s\r\nX: 3\r\n\r\nhello\r\n"
ENVELOPE = Envelope("ann@a.test", (Recipient("bob@b.test"), Recipient("eve@b.test", notify="NEVER")))


def edited(change: Callable[[Message], object], raw: bytes = RAW, *, leading_space: bool = True) -> list[Operation]:
    message = Message(raw)
    change(message)
    return list(operations(message, ENVELOPE, ENVELOPE, leading_space=leading_space))


def to(envelope: Envelope, before: Envelope = ENVELOPE) -> list[Operation]:
    return list(operations(Message(RAW), before, envelope))


def test_nothing_changed_is_nothing_said() -> None:
    assert edited(lambda m: None) == []


def test_a_new_field_is_appended() -> None:
    assert edited(lambda m: m.add("X-New", "v")) == [AddHeader("X-New", " v")]


def test_a_first_field_goes_above_our_own_received_and_one_in_between_where_it_is_delivered() -> None:
    assert edited(lambda m: m.add("X-New", "v", first=True)) == [InsertHeader(0, "X-New", " v")]
    assert edited(lambda m: m.insert(1, "X-New", "v")) == [InsertHeader(2, "X-New", " v")]
    assert edited(lambda m: m.insert(5, "X-New", "v")) == [AddHeader("X-New", " v")]


def test_a_changed_field_is_counted_among_those_of_its_name() -> None:
    def change(message: Message) -> None:
        message.fields_named("X")[1].value = "two"

    assert edited(change) == [ChangeHeader("x", 2, " two")]


def test_the_last_of_several_goes_first_and_insertions_come_after_deletions() -> None:
    def change(message: Message) -> None:
        del message["X"]
        message.insert(1, "A", "1")
        message.insert(2, "B", "2")
        message.add("C", "3", first=True)
        message.add("D", "4")

    assert edited(change) == [
        DeleteHeader("X", 3),
        DeleteHeader("x", 2),
        DeleteHeader("X", 1),
        AddHeader("D", " 4"),
        InsertHeader(2, "B", " 2"),
        InsertHeader(2, "A", " 1"),
        InsertHeader(0, "C", " 3"),
    ]


def test_an_emptied_field_is_deleted_and_inserted_for_an_empty_value_would_delete() -> None:
    def change(message: Message) -> None:
        message.fields_named("X")[1].value = ""

    assert edited(change) == [DeleteHeader("x", 2), InsertHeader(3, "x", "")]


def test_a_folded_value_has_lf_alone() -> None:
    [added] = edited(lambda m: m.add("X-Long", "word " * 30))
    assert isinstance(added, AddHeader)
    assert "\n " in added.value
    assert "\r" not in added.value


def test_without_leading_spaces_the_mta_supplies_them() -> None:
    assert edited(lambda m: m.add("X-New", "v"), leading_space=False) == [AddHeader("X-New", "v")]
    with pytest.raises(Inexpressible, match="X-New: this Postfix begins every value with a space"):
        edited(lambda m: m.add("X-New", ""), leading_space=False)


def test_a_body_is_replaced_as_a_whole_in_crlf_lines() -> None:
    def change(message: Message) -> None:
        message["Subject"] = "t"
        message.text = "one\ntwo\n"

    subject, *_, body = edited(change)
    assert subject == ChangeHeader("Subject", 1, " t")
    assert isinstance(body, ReplaceBody)
    assert b"".join(body.chunks()) == b"one\r\ntwo\r\n"


@pytest.mark.parametrize("sizes", [[], [0], [1], [CHUNK], [CHUNK, 1], [CHUNK - 1, 2, CHUNK], [3 * CHUNK + 5, 7, 9]])
def test_chunks_are_full_but_for_the_last(sizes: list[int]) -> None:
    spans = tuple(bytes([65 + number]) * size for number, size in enumerate(sizes))
    chunks = list(ReplaceBody(spans).chunks())
    assert b"".join(chunks) == b"".join(spans)
    assert all(len(chunk) == CHUNK for chunk in chunks[:-1])
    assert len(chunks) == max(1, -(-sum(sizes) // CHUNK))


def test_a_line_end_cut_in_two_is_one() -> None:
    raw = b"A: 1\r\n\r\none\r\ntwo\r\n"
    message = Message.with_edits(raw, [Edit(8, 12, b"ONE\r", body=True), Edit(17, 18, b"\n\nmore\n", body=True)])
    [body] = operations(message, ENVELOPE, ENVELOPE)
    assert isinstance(body, ReplaceBody)
    assert b"".join(body.chunks()) == b"ONE\r\ntwo\r\n\r\nmore\r\n"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"X: \xff\r\n", "X: octets beyond ASCII"),
        (b"X: a\0b\r\n", "X: NUL"),
        (b"X : a\r\n", "X: white space before the colon"),
        (b"X: " + b"a" * HEADER_SIZE_LIMIT + b"\r\n", "X: Postfix cuts off"),
        (b"X: a\r\n\r\n", "X: the change would end the header"),
        (b"no field\r\n", "X: the change would end the header"),
        (b"X: a", "X: the change would end the header"),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(data: bytes, reason: str) -> None:
    with pytest.raises(Inexpressible, match=reason):
        operations(Message.with_edits(RAW, [Edit(16, 22, data)]), ENVELOPE, ENVELOPE)


def test_more_operations_than_postfix_can_bear_are_refused() -> None:
    def change(message: Message) -> None:
        del message["X"]

    count = isqrt(MOST_STEPS)
    assert len(edited(change, b"X: 1\r\n" * count + b"\r\n")) == count
    with pytest.raises(Inexpressible, match="would keep Postfix busy for long"):
        edited(change, b"X: 1\r\n" * (count + 1) + b"\r\n")


def test_an_edit_across_the_end_of_the_header_is_refused() -> None:
    with pytest.raises(Inexpressible, match="empty line"):
        operations(Message.with_edits(RAW, [Edit(40, len(RAW), b"X: 3\r\n\r\nnew\r\n")]), ENVELOPE, ENVELOPE)


def test_edits_without_a_name_count_by_the_fields_that_they_touch() -> None:
    edits = [Edit(19, 25, b"one\r\nX: "), Edit(28, 40, b"")]
    assert list(operations(Message.with_edits(RAW, edits), ENVELOPE, ENVELOPE)) == [
        DeleteHeader("Subject", 1),
        ChangeHeader("X", 2, " 2"),
        ChangeHeader("X", 1, " one"),
    ]


def test_a_bare_cr_is_an_octet_of_its_field() -> None:
    raw = b"A: 1\r\nX: a\rY: b\r\nX: c\r\n\r\n"

    def change(message: Message) -> None:
        message["Y"] = "new"

    assert edited(change, raw) == [ChangeHeader("X", 1, " a\rY: new")]


def test_recipients_are_removed_before_others_are_added() -> None:
    new = Recipient("new@b.test", notify="SUCCESS,DELAY", orcpt="rfc822;old+2Bx@b.test")
    assert to(ENVELOPE.to("bob@b.test", new)) == [
        DeleteRecipient("<eve@b.test>"),
        AddRecipient("<new@b.test>", "NOTIFY=SUCCESS,DELAY ORCPT=rfc822;old+2Bx@b.test"),
    ]


@pytest.mark.parametrize("address", ["bob", '"a b"@b.test', r'"a\"b"@b.test', "grüß@müller.test", "a@[127.0.0.1]"])
def test_any_mailbox_can_be_said(address: str) -> None:
    assert to(ENVELOPE.to(*ENVELOPE.recipients, address)) == [AddRecipient(f"<{address}>")]


def test_parameters_of_a_recipient_change_by_removing_and_adding_it() -> None:
    assert to(ENVELOPE.to("bob@b.test", Recipient("eve@b.test", notify="SUCCESS"))) == [
        DeleteRecipient("<eve@b.test>"),
        AddRecipient("<eve@b.test>", "NOTIFY=SUCCESS"),
    ]


def test_the_order_of_recipients_and_a_twin_are_no_difference() -> None:
    assert to(ENVELOPE.to(*reversed(ENVELOPE.recipients), "bob@b.test")) == []


def test_another_sender_with_its_parameters() -> None:
    before = Envelope("ann@a.test", ret="FULL")
    assert to(Envelope("", ret="FULL"), before) == [ChangeSender("<>", "RET=FULL")]
    assert to(Envelope("ann@a.test", ret="HDRS", envid="a+2Bb"), before) == [
        ChangeSender("<ann@a.test>", "RET=HDRS ENVID=a+2Bb")
    ]
    with pytest.raises(Inexpressible, match="RET can be changed"):
        to(Envelope("ann@a.test"), before)


@pytest.mark.parametrize(
    "envelope",
    [
        ENVELOPE.to("stray\udcff@b.test"),
        ENVELOPE.to("line\n@b.test"),
        ENVELOPE.to("a b@b.test"),
        ENVELOPE.to("a(b)@b.test"),
        ENVELOPE.to("@relay.test:bob@b.test"),
        ENVELOPE.to('"a"b"@b.test'),
        ENVELOPE.to(Recipient("bob@b.test", notify="SOMETIMES")),
        ENVELOPE.to(Recipient("bob@b.test", orcpt="rfc822;a b")),
        Envelope("ann@a.test", ENVELOPE.recipients, envid="a b"),
        Envelope("ann@a.test", ENVELOPE.recipients, ret="SOME"),
        Envelope("ann@a.test", ENVELOPE.recipients, smtputf8=True),
    ],
)
def test_what_postfix_would_pass_over_is_refused(envelope: Envelope) -> None:
    with pytest.raises(Inexpressible):
        to(envelope)
