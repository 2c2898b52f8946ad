"""Changes: what they do, and that they leave every other octet as it was."""

import json
import random
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock.filter.address import Address
from penstock.filter.message import Edit, EditError, Message, Part

HEAD = b"Received: a\r\nSubject :  x\r\nReceived: b\r\n c\r\n\r\n"
MIXED = (
    b"Subject: x\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\npreamble\n--b\n"
    b"Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: 8bit\n\nGr\xfc\xdfe\n\n"
    b"--b \nContent-Type: application/pdf; name=a.pdf\nContent-Transfer-Encoding: base64\n\nAAEC\n--b--\nepilogue"
)


class TestFields:
    def test_set_replaces_the_first_and_removes_the_others(self) -> None:
        message = Message(HEAD)
        message["received"] = "z"
        assert bytes(message) == b"Received: z\r\nSubject :  x\r\n\r\n"
        assert message.edits == (
            Edit(0, 13, b"Received: z\r\n", "Received", 1),
            Edit(27, 44, b"", "Received", 2),
        )

    def test_set_appends_where_there_is_none(self) -> None:
        message = Message(HEAD)
        message["X-New"] = "z"
        assert bytes(message) == HEAD[:-2] + b"X-New: z\r\n\r\n"
        assert message.edits == (Edit(44, 44, b"X-New: z\r\n", "X-New"),)
        assert message["x-new"] == "z"

    def test_add_first_delete_and_edit_by_identity(self) -> None:
        message = Message(HEAD)
        message.add("X-New", "z", first=True)
        message.fields[-1].value = "d"
        message.fields[1].remove()
        assert bytes(message) == b"X-New: z\r\nSubject :  x\r\nReceived: d\r\n\r\n"
        del message["Received"]
        assert list(message) == ["X-New", "Subject"]

    @pytest.mark.parametrize(
        ("position", "names"),
        [(0, "XABC"), (1, "AXBC"), (2, "ABXC"), (3, "ABCX"), (9, "ABCX"), (-1, "ABXC"), (-9, "XABC")],
    )
    def test_insert_at_a_position_as_in_a_list(self, position: int, names: str) -> None:
        message = Message(b"A: 1\r\nB: 2\r\n 2\r\nC: 3\r\n\r\nbody")
        message.insert(position, "X", "new")
        assert "".join(message) == names
        assert [field.name for field in Message(bytes(message)).fields] == list(names)
        (edit,) = message.edits
        assert (edit.start, edit.data, edit.name, edit.occurrence) == (edit.end, b"X: new\r\n", "X", None)
        assert bytes(Message.with_edits(message.raw, message.edits)) == bytes(message)

    def test_inserted_fields_stand_in_the_order_of_the_header(self) -> None:
        message = Message(b"A: 1\nB: 2\nC: 3\n\nbody")
        del message["B"]
        message.insert(1, "X", "1")
        message.insert(1, "X", "0")
        message.add("X", "last")
        message.add("X", "first", first=True)
        message.insert(3, "X", "2")
        assert [f"{field.name}{field.value}" for field in message.fields] == [
            *("Xfirst", "A1", "X0", "X2", "X1", "C3", "Xlast")
        ]
        assert message.get_all("X") == ["first", "0", "2", "1", "last"]
        assert bytes(message) == b"X: first\nA: 1\nX: 0\nX: 2\nX: 1\nC: 3\nX: last\n\nbody"
        again = Message.with_edits(message.raw, message.edits)
        assert again.edits == message.edits
        assert [field.raw for field in again.fields] == [field.raw for field in message.fields]
        message.fields[3].remove()
        assert message.copy().get_all("X") == ["first", "0", "1", "last"]

    def test_insert_into_an_empty_header(self) -> None:
        message = Message(b"\nbody")
        message.insert(5, "A", "1")
        message.insert(0, "B", "2")
        assert bytes(message) == b"B: 2\nA: 1\n\nbody"

    @pytest.mark.parametrize(
        ("raw", "result"),
        [
            (b"A: 1\rB: 2\n\nbody", b"A: 1\r\r\nbody"),
            (b"A: 1\rB: 2\r\n\nbody", b"A: 1\r\r\nbody"),
            (b"From x\rB: 2\n\nbody", b"\nbody"),
        ],
    )
    def test_a_bare_cr_never_joins_the_lf_of_the_empty_line(self, raw: bytes, result: bytes) -> None:
        message = Message(raw)
        del message["B"]
        assert bytes(message) == result
        assert bytes(Message(result).raw_body) == b"body"

    def test_a_line_of_mbox_at_the_end_stays_one_before_another_part(self) -> None:
        message = Message(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nFrom ann Mon")
        message.attach(b"x")
        assert [part.content for part in Message(bytes(message)).parts] == [part.content for part in message.parts]

    def test_a_part_of_no_octets_at_all_stays_one_before_another_part(self) -> None:
        message = Message(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n--b--\r\n")
        message.attach(b"x")
        assert [part.content for part in Message(bytes(message)).parts] == [b"", b"x"]

    def test_a_bare_cr_of_a_delimiter_line_stays_one_too(self) -> None:
        message = Message(b"Content-Type: multipart/mixed; boundary=b\n\n--b\rA: 1\n\nbody\n--b--\n")
        del message.parts[0]["A"]
        assert Message(bytes(message)).parts[0].content == b"body"

    def test_a_field_keeps_its_identity_after_others_are_gone(self) -> None:
        message = Message(HEAD)
        first, _, last = message.fields
        first.remove()
        last.value = "e"
        assert bytes(message) == b"Subject :  x\r\nReceived: e\r\n\r\n"
        with pytest.raises(EditError, match="Received"):
            first.value = "gone"

    def test_an_added_field_removed_again_leaves_nothing(self) -> None:
        message = Message(HEAD)
        message["X-New"] = "z"
        del message["X-New"]
        assert bytes(message) == HEAD
        assert message.edits == ()

    def test_lines_before_the_first_field_go_with_the_last(self) -> None:
        message = Message(b" junk\nA: 1\nB: 2\n\nbody")
        del message["A"]
        assert bytes(message) == b" junk\nB: 2\n\nbody"
        del message["B"]
        assert bytes(message) == b"\nbody"

    def test_set_param(self) -> None:
        message = Message(b"Content-Type: text/plain; charset=x; format=flowed\n\n")
        field = message.field("Content-Type")
        assert field is not None
        field.set_param("charset", "utf-8")
        field.set_param("name", "ä b")
        assert bytes(message).startswith(b"Content-Type: text/plain; format=flowed; charset=utf-8;\n name*=utf-8''")
        assert field.params == {"format": "flowed", "charset": "utf-8", "name": "ä b"}

    @pytest.mark.parametrize(
        ("raw", "result"),
        [
            (b"", b"X: 1\r\n\r\n"),
            (b"Body", b"X: 1\r\n\r\nBody"),
            (b"\nBody", b"X: 1\n\nBody"),
            (b"A: 1", b"A: 1\r\nX: 1\r\n\r\n"),
            (b"A: 1\nBody", b"A: 1\nX: 1\n\nBody"),
            (b"From ann", b"From ann\r\nX: 1\r\n\r\n"),
            (b"From ann\nA: 1\r\r", b"From ann\nA: 1\rX: 1\r\n\r"),
            (b"A: 1\r\rBody", b"A: 1\rX: 1\r\n\rBody"),
        ],
    )
    def test_odd_headers_and_the_messages_own_line_ending(self, raw: bytes, result: bytes) -> None:
        message = Message(raw)
        message["X"] = "1"
        assert bytes(message) == result
        assert Message(result)["X"] == "1"

    @pytest.mark.parametrize("bad", ["a\r\nBcc: x", "a\nb", "a\rb", "a\0b", "\ud800"])
    @pytest.mark.parametrize("name", ["Subject", "To", "X-Any"])
    def test_injection_is_refused_and_names_the_field(self, name: str, bad: str) -> None:
        message = Message(HEAD)
        for value in (bad, Address("a", "b", bad), Address(bad, "b"), [Address("a", bad)]):
            with pytest.raises(EditError, match=name):
                message[name] = value
        assert bytes(message) == HEAD

    @pytest.mark.parametrize("name", ["", "A B", "A:", "Ä", "A\n"])
    def test_bad_names_are_refused(self, name: str) -> None:
        with pytest.raises(EditError, match="no name"):
            Message(HEAD)[name] = "x"

    @pytest.mark.parametrize(
        ("name", "value", "line"),
        [
            ("Subject", "Grüße", b"Subject: =?utf-8?b?R3LDvMOfZQ==?="),
            ("Subject", "a =?utf-8?q?b?= c", b"Subject: a =?utf-8?b?PT91dGYtOD9xP2I/PQ==?= c"),
            ("Date", datetime(2026, 1, 5, 10, tzinfo=UTC), b"Date: Mon, 05 Jan 2026 10:00:00 +0000"),
            ("To", Address("a", "b.org", "Ann Lee"), b"To: Ann Lee <a@b.org>"),
            ("To", Address("a b", "b.org", 'Lee, "Ann"'), b'To: "Lee, \\"Ann\\"" <"a b"@b.org>'),
            ("To", [Address("a", "bücher.example", "Änn"), Address("c", "d")],
             b"To: =?utf-8?q?=C3=84nn?= <a@xn--bcher-kva.example>, c@d"),
            ("To", "Änn <a@b.org>, c@d", b"To: =?utf-8?q?=C3=84nn?= <a@b.org>, c@d"),
            ("To", Address("ä", "bücher.example"), "To: ä@bücher.example".encode()),
            ("X", "", b"X:"),
        ],
    )  # fmt: skip
    def test_values_as_written(self, name: str, value: str | Address | list[Address] | datetime, line: bytes) -> None:
        message = Message(b"\r\n")
        message[name] = value
        assert bytes(message) == line + b"\r\n\r\n"

    @pytest.mark.parametrize("raw", [b"=?utf-8?q?a=0Ab=00c?=", b"a\0b", b"=?utf-7?q?+2AA-?=", b"a\xe2\x80\xa8b", b"\1"])
    def test_what_was_read_can_be_written(self, raw: bytes) -> None:
        message = Message(b"Subject: " + raw + b"\n\n")
        subject = message["Subject"]
        assert subject is not None
        message["Subject"] = f"[list] {subject}"
        assert message["Subject"] == f"[list] {subject}".strip()

    def test_text_without_an_address_is_refused_where_addresses_are_wanted(self) -> None:
        for text in ("Jürgen", "Jürgen Müller", "ä:;"):
            with pytest.raises(EditError, match="To"):
                Message(HEAD)["To"] = text

    def test_a_date_needs_a_zone(self) -> None:
        with pytest.raises(EditError, match="Date"):
            Message(HEAD)["Date"] = datetime(2026, 1, 5)

    @given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])).map(str.strip))
    def test_any_text_comes_back_folded(self, text: str) -> None:
        message = Message(b"\r\n")
        message["Subject"] = text
        again = Message(bytes(message))
        assert again["Subject"] == text.strip(" \t")
        assert all(len(line) <= 78 for line in bytes(message).split(b"\r\n") if b" " in line.strip())
        assert len(again.fields) == 1

    def test_a_long_word_is_never_over_998(self) -> None:
        message = Message(b"\r\n")
        message["Subject"] = "x" * 3000
        assert max(map(len, bytes(message).split(b"\r\n"))) <= 78
        assert message["Subject"] == "x" * 3000
        with pytest.raises(EditError, match="References"):
            message["References"] = "x" * 3000


class TestParts:
    def test_text_keeps_charset_and_encoding(self) -> None:
        message = Message(MIXED)
        message.parts[0].text = "Süß\n"
        assert bytes(message) == MIXED.replace(b"Gr\xfc\xdfe\n", b"S\xfc\xdf\n")

    def test_text_beyond_the_charset_becomes_utf_8(self) -> None:
        message = Message(MIXED)
        message.parts[0].text = "10 €, naïve\n" * 3
        part = Message(bytes(message)).parts[0]
        assert (part.text, part.charset) == ("10 €, naïve\n" * 3, "utf-8")
        assert bytes(message).count(b"AAEC\n--b--\nepilogue") == 1

    @pytest.mark.parametrize("encoding", ["7bit", "quoted-printable", "base64", ""])
    @pytest.mark.parametrize("text", ["plain\n", "Grüße\n", "x" * 2000, "From a\n.\n b \n", "日本\n" * 50, ""])
    def test_text_in_any_encoding(self, encoding: str, text: str) -> None:
        head = f"Content-Transfer-Encoding: {encoding}\r\n" if encoding else ""
        message = Message(f"Subject: x\r\n{head}\r\nbody\r\n".encode())
        message.text = text
        raw = bytes(message)
        assert Message(raw).text == text
        assert raw.isascii()
        assert max(map(len, raw.split(b"\r\n"))) <= 998

    def test_the_same_text_is_no_edit(self) -> None:
        message = Message(MIXED)
        message.parts[0].text = message.parts[0].text
        assert message.edits == ()

    def test_content(self) -> None:
        message = Message(MIXED)
        message.parts[1].content = b"\xff\xfe"
        assert bytes(message) == MIXED.replace(b"AAEC", b"//4=")
        with pytest.raises(EditError, match="multipart/mixed"):
            message.content = b"x"

    @given(
        st.lists(st.sampled_from([b"\r\n", b"\n", b"\r", b"a", b" ", b"=", b"\0", b"\xff", b"x" * 80])).map(b"".join),
        st.sampled_from(["7bit", "8bit", "binary", "quoted-printable", "base64", "nonsense", ""]),
        st.sampled_from(["\r\n", "\n", "\r"]),
    )
    def test_any_content_in_any_encoding(self, content: bytes, encoding: str, eol: str) -> None:
        head = f"Content-Transfer-Encoding: {encoding}{eol}" if encoding else ""
        message = Message(f"Subject: x{eol}{head}{eol}body{eol}".encode())
        message.content = content
        assert Message(bytes(message)).content == content

    def test_replace(self) -> None:
        message = Message(MIXED)
        message.parts[1].replace("removed: ä\n", filename="nöte.txt")
        part = Message(bytes(message)).parts[1]
        assert (part.content_type, part.filename, part.text) == ("text/plain", "nöte.txt", "removed: ä\n")
        assert bytes(message).startswith(MIXED[: MIXED.index(b"Content-Type: application")])
        assert bytes(message).endswith(b"\n--b--\nepilogue")

    def test_replace_the_whole(self) -> None:
        message = Message(MIXED)
        message.replace("gone\n")
        assert bytes(message).startswith(b"Subject: x\nMIME-Version: 1.0\nContent-Type: text/plain")
        assert Message(bytes(message)).text == "gone\n"

    def test_remove(self) -> None:
        message = Message(MIXED)
        first, second = message.parts
        first.remove()
        assert bytes(message) == MIXED[: MIXED.index(b"--b\n")] + MIXED[MIXED.index(b"--b \n") :]
        assert first.parent is None
        second.remove()
        assert [part.content for part in Message(bytes(message)).parts] == [b""]
        with pytest.raises(EditError, match="multipart/mixed"):
            message.remove()

    def test_attach_to_a_multipart(self) -> None:
        message = Message(MIXED)
        message.attach(b"\0", filename="x.bin")
        before, after = MIXED.split(b"--b--")
        assert bytes(message).startswith(before)
        assert bytes(message).endswith(b"--b--" + after)
        assert Message(bytes(message)).parts[2].content == b"\0"

    def test_attach_to_a_text_wraps_it(self) -> None:
        message = Message(b"Subject: x\r\nContent-Type: text/html\r\n\r\n<p>\r\n")
        message.attach("text", filename="a.txt")
        message.attach(Message(b"Subject: inner\r\n\r\nx"))
        again = Message(bytes(message))
        assert [part.content_type for part in again.walk()] == [
            *("multipart/mixed", "text/html", "text/plain", "message/rfc822", "text/plain")
        ]
        assert again.defects == ()
        assert again.parts[0].content == b"<p>\r\n"

    def test_wrap_and_unwrap_give_the_body_back(self) -> None:
        raw = b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<p>\r\n"
        message = Message(raw)
        assert message.wrap("mixed") is message
        assert [part.content_type for part in message.walk()] == ["multipart/mixed", "text/html"]
        message.unwrap()
        assert bytes(message) == raw
        inner = Message(MIXED)
        whole = inner.parts[0].wrap("alternative")
        assert whole.parts[0].text == "Grüße\n"
        assert whole.unwrap().text == "Grüße\n"
        assert bytes(inner) == MIXED
        with pytest.raises(EditError, match="one part"):
            inner.unwrap()

    def test_wrap_and_unwrap_within_an_attached_message(self) -> None:
        raw = b"Content-Type: message/rfc822\n\nSubject: in\nContent-Type: text/html\n\n<p>\n"
        message = Message(raw)
        inner = message.parts[0]
        assert inner.wrap("mixed") is inner
        again = Message(bytes(message)).parts[0]
        assert (again["Subject"], again.content_type, again.parts[0].content) == ("in", "multipart/mixed", b"<p>\n")
        inner.unwrap()
        assert Message(bytes(message)).parts[0].content == b"<p>\n"
        with pytest.raises(EditError, match="removed"):
            inner.remove()

    def test_what_was_removed_cannot_be_changed(self) -> None:
        message = Message(MIXED)
        part = message.parts[0]
        part.remove()
        assert part.text == "Grüße\n"
        with pytest.raises(EditError, match="removed"):
            part.text = "x"
        with pytest.raises(EditError, match="removed"):
            part["X"] = "y"

    def test_a_footer(self) -> None:
        message = Message(
            b"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\n"
            b"Content-Type: text/html\r\n\r\n<body>hello</BODY></html>\r\n--b--\r\n"
        )
        message.append_text("-- \nfoot\n", "<p>foot")
        plain, html = Message(bytes(message)).parts
        assert plain.text == "hello\n-- \nfoot\n"
        assert html.text == "<body>hello<p>foot</BODY></html>"

    def test_a_footer_where_no_text_is(self) -> None:
        message = Message(b"Content-Type: application/pdf; name=a.pdf\r\n\r\nx")
        message.append_text("foot\n")
        assert [part.content_type for part in message.parts] == ["application/pdf", "text/plain"]
        assert message.parts[1].is_attachment is False

    def test_equal_changes_make_equal_bytes_and_edits(self) -> None:
        original = Message(MIXED)
        twins = [original.copy(), original.copy()]
        for twin in twins:
            twin.parts[1].wrap("alternative")
            twin.wrap("mixed")
        assert twins[0].edits == twins[1].edits

    def test_copies_part_ways(self) -> None:
        message = Message(MIXED)
        message["Subject"] = "y"
        twin = message.copy()
        assert bytes(twin) == bytes(message)
        twin["Subject"] = "z"
        twin.parts[0].remove()
        assert bytes(message) == MIXED.replace(b"Subject: x", b"Subject: y")
        assert bytes(twin) != bytes(message)

    @pytest.mark.parametrize(
        "change",
        [
            lambda m: m.append_text("foot"),
            lambda m: m.attach(b"x"),
            lambda m: m.wrap("mixed"),
            lambda m: m.parts[0].remove(),
            lambda m: m.parts[0].add("X", "y"),
            lambda m: m.replace("x"),
            lambda m: m.__setitem__("Content-Type", "text/plain"),
            lambda m: setattr(m.parts[0], "text", "y"),
        ],
    )
    def test_what_is_sealed_is_left_alone(self, change: Callable[[Message], object]) -> None:
        raw = b"Content-Type: multipart/signed; boundary=b\n\n--b\n\nx\n--b\n\ny\n--b--\n"
        message = Message(raw)
        with pytest.raises(EditError, match="signed"):
            change(message)
        assert bytes(message) == raw
        message["Subject"] = "the header is free"
        with message.unseal():
            change(message)
        assert bytes(message) != raw


class TestNeverWorse:
    """Long lines and 8-bit content: what is left alone stays as it came, what is written is within the rules."""

    LONG = b"Subject: caf\xe9 " + b"x" * 2000 + b"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + b"\xe9" * 5000

    def test_what_is_left_alone(self) -> None:
        message = Message(self.LONG)
        message["X-A"] = "1"
        assert bytes(message) == self.LONG.replace(b"8bit\r\n", b"8bit\r\nX-A: 1\r\n", 1)
        message.attach(b"\0", filename="x")
        assert self.LONG.splitlines()[0] in bytes(message)
        assert b"\r\n\r\n" + b"\xe9" * 5000 + b"\r\n" in bytes(message)

    def test_what_is_written(self) -> None:
        message = Message(self.LONG)
        message["Subject"] = message["Subject"] or ""
        message.text = message.text + "ü"
        assert longest_line(bytes(message)) <= 998
        assert bytes(message).isascii()
        again = Message(bytes(message))
        assert again["Subject"] == "café " + "x" * 2000
        assert again.text == "é" * 5000 + "ü"

    @pytest.mark.parametrize("encoding", ["8bit", "binary"])
    def test_8bit_stays_8bit_and_7bit_does_not_become_it(self, encoding: str) -> None:
        eight = Message(f"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: {encoding}\n\nä".encode())
        eight.text = "äö"
        assert (eight["Content-Transfer-Encoding"], bytes(eight)[-4:]) == (encoding, "äö".encode())
        for declared in (encoding, "7bit"):
            head = f"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: {declared}\n\n"
            seven = Message(f"{head}a".encode())
            seven.text = "äö"
            assert (bytes(seven).isascii(), seven.text) == (True, "äö")

    def test_around_8bit_is_8bit(self) -> None:
        message = Message("Content-Transfer-Encoding: 8bit\n\nä".encode())
        message.wrap("mixed").wrap("related")
        kinds = [(part.content_type, part["Content-Transfer-Encoding"]) for part in message.walk()]
        assert kinds == [("multipart/related", "8bit"), ("multipart/mixed", "8bit"), ("text/plain", "8bit")]
        message.unwrap()
        message.unwrap()
        assert bytes(message) == "MIME-Version: 1.0\nContent-Transfer-Encoding: 8bit\n\nä".encode()

    def test_around_an_8bit_message_that_is_attached(self) -> None:
        message = Message(MIXED.replace(b"iso-8859-1", b"utf-8").replace(b"8bit", b"7bit").replace(b"\xfc\xdf", b"us"))
        message.parts[0].attach(Message("Subject: ä\n\nö".encode()))
        outer, inner, attached = (message, message.parts[0], message.parts[0].parts[1])
        assert {part["Content-Transfer-Encoding"] for part in (outer, inner, attached)} == {"8bit"}
        assert inner.parts[0]["Content-Transfer-Encoding"] == "7bit"


class TestEdits:
    def test_are_json(self) -> None:
        message = Message(MIXED)
        message["Subject"] = "y"
        message.parts[0].text = "z"
        plain = json.loads(json.dumps([edit.as_dict() for edit in message.edits]))
        assert tuple(Edit.from_dict(edit) for edit in plain) == message.edits
        assert [edit.body for edit in message.edits] == [False, True]

    @pytest.mark.parametrize("edits", [[Edit(5, 2, b"")], [Edit(0, 5, b""), Edit(4, 6, b"")], [Edit(0, 999, b"")]])
    def test_bad_ones_are_refused(self, edits: list[Edit]) -> None:
        with pytest.raises(EditError):
            Message.with_edits(MIXED, edits)

    def test_of_the_header_are_replayed_without_a_copy_of_the_body(self) -> None:
        raw = HEAD + b"x" * 100_000
        message = Message(raw)
        message["Subject"] = "y"
        message.add("X-A", "1", first=True)
        message["X-B"] = "2"
        del message["Received"]
        again = Message.with_edits(raw, message.edits)
        assert list(again) == ["X-A", "Subject", "X-B"]
        again["X-B"] = "3"
        assert again.edits[:-1] == message.edits[:-1]
        assert any(isinstance(chunk, memoryview) and chunk.obj is raw for chunk in again.chunks())

    @pytest.mark.parametrize(
        ("header", "copies"),
        [
            (b"X-A: 1\r\nSubject: y\r\nX-B: 2\r\n\r\n", False),
            (b"Received: new\r\n" + HEAD, False),
            (HEAD, False),
            (b"Subject: y\r\nContent-Type: text/html\r\n\r\n", True),
            (b"Subject: y\r\n\n", True),
            (b"Subject: y\r\n", True),
            (b"Subject: y\r\n\r\nmore", True),
            (b"\r\n", True),
            (b"", True),
        ],
    )
    def test_of_the_header_as_a_whole_copy_the_body_only_if_they_must(self, header: bytes, copies: bool) -> None:
        raw = HEAD + b"x" * 100_000
        edits = [Edit(0, len(HEAD), header)]
        again = Message.with_edits(raw, edits)
        assert list(again.edits) == edits
        assert bytes(again) == header + b"x" * 100_000
        assert [field.raw for field in again.fields] == [field.raw for field in Message(bytes(again)).fields]
        again.add("X-C", "3", first=True)
        assert Message(bytes(again))["X-C"] == "3"
        assert bytes(again).endswith(b"x" * 100_000)
        assert bytes(Message.with_edits(raw, again.edits)) == bytes(again)
        assert (again._known.source.raw is not raw) is copies

    def test_further_ones_add_to_replayed_ones(self) -> None:
        message = Message(MIXED)
        message["Subject"] = "y"
        message["X-A"] = "1"
        message.parts[0].text = "z"
        again = Message.with_edits(MIXED, message.edits)
        assert again["Subject"] == "y"
        assert again.parts[0].text == "z"
        again["Subject"] = "yy"
        again.add("X-B", "2")
        again.parts[1].remove()
        named = {(edit.name, edit.occurrence) for edit in again.edits if edit.name}
        assert named >= {("Subject", 1)}
        assert bytes(Message.with_edits(MIXED, again.edits)) == bytes(again)
        assert Message(bytes(again))["X-B"] == "2"


VALUES = ["x", "Grüße " * 30, "a" * 500, "", "=?utf-8?q?x?=", "word " * 60, "x   y", "日本語" * 60]
TEXTS = ["hello\nworld\n", "ü\n", "a" * 2000, "", "From x\n.\n\n"]


def change_something(message: Message, dice: random.Random) -> None:
    part = dice.choice(list(message.walk()))
    others = [field for field in part.fields if not field.name.lower().startswith("content-")]
    inner = Message(b"Subject: in\r\n\r\nx")
    changes: list[Callable[[], object]] = [
        lambda: part.__setitem__(dice.choice(["Subject", "X-A", "Comments"]), dice.choice(VALUES)),
        lambda: part.__delitem__(dice.choice(["Subject", "From", "To", "Received", "X-A"])),
        lambda: part.add(dice.choice(["Subject", "X-A"]), dice.choice(VALUES), first=dice.random() < 0.5),
        lambda: part.insert(dice.randrange(9), "X-A", dice.choice(VALUES)),
        lambda: others and dice.choice(others).remove(),
        lambda: others and setattr(dice.choice(others), "value", dice.choice(VALUES)),
        lambda: setattr(part, "text", dice.choice([*TEXTS, part.text + "-- \nfoot"])),
        lambda: setattr(part, "content", dice.randbytes(dice.randrange(200))),
        lambda: part.replace(dice.choice(["text ü", b"\0\1", "x"]), filename=dice.choice([None, "ü.txt", "a b.txt"])),
        part.remove,
        lambda: part.attach(dice.choice(["text ü", b"\0\1", inner]), filename=dice.choice([None, "x.bin"])),
        lambda: part.wrap(dice.choice(["mixed", "alternative"])),
        part.unwrap,
        lambda: part.append_text("-- \nfoot\n", "<p>f"),
    ]
    with message.unseal():
        dice.choice(changes)()


def longest_line(raw: bytes) -> int:
    return max(map(len, re.split(rb"\r\n?|\n", raw)))


def shape(message: Message) -> list[tuple[str, bytes | None, list[str]]]:
    return [(part.content_type, None if part.parts else part.content, list(part)) for part in message.walk()]


@pytest.mark.parametrize("seed", range(4))
def test_random_edits_over_the_corpus(corpus: list[Path], seed: int) -> None:
    """The edits replay to the same octets, read back as what was set, and a copy never touches its original."""
    dice = random.Random(seed)
    for path in corpus:
        raw = path.read_bytes()
        if len(raw) > 60_000:
            continue
        message = Message(raw)
        for _ in range(dice.randrange(1, 6)):
            before = bytes(message)
            twin = message.copy()
            with suppress(EditError):
                change_something(twin, dice)
            assert bytes(message) == before, path
            message = twin
            if dice.random() < 0.2:
                message = Message.with_edits(raw, [Edit.from_dict(edit.as_dict()) for edit in message.edits])
        result = bytes(message)
        assert message.size == len(result), path
        assert bytes(Message.with_edits(raw, message.edits)) == result, path
        assert longest_line(result) <= max(998, longest_line(raw)), path
        assert result.isascii() or not raw.isascii(), path
        assert shape(Message(result)) == shape(message), path


@pytest.mark.parametrize("seed", range(2))
def test_an_edit_of_a_leaf_or_field_stays_within_it(corpus: list[Path], seed: int) -> None:
    dice = random.Random(seed)
    for path in corpus:
        message = Message(path.read_bytes())
        if message.sealed or not list(message):
            continue
        field = dice.choice(message.fields)
        if field.name.lower().startswith("content-"):
            continue
        leaf: Part = dice.choice([part for part in message.walk() if not part.parts])
        start, end = leaf._node.start, leaf._node.end
        leaf.text = "another text"
        field.value = "another"
        for edit in message.edits:
            within_leaf = start <= edit.start <= edit.end <= end
            empty_line = not edit.body and edit.data in (b"\n", b"\r\n", b"\r")
            assert within_leaf or empty_line or edit.name in (field.name, "MIME-Version"), path
