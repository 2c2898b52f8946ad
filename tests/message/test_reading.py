"""What a message says: header fields, structure, content and names, in good mail and in bad."""

import base64
from datetime import UTC, datetime, timedelta, timezone

import pytest
from penstock.filter.address import Address
from penstock.filter.message import Message


def of(*lines: str, eol: str = "\r\n") -> Message:
    return Message(eol.join(lines).encode())


class TestHeader:
    @pytest.mark.parametrize("eol", ["\r\n", "\n", "\r"])
    def test_line_endings(self, eol: str) -> None:
        message = of("Subject: one", "\ttwo", "X-A: 1", "X-A: 2", "", "Body: no", eol=eol)
        assert list(message) == ["Subject", "X-A", "X-A"]
        assert message["subject"] == "one\ttwo"
        assert message.get_all("x-a") == ["1", "2"]
        assert bytes(message.raw_body) == b"Body: no"
        assert message.defects == ()

    def test_mixed_line_endings(self) -> None:
        message = Message(b"A: 1\nB: 2\r\nC: 3\rD: 4\r\n 5\n\nbody")
        assert [(field.name, field.value) for field in message.fields] == [
            *(("A", "1"), ("B", "2"), ("C", "3"), ("D", "4 5"))
        ]

    @pytest.mark.parametrize(
        ("raw", "value"),
        [
            (b"Subject:x\n\n", "x"),
            (b"Subject :x\n\n", "x"),
            (b"Subject\t : x \n\n", "x"),
            (b"subject:\n x\n\n", "x"),
            (b"From ann Mon Jan  1 00:00:00 2026\nSubject: x\n\n", "x"),
            (b" folded\nSubject: x\n\n", "x"),
            (b"From : ann@example.org\nSubject: x\n\n", "x"),
            (b"Subject: x", "x"),
            (b"Subject:\n\n", ""),
            ("Subject: Grüße\n\n".encode(), "Grüße"),
            ("Subject: Grüße\n\n".encode("latin-1"), "Grüße"),
            (b"Subject: =?utf-8?q?Gr=C3=BC?= =?utf-8?b?w59l?=\n\n", "Grüße"),
            (b"Subject: =?utf-8?q?Gr=C3?=\n =?utf-8?q?=BC=C3=9Fe?=\n\n", "Grüße"),
            (b"Subject: a =?iso-8859-1?q?=E4_=F6?= b\n\n", "a ä ö b"),
            (b"Subject: =?iso-8859-1*en?q?=E4?=\n\n", "ä"),
            (b"Subject: =?utf-8?q?two words?=\n\n", "two words"),
            (b"Subject: =?nonsense?q?=E4?= =?utf-8?q?=C3=A4?=\n\n", "=?nonsense?q?=E4?= ä"),
            (b"Subject: =?utf-8?z?=E4?= =?utf-8?q?open\n\n", "=?utf-8?z?=E4?= =?utf-8?q?open"),
            (b"Subject: =?utf-8?b?R3I?=\n\n", "Gr"),
            (b"Subject: =?utf-8?b?!?= =?utf-8?b??= =??q?x?= =?utf-8?q?ok?=\n\n", "=?utf-8?b?!?=  =??q?x?= ok"),
            (b"Subject: =?gb2312?B?1tC5+g==?= =?unknown-8bit?q?_=E4?=\n\n", "中国 ä"),
            (b"Subject: a =?utf-8?q?=0D=0ABcc:_x=40y?=\n\n", "a   Bcc: x@y"),
            (b"Body only\n", None),
            (b"\nSubject: x\n", None),
            (b"", None),
        ],
    )
    def test_subject(self, raw: bytes, value: str | None) -> None:
        assert Message(raw)["Subject"] == value

    def test_what_is_no_field_ends_the_header(self) -> None:
        message = Message(b"A: 1\r\nno field\r\nB: 2\r\n\r\n")
        assert list(message) == ["A"]
        assert [str(defect) for defect in message.defects] == ["no empty line between header and body (at octet 6)"]

    def test_from_with_a_space_before_its_colon_is_a_field(self) -> None:
        assert Message(b"From : ann@example.org\n\n")["From"] == "ann@example.org"

    def test_absent_is_none_and_the_default(self) -> None:
        message = of("A: 1", "", "")
        assert message["B"] is None
        assert message.get("B", "x") == "x"
        assert message.get_all("B") == []
        assert "B" not in message
        assert "a" in message
        assert message.field("B") is None

    def test_an_empty_message_is_not_false(self) -> None:
        assert Message(b"")
        assert not hasattr(Message(b""), "__len__")

    def test_fields_have_name_value_raw_and_params(self) -> None:
        message = of("Content-Type: Text/HTML (really);", " charset=UTF-8; x*=utf-8''%C3%A4", "", "")
        (field,) = message.fields
        assert field.raw == b"Content-Type: Text/HTML (really);\r\n charset=UTF-8; x*=utf-8''%C3%A4\r\n"
        assert field.token == "text/html"
        assert field.params == {"charset": "UTF-8", "x": "ä"}

    def test_addresses_of_all_fields_of_a_name(self) -> None:
        message = of("To: =?utf-8?q?Andr=C3=A9=2C_x?= <a@b>, c@d", "To: e@f", "", "")
        assert message.addresses("to") == [Address("a", "b", "André, x"), Address("c", "d"), Address("e", "f")]

    def test_ids(self) -> None:
        message = of("References: <a@b>", " <c@d>(x)<e@f> g@h <>", "", "")
        assert message.ids("References") == ["<a@b>", "<c@d>", "<e@f>"]

    @pytest.mark.parametrize(
        ("text", "date"),
        [
            ("Mon, 5 Jan 2026 10:00:00 +0200", datetime(2026, 1, 5, 10, tzinfo=timezone(timedelta(hours=2)))),
            ("5 Jan 2026 10:00:00 -0000", datetime(2026, 1, 5, 10, tzinfo=UTC)),
            ("Mon, 5 Jan 26 10:00:00 GMT", datetime(2026, 1, 5, 10, tzinfo=UTC)),
            ("Mon, 5 Jan 2026 10:00:00 +0200 (CEST)", datetime(2026, 1, 5, 10, tzinfo=timezone(timedelta(hours=2)))),
            ("Mon Jan  5 10:00:00 2026", datetime(2026, 1, 5, 10, tzinfo=UTC)),
            ("Mon, 5 Jan 2026 10:00 EST", datetime(2026, 1, 5, 15, tzinfo=UTC)),
            ("", None),
            ("today", None),
            ("Mon, 99 Jan 2026 10:00:00 +0000", None),
            ("Mon, 5 Jan 2026 10:00:00 +99999999", None),
        ],
    )
    def test_date(self, text: str, date: datetime | None) -> None:
        assert of(f"Date: {text}", "", "").date == date


class TestStructure:
    def test_preamble_parts_and_epilogue(self) -> None:
        message = of(
            *("Content-Type: multipart/mixed; boundary=b", "", "preamble", "--b", "", "one"),
            *("--b  ", "X: 2", "", "two", "", "--b--", "epilogue"),
        )
        assert [part.content for part in message.walk()][1:] == [b"one", b"two\r\n"]
        assert message.parts[1]["X"] == "2"
        assert message.parts[0].parent is message
        assert message.is_multipart

    @pytest.mark.parametrize("eol", ["\r\n", "\n", "\r"])
    def test_preamble_and_epilogue(self, eol: str) -> None:
        message = of(
            *("Content-Type: multipart/mixed; boundary=b", "", "one", "two", "--b", ""),
            *("Content-Type: multipart/mixed; boundary=c", "", "text", "--b-- ", "three", "", "four"),
            eol=eol,
        )
        around = (eol.join(["one", "two"]).encode(), eol.join(["three", "", "four"]).encode())
        assert (message.preamble, message.epilogue) == around
        assert [(part.preamble, part.epilogue) for part in message.parts] == [(b"", b"")]
        message["Subject"] = "x"
        message.parts[0].remove()
        assert (message.preamble, message.epilogue) == around
        message.replace("text")
        assert (message.preamble, message.epilogue) == (b"", b"")

    @pytest.mark.parametrize(
        ("lines", "epilogue"), [(["--b", "", "x", "--b--"], b""), (["--b", "", "x"], b""), (["--b", "--b--", ""], b"")]
    )
    def test_without_preamble_or_epilogue(self, lines: list[str], epilogue: bytes) -> None:
        message = of("Content-Type: multipart/mixed; boundary=b", "", *lines)
        assert (message.preamble, message.epilogue) == (b"", epilogue)

    def test_boundaries_that_are_prefixes_of_each_other(self) -> None:
        message = of(
            *("Content-Type: multipart/mixed; boundary=b", "", "--b", "Content-Type: multipart/mixed; boundary=bb", ""),
            *("--bb", "", "inner", "--bb--", "--b", "", "outer", "--b--", ""),
        )
        assert [part.content for part in message.walk() if not part.parts] == [b"inner", b"outer"]

    def test_an_outer_delimiter_ends_what_is_open(self) -> None:
        message = of(
            *("Content-Type: multipart/mixed; boundary=b", "", "--b", "Content-Type: multipart/mixed; boundary=c", ""),
            *("--c", "", "inner", "--b", "", "outer", "--b--", ""),
        )
        assert [part.content for part in message.walk() if not part.parts] == [b"inner", b"outer"]
        assert [defect.text for defect in message.defects] == ["multipart without its closing delimiter"]

    def test_unterminated(self) -> None:
        message = of("Content-Type: multipart/mixed; boundary=b", "", "--b", "", "one", "")
        assert message.parts[0].content == b"one\r\n"

    def test_a_digest_of_messages(self) -> None:
        message = of(
            *("Content-Type: multipart/digest; boundary=b", "", "--b", "", "Subject: 1", "", "one", "--b", ""),
            *("Subject: 2", "Content-Type: text/html", "", "two", "--b", "Content-Type: text/plain", "", "3", "--b--"),
        )
        assert [part.content_type for part in message.walk()] == [
            *("multipart/digest", "message/rfc822", "text/plain", "message/rfc822", "text/html", "text/plain")
        ]
        assert [part["Subject"] for part in message.walk() if part["Subject"]] == ["1", "2"]
        assert message.defects == ()

    def test_an_attached_message(self) -> None:
        message = of(
            *("Content-Type: multipart/digest; boundary=b", "", "--b", "", "Subject: in", "", "text", "--b--", "")
        )
        part = message.parts[0]
        assert part.content_type == "message/rfc822"
        assert part.parts[0]["Subject"] == "in"
        assert part.content == b"Subject: in\r\n\r\ntext"
        assert [type(each).__name__ for each in message.walk()] == ["Message", "Part", "Part"]

    def test_an_encoded_message_is_a_leaf(self) -> None:
        inner = base64.b64encode(b"Subject: x\r\n\r\n").decode()
        message = of("Content-Type: message/rfc822", "Content-Transfer-Encoding: base64", "", inner)
        assert message.parts == ()
        assert message.content == b"Subject: x\r\n\r\n"

    def test_a_delimiter_that_looks_like_a_field(self) -> None:
        message = of('Content-Type: multipart/mixed; boundary="b:c"', "", "--b:c", "--b:c", "A: 1", "--b:c--", "")
        assert [list(part) for part in message.parts] == [["A"]]

    def test_body_is_the_shown_text(self) -> None:
        message = of(
            *("Content-Type: multipart/mixed; boundary=b", ""),
            *("--b", "Content-Disposition: attachment", "", "no", "--b"),
            *("Content-Type: multipart/alternative; boundary=c", "", "--c", "", "plain", "--c"),
            *("Content-Type: text/html", "", "<p>html", "--c--"),
            *("--b", "Content-Type: text/html; name=x.html", "", "no", "--b--", ""),
        )
        plain, html = message.body("plain"), message.body("html")
        assert plain is not None
        assert html is not None
        assert (plain.text, html.text) == ("plain", "<p>html")

    def test_body_is_none_where_only_files_are(self) -> None:
        assert of("Content-Type: application/pdf", "", "x").body("plain") is None
        assert of("Content-Disposition: attachment", "", "x").body("plain") is None


class TestContent:
    @pytest.mark.parametrize(
        ("encoding", "body", "content"),
        [
            ("base64", "SGVs\r\nbG8=\r\n", b"Hello"),
            ("BASE64 ", "SGVsbG8", b"Hello"),
            ("base64", "SGV*sbG8=", b"Hello"),
            ("base64", "SGVsbG8SG", b"Hello\x12"),
            ("base64", "", b""),
            ("quoted-printable", "a=3D=\r\nb=E4\r\n", b"a=b\xe4\r\n"),
            ("quoted-printable", "=ZZ=", b"=ZZ"),
            ("7bit", "a\r\n", b"a\r\n"),
            ("x-uuencode", "begin 644 x\r\n", b"begin 644 x\r\n"),
            ("nonsense", "a", b"a"),
        ],
    )
    def test_content(self, encoding: str, body: str, content: bytes) -> None:
        assert of(f"Content-Transfer-Encoding: {encoding}", "", body).content == content

    @pytest.mark.parametrize(
        ("charset", "octets", "text"),
        [
            ("utf-8", "Grüße\r\n".encode(), "Grüße\n"),
            ("", "Grüße".encode(), "Grüße"),
            ("us-ascii", "Grüße".encode("latin-1"), "Grüße"),
            ("utf-8", "Grüße".encode("latin-1"), "Grüße"),
            ("utf-8", "Grüße".encode() + b"\xff", "Grüße\N{REPLACEMENT CHARACTER}"),
            ("iso-8859-1", b"\x80", "€"),
            ("ks_c_5601-1987", "한".encode("cp949"), "한"),
            ("gb2312", "龍".encode("gb18030"), "龍"),
            ("nonsense", "ä".encode(), "ä"),
            ("punycode", b"abc-", "abc-"),
            ("rot13", b"abc", "abc"),
            ("utf-16", "ä".encode("utf-16"), "ä"),
            ("", "日本".encode("iso-2022-jp"), "日本"),
        ],
    )
    def test_text(self, charset: str, octets: bytes, text: str) -> None:
        head = f"Content-Type: text/plain; charset={charset}\r\n\r\n" if charset else "\r\n"
        assert Message(head.encode() + octets).text == text

    @pytest.mark.parametrize(
        ("fields", "name", "extensions"),
        [
            (["Content-Disposition: attachment; filename=a.exe"], "a.exe", (".exe",)),
            (['Content-Disposition: attachment; filename="a;b.PDF.Exe. "'], "a;b.PDF.Exe. ", (".pdf", ".exe")),
            (["Content-Disposition: attachment; filename=two words.exe"], "two words.exe", (".exe",)),
            (["Content-Disposition: attachment; filename=a(1).exe"], "a(1).exe", (".exe",)),
            (["Content-Type: x/y; name==?utf-8?q?=C3=A4=2Eexe?="], "ä.exe", (".exe",)),
            (['Content-Type: x/y; name="=?utf-8?b?w6QuZXhl?="'], "ä.exe", (".exe",)),
            (["Content-Disposition: a; filename*=iso-8859-1''%E4.exe; filename=b.txt"], "ä.exe", (".exe",)),
            (["Content-Disposition: a; filename*0*=utf-8''%C3; filename*1*=%A4.e; filename*2=xe"], "ä.exe", (".exe",)),
            (["Content-Disposition: a; filename*1=b; filename*0=a"], "ab", ()),
            (["Content-Disposition: a; filename=ä.exe"], "ä.exe", (".exe",)),
            (["Content-Disposition: a; filename=", "Content-Type: x/y; name=b.c"], "b.c", (".c",)),
            (['Content-Disposition: a; filename="a\\"b.exe"'], 'a"b.exe', (".exe",)),
            (['Content-Disposition: a; filename="a.\u202etxt.exe"'], "a.\u202etxt.exe", (".txt", ".exe")),
            (["Content-Disposition: a; filename=C:\\x.y\\a"], "C:\\x.y\\a", ()),
            (["Content-Disposition: attachment"], None, ()),
            (["Content-Disposition: attachment; filename=a.exe; filename=b.txt"], "a.exe", (".exe",)),
            (['Content-Disposition: attachment; filename="a.exe'], "a.exe", (".exe",)),
            (['Content-Disposition: a; filename="=?utf-8?q?=C3=A4?= =?utf-8?q?=2Eexe?="'], "ä.exe", (".exe",)),
            (["Content-Disposition: a; filename*=utf-8''a%ZZ.exe"], "a%ZZ.exe", (".exe",)),
            (["Content-Disposition: a; filename*0=a; filename*2=c; filename*1*=%62"], "abc", ()),
        ],
    )  # fmt: skip
    def test_file_names(self, fields: list[str], name: str | None, extensions: tuple[str, ...]) -> None:
        message = of(*fields, "", "")
        assert (message.filename, message.extensions) == (name, extensions)
        assert message.extension == (extensions[-1] if extensions else "")

    def test_decoded_once_and_shared_by_copies(self) -> None:
        message = of("Content-Transfer-Encoding: base64", "", "SGVsbG8=")
        assert message.copy().content is message.content


@pytest.mark.parametrize(
    ("kind", "sealed"),
    [
        ("multipart/signed", True),
        ("multipart/encrypted", True),
        ("application/pkcs7-mime", True),
        ("text/plain", False),
    ],
)
def test_sealed(kind: str, sealed: bool) -> None:
    assert of(f"Content-Type: {kind}", "", "x").sealed is sealed
    assert of("", "-----BEGIN PGP SIGNED MESSAGE-----", "x").sealed
