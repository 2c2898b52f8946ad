"""attachments: by name, by type, by content; every action; and what is not touched stays as it came."""

import base64
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from penstock import Client, Envelope, Message
from penstock.filter.config import ConfigError, options
from penstock.filter.reference import as_table, describe
from penstock.handlers.attachments import Link, Options, Rule

HANDLER = "penstock.handlers.attachments"
PAGE = (Path(__file__).parents[2] / "docs" / "handlers" / "attachments.md").read_text("utf-8")
TO = "ann@example.org"
PE = b"MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00" + bytes(200)
CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus"

standard = pytest.mark.penstock(handlers=[HANDLER])


def site(*rules, **more):
    return pytest.mark.penstock(handlers=[HANDLER], options={"attachments": {"rules": list(rules), **more}})


def rule(action, **given):
    return {"name": f"test {action}", "action": action, **({"names": ["*.exe"]} | given)}


def mime(*parts, subtype="mixed"):
    """A multipart of raw parts, each a header block, an empty line and a body."""
    head = f'From: bob@example.com\r\nTo: {TO}\r\nMIME-Version: 1.0\r\n{container(subtype, "b")}'
    body = b"".join(b"\r\n--b\r\n" + part.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for part in parts)
    return head.encode() + body + b"\r\n--b--\r\n"


def container(subtype, boundary):
    return f'Content-Type: multipart/{subtype}; boundary="{boundary}"\r\n'


def attachment(disposition, content=b"x", content_type="application/octet-stream"):
    head = f"Content-Type: {content_type}\nContent-Disposition: {disposition}\nContent-Transfer-Encoding: base64\n\n"
    return head.encode() + base64.encodebytes(content)


TEXT = b"Content-Type: text/plain\n\nHello\n"


def deliver(penstock, raw):
    return penstock.deliver(Message(raw), Envelope("bob@example.com", client=Client(source="LOCAL")).to(TO))


def actions(got):
    return [(found["action"], found["name"]) for found in got.results["attachments"]]


# What is found


@standard
def test_a_program_is_replaced_with_a_notice(penstock):
    bob = penstock.person("bob@example.com")
    message = bob.writes(TO, "Look", attach={"game.exe": b"x" * 1234, "list.pdf": b"%PDF-1.4"}).passed().message
    notice, kept = message.parts[1:]
    assert notice.content_type == "text/plain"
    assert "game.exe (1234 octets)" in notice.text
    assert "Programs are not accepted here" in notice.text
    assert notice.filename == "game.exe.txt"
    assert kept.content == b"%PDF-1.4"


@standard
def test_a_captured_message_keeps_all_but_the_program(penstock):
    got = penstock.eml("invoice.eml").passed()
    assert got.results["attachments"] == [
        {
            "rule": "executable by name",
            "action": "replace",
            "name": "Rechnung März.pdf.exe",
            "type": "application/pdf",
            "size": 12,
        }
    ]
    before, after = bytes(got.arrival.message), bytes(got.message)
    start = before.index(b"--frontier\r\nContent-Type: application/pdf") + len(b"--frontier\r\n")
    end = before.index(b"\r\n--frontier--")
    assert after.startswith(before[:start])
    assert after.endswith(before[end:])
    assert "Rechnung März.pdf.exe (12 octets)" in got.message.parts[1].text


@pytest.mark.parametrize(
    "disposition",
    [
        "attachment; filename=a.exe",
        'attachment; filename="a.EXE"',
        'attachment; filename="a.exe. . "',
        'attachment; filename="a.exe::$DATA"',
        'attachment; filename="a.exe:b.txt"',
        "attachment; filename='a.exe'",
        'attachment; filename="holiday.jpg.exe"',
        'attachment; filename="holiday.jpg           .exe"',
        'attachment; filename="a. exe"',
        'attachment; filename="C:\\\\Temp\\\\a.exe"',
        'attachment; filename="a.exe/"',
        "attachment; filename*=utf-8''a%2Eexe",
        "attachment; filename*0=a.; filename*1=exe",
        "attachment; filename*0*=utf-8''a%2E; filename*1*=e%78e",
        'attachment; filename="=?utf-8?q?a=2Eexe?="',
        "attachment; filename==?utf-8?b?YS5leGU=?=",
        'attachment; filename="=?no-such-charset?q?a=2Eexe?="; filename="a.exe"',
        'attachment; filename="a.txt"; filename="a.exe"',
        "attachment; filename=a.exe; filename*=utf-8''a.txt",
        "attachment; filename*=utf-8''a.exe; filename=a.txt",
        'attachment; filename="photo\u202egpj.exe"',
        'attachment; filename="a.e\u200bxe"',
        "attachment; filename*=utf-8''a.exe%00.txt",
        "attachment; filename*=utf-8''a.txt%00.exe",
        "attachment; filename*=utf-8''a%0D%0A.exe",
        'attachment;\n\tfilename="a.exe"',
        "ATTACHMENT; FILENAME=a.exe",
        'attachment; filename = "a.exe"',
        'attachment; filename="a.exe',
    ],
)
@standard
def test_a_name_is_read_as_any_program_might(penstock, disposition):
    got = deliver(penstock, mime(TEXT, attachment(disposition))).passed()
    assert [action for action, _ in actions(got)] == ["replace"]
    assert got.message.parts[1].content_type == "text/plain"


@pytest.mark.parametrize(
    "content_type",
    [
        "application/octet-stream; name=a.exe",
        "application/octet-stream; name*=utf-8''a%2eexe",
        'application/octet-stream; x=1; name="=?utf-8?b?YS5leGU=?="',
    ],
)
@standard
def test_the_name_in_content_type_counts_beside_the_other(penstock, content_type):
    got = deliver(penstock, mime(TEXT, attachment("attachment; filename=a.txt", content_type=content_type))).passed()
    assert [action for action, _ in actions(got)] == ["replace"]


@pytest.mark.parametrize("name", ["report.pdf", "exe", "a.exe.txt", "axe", "notes.exec", "exe.tar"])
@standard
def test_other_names_pass(penstock, name):
    deliver(penstock, mime(TEXT, attachment(f'attachment; filename="{name}"'))).unchanged()


@pytest.mark.parametrize(
    "content",
    [PE, b"\x7fELF\x02\x01\x01\x00" + bytes(60), b"\xcf\xfa\xed\xfe\x07\x00\x00\x01", b"\xca\xfe\xba\xbe\x00\x00\x004"],
)
@standard
def test_a_program_is_known_by_its_content(penstock, content):
    got = deliver(penstock, mime(TEXT, attachment("inline; filename=photo.jpg", content, "image/jpeg"))).passed()
    assert [found["rule"] for found in got.results["attachments"]] == ["executable by content"]


@standard
def test_text_that_begins_like_a_program_passes(penstock):
    penstock.person("bob@example.com").writes(TO, "MZ 1234 was the number of the car.").unchanged()


@site(rule("drop", names=[], content=["application/pdf"]), rule("drop", name="second", names=[], types=["VIDEO/*"]))
def test_the_library_knows_more_types_and_declared_ones_are_patterns(penstock):
    pdf = attachment("attachment; filename=a.jpg", b"%PDF-1.7\n1 0 obj\n", "image/jpeg")
    film = attachment("attachment; filename=b", b"1", "Video/MP4")
    got = deliver(penstock, mime(TEXT, pdf, film, attachment("attachment; filename=c"))).passed()
    assert [part.filename for part in got.message.parts] == [None, "c"]


@site(
    rule("pass", names=["allowed.exe"]),
    rule("drop"),
    rule("reject", name="never reached"),
)
def test_the_first_rule_that_matches_decides(penstock):
    parts = [attachment(f"attachment; filename={name}") for name in ("allowed.exe", "other.exe")]
    got = deliver(penstock, mime(TEXT, *parts)).passed()
    assert actions(got) == [("pass", "allowed.exe"), ("drop", "other.exe")]
    assert [part.filename for part in got.message.parts] == [None, "allowed.exe"]


@site(rule("drop", names=["*.log"], larger_than=10))
def test_all_conditions_of_a_rule_must_hold(penstock):
    small, large = (attachment(f"attachment; filename={n}.log", b"x" * n) for n in (10, 11))
    got = deliver(penstock, mime(TEXT, small, large)).passed()
    assert actions(got) == [("drop", "11.log")]


# What is done


@site(rule("drop"))
def test_a_message_whose_only_part_was_dropped_is_still_one(penstock):
    exe = attachment("attachment; filename=a.exe")
    in_multipart = deliver(penstock, mime(exe)).passed().message
    alone = deliver(penstock, b"MIME-Version: 1.0\r\n" + exe.replace(b"\n", b"\r\n")).passed().message
    for message in (in_multipart, alone):
        again = Message(bytes(message))
        assert again.defects == ()
        assert all(part.filename is None for part in again.walk())
        assert next(part for part in again.walk() if not part.parts).text.strip() == ""


@pytest.mark.penstock(
    handlers=[HANDLER],
    options={"attachments": {"rules": [rule("reject", code=554, status="5.6.1", text="No programs, please")]}},
)
def test_reject_says_what_the_rule_says(penstock):
    got = penstock.person("bob@example.com").writes(TO, "x", attach={"a.exe": b"x"})
    got.rejected(554, "5.6.1", "No programs, please")


@site(rule("drop", names=["*.txt"]), rule("hold", names=["*.doc"]), rule("reject"))
def test_a_refusal_goes_before_a_hold_and_a_hold_before_an_edit(penstock):
    bob = penstock.person("bob@example.com")
    bob.writes(TO, "x", attach={"a.txt": b"x", "a.doc": b"x", "a.exe": b"x"}).rejected(550, "5.7.1")
    bob.writes(TO, "x", attach={"a.txt": b"x", "a.doc": b"x"}).held("test hold: a.doc")
    (held,) = penstock.held
    assert [part.filename for part in held.message.parts] == [None, "a.txt", "a.doc"]


@site(rule("rename"))
def test_rename_gives_the_file_one_harmless_name(penstock):
    disposition = "attachment; filename=ok.txt; filename*=utf-8''M%C3%A4rz.exe; size=3"
    part = attachment(disposition, content_type="application/x-msdownload; name=a.exe; x=1")
    renamed = Message(bytes(deliver(penstock, mime(TEXT, part)).passed().message)).parts[1]
    assert renamed.filename == "März.exe.blocked"
    assert renamed.content == b"x"
    disposition, content_type = renamed.field("Content-Disposition"), renamed.field("Content-Type")
    assert disposition.params == {"filename": "März.exe.blocked", "size": "3"}
    assert content_type.params == {"name": "März.exe.blocked", "x": "1"}


@site(rule("rename", names=[], content=["application/x-elf"], suffix=".held"))
def test_rename_names_what_had_no_name(penstock):
    elf = b"Content-Type: image/png\nContent-Transfer-Encoding: base64\n\n" + base64.b64encode(b"\x7fELF\0\0\0\0")
    assert deliver(penstock, mime(TEXT, elf)).passed().message.parts[1].filename == "unnamed.held"


@pytest.fixture
def linked(tmp_path, request):
    folder = tmp_path / "files"
    folder.mkdir()
    table = {"rules": [rule("link")], "link": {"directory": str(folder), "url": "https://files.example.org/mail/"}}
    request.node.add_marker(pytest.mark.penstock(handlers=[HANDLER], options={"attachments": table}))
    return folder


def test_link_keeps_the_file_and_puts_its_address_in_place(linked, request):
    penstock = request.getfixturevalue("penstock")
    bob = penstock.person("bob@example.com")
    got = bob.writes(TO, "x", attach={"../grüner tee.exe": PE}).passed()
    (file,) = (path for path in linked.rglob("*") if path.is_file())
    assert file.read_bytes() == PE
    assert file.name.endswith("ner_tee.exe")
    url = f"https://files.example.org/mail/{file.parent.name}/{file.name}"
    assert url in got.message.parts[1].text
    assert len(file.parent.name) == 40
    penstock.redeliver(got).passed()
    other = bob.writes(TO, "y", attach={"b.exe": PE + b"1"}).passed()
    assert len(list(linked.iterdir())) == 2, "the same file once, another one beside it"
    assert file.parent.name not in other.message.parts[1].text


def test_link_without_its_folder_defers(linked, request):
    penstock = request.getfixturevalue("penstock")
    linked.rmdir()
    penstock.person("bob@example.com").writes(TO, "x", attach={"a.exe": PE}).deferred(451, "4.3.0")


# What lies deeper


@standard
def test_an_attached_message_is_looked_into(penstock):
    inner = mime(TEXT, attachment("attachment; filename=a.exe")).replace(b"--b", b"--c").replace(b'"b"', b'"c"')
    got = deliver(penstock, mime(TEXT, b"Content-Type: message/rfc822\n\n" + inner)).passed()
    assert actions(got) == [("replace", "a.exe")]
    attached = got.message.parts[1].parts[0]
    assert [part.content_type for part in attached.parts] == ["text/plain", "text/plain"]
    assert attached["From"] == "bob@example.com"


@pytest.mark.parametrize(
    "part",
    [
        attachment("attachment; filename=fw.eml", mime(TEXT, attachment("attachment; filename=a.exe"))),
        attachment("inline", mime(TEXT, attachment("attachment; filename=a.exe")), "message/rfc822"),
        attachment("inline", b"--z\r\nContent-Type: x/y; name=a.exe\r\n\r\nx\r\n--z--", "multipart/mixed; boundary=z"),
        attachment(
            "attachment; filename=fw.eml",
            mime(attachment("inline", mime(attachment("inline; filename=photo.jpg", PE)), "message/rfc822")),
        ),
    ],
)
@standard
def test_a_message_in_disguise_is_looked_into_and_replaced_as_a_whole(penstock, part):
    got = deliver(penstock, mime(TEXT, part)).passed()
    assert [action for action, _ in actions(got)] == ["replace"]
    assert got.message.parts[1].content_type == "text/plain"


@standard
def test_wrappings_without_end_are_opened_only_so_far(penstock):
    raw = mime(attachment("attachment; filename=a.exe"))
    for _ in range(20):
        raw = mime(attachment("inline", raw, "message/rfc822"))
    deliver(penstock, raw).rejected(550, "5.6.0", "nested too deep")


@pytest.mark.parametrize("kind", ["message/partial; id=x; number=1; total=2", "message/external-body; access-type=url"])
@standard
def test_fragments_are_refused(penstock, kind):
    deliver(penstock, f"Content-Type: {kind}\r\n\r\nMZ".encode()).rejected(550, "5.6.0", "message/")
    deliver(penstock, mime(TEXT, f"Content-Type: {kind}\n\nMZ".encode())).rejected(550, "5.6.0", "message/")


@pytest.mark.parametrize("second", ["Content-Type: text/plain", "Content-Transfer-Encoding: 7bit"])
@standard
def test_what_can_be_read_in_two_ways_is_refused(penstock, second):
    part = attachment("inline", b"x").replace(b"\n\n", b"\n" + second.encode() + b"\n\n", 1)
    deliver(penstock, mime(TEXT, part)).rejected(550, "5.6.0", "two Content-")


@standard
def test_a_multipart_without_parts_passes(penstock):
    deliver(penstock, b"Content-Type: multipart/mixed; boundary=b\r\n\r\nNothing here.\r\n").unchanged()


@pytest.mark.parametrize(
    ("content_type", "why"),
    [
        ("multipart/mixed; boundary=A; boundary=b", "two boundaries"),
        ("multipart/mixed; boundary=b; boundary*0=A", "two boundaries"),
        ("multipart/mixed; boundary=b(x)", "does not show its parts"),
        ("multipart/mixed; boundary==?utf-8?q?b?=", "does not show its parts"),
        ('multipart/mixed; boundary=""', "does not show its parts"),
        ("multipart/mixed", "does not show its parts"),
    ],
)
@standard
def test_a_multipart_that_may_be_parted_otherwise_is_refused(penstock, content_type, why):
    seen = mime(attachment("attachment; filename=a.exe"))
    hidden = seen.replace(b'multipart/mixed; boundary="b"', content_type.encode())
    deliver(penstock, hidden).rejected(550, "5.6.0", why)


@pytest.mark.parametrize("encoding", ["x-uuencode", "(x) base64", '"base64"', "x-yencode"])
@standard
def test_an_encoding_that_only_some_programs_undo_is_refused(penstock, encoding):
    hidden = f"Content-Type: a/b\nContent-Transfer-Encoding: {encoding}\n\nTVqQ\n".encode()
    deliver(penstock, mime(TEXT, hidden)).rejected(550, "5.6.0", "encoding")


@standard
def test_a_file_uuencoded_within_a_text_has_a_name(penstock):
    text = b"Content-Type: text/plain\n\nSee below.\n\nbegin 644 game.exe\n#0V%T\n`\nend\n"
    assert actions(deliver(penstock, mime(text)).passed()) == [("replace", "unnamed")]
    deliver(penstock, mime(text.replace(b"#0V%T", b"with a word"))).unchanged()


@pytest.mark.penstock(handlers=[HANDLER], options={"attachments": {"unreadable": "hold"}})
def test_fragments_can_be_held(penstock):
    deliver(penstock, b"Content-Type: message/partial\r\n\r\nMZ").held("message/partial")


@pytest.mark.penstock(handlers=[HANDLER], options={"attachments": {"unreadable": "pass"}})
def test_fragments_can_pass(penstock):
    deliver(penstock, b"Content-Type: message/partial\r\n\r\nMZ").unchanged()


@standard
def test_many_parts_are_looked_at(penstock):
    parts = [attachment(f"attachment; filename={n}.txt") for n in range(9_000)]
    got = deliver(penstock, mime(*parts, attachment("attachment; filename=a.exe"))).passed()
    assert actions(got) == [("replace", "a.exe")]


@standard
def test_too_many_parts_are_refused(penstock):
    got = deliver(penstock, mime(*[TEXT] * 10_001, attachment("attachment; filename=a.exe")))
    got.rejected(550, "5.6.0", "too many parts")


@standard
def test_too_deep_nesting_is_refused(penstock):
    raw = b"Content-Type: application/x-msdownload; name=a.exe\r\n\r\nMZ"
    for n in range(150):
        raw = f"{container('mixed', n)}\r\n--{n}\r\n".encode() + raw + f"\r\n--{n}--\r\n".encode()
    deliver(penstock, raw).rejected(550, "5.6.0", "nested too deep")


@pytest.mark.parametrize(
    "body", [b"TVqQAAM!!!!AAAA=====\n", b"T\nV\nq\nQ\nA\nA\nM\nA\nA\nA\nA\nA\n", b"  TVqQAAMAAAA \n-- \nx"]
)
@standard
def test_bad_base64_hides_no_program(penstock, body):
    part = b"Content-Type: image/png\nContent-Transfer-Encoding: base64\n\n" + body
    assert [a for a, _ in actions(deliver(penstock, mime(TEXT, part)).passed())] == ["replace"]


# Signed and encrypted


SIGNED = mime(TEXT, attachment("attachment; filename=a.exe"), subtype="signed")


@standard
def test_a_signed_message_is_left_alone(penstock):
    got = deliver(penstock, SIGNED).unchanged()
    assert actions(got) == [("replace", "a.exe")]


@pytest.mark.penstock(handlers=[HANDLER], options={"attachments": {"sealed": "hold"}})
def test_a_signed_message_can_be_held(penstock):
    deliver(penstock, SIGNED).held("signed or encrypted")
    deliver(penstock, mime(TEXT, TEXT, subtype="signed")).unchanged()


@site(rule("reject"))
def test_a_signed_message_can_be_refused(penstock):
    deliver(penstock, SIGNED).rejected(550, "5.7.1")


@site(rule("hold", names=[], types=["multipart/encrypted", "application/pkcs7-mime"]))
def test_an_encrypted_message_can_be_held_by_its_type(penstock):
    deliver(penstock, mime(TEXT, TEXT, subtype="encrypted")).held("test hold")


@standard
def test_a_signed_message_that_is_attached_is_left_alone(penstock):
    inner = SIGNED.replace(b"--b", b"--c").replace(b'"b"', b'"c"')
    deliver(penstock, mime(TEXT, b"Content-Type: message/rfc822\n\n" + inner)).unchanged()


# Notices


@standard
def test_a_name_cannot_write_into_the_notice_or_the_header(penstock):
    evil = "attachment; filename*=utf-8''a%0D%0ABcc:%20eve@example.net%0D%0A%0D%0A{{7*7}}<b>.exe"
    message = Message(bytes(deliver(penstock, mime(TEXT, attachment(evil))).passed().message))
    notice = message.parts[1]
    assert "The file aBcc: eve@example.net{{7*7}}<b>.exe (1 octets) was taken out" in notice.text
    assert [name for name in notice if name.lower() == "bcc"] == []
    assert "Bcc" not in message


@standard
def test_an_endless_name_is_cut(penstock):
    name = "x" * 20_000 + ".exe"
    got = deliver(penstock, mime(TEXT, attachment(f"attachment; filename={name}"))).passed()
    (found,) = got.results["attachments"]
    assert len(found["name"]) == 100
    assert found["name"].endswith(".exe")


@pytest.fixture
def own_notice(tmp_path, request):
    folder = tmp_path / "templates" / "attachments"
    folder.mkdir(parents=True)
    (folder / "replaced.html").write_text("\n<p>{{ name }}: {{ reason }} ({{ rule }}, {{ type }})</p>\n", "utf-8")
    given = {"service": {"templates": [str(folder.parent)]}}
    request.node.add_marker(pytest.mark.penstock(handlers=[HANDLER], **given))


def test_a_site_has_notices_of_its_own(own_notice, request):
    penstock = request.getfixturevalue("penstock")
    exe = attachment("attachment; filename*=utf-8''%3Cb%3E.exe")
    notice = deliver(penstock, mime(TEXT, exe)).passed().message.parts[1]
    assert notice.content_type == "text/html"
    assert "<p>&lt;b&gt;.exe: Programs are not accepted here (executable by name, " in notice.text
    assert notice.filename == "<b>.exe.html"


# What is not touched


BODIES = st.binary(max_size=200).map(lambda raw: raw.replace(b"--b", b"").replace(b"MZ", b"").replace(b"\x7fELF", b""))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(BODIES, min_size=1, max_size=4), st.integers(0, 4))
@site(rule("drop"))
def test_the_other_parts_stay_byte_for_byte(penstock, bodies, place):
    others = [b"Content-Type: application/x-other\r\n\r\n" + body for body in bodies]
    exe = b"Content-Disposition: attachment; filename=a.exe\r\n\r\nx"
    at = min(place, len(others))
    head = b'Content-Type: multipart/mixed; boundary="b"\r\n'

    def joined(parts):
        return head + b"".join(b"\r\n--b\r\n" + part for part in parts) + b"\r\n--b--\r\n"

    got = deliver(penstock, joined([*others[:at], exe, *others[at:]])).passed()
    assert bytes(got.message) == joined(others)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400))
@standard
def test_no_octets_make_it_fail(penstock, raw):
    got = deliver(penstock, raw)
    got.asserted = True
    assert got[TO].failure is None


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"the corpus is not at {CORPUS}")
@pytest.mark.parametrize(
    "rules",
    [
        pytest.param({}, id="standard"),
        pytest.param({"rules": [rule("replace", names=[], types=["*"])]}, id="replace all"),
        pytest.param({"rules": [rule("rename", names=[], types=["*"])]}, id="rename all"),
        pytest.param({"rules": [rule("drop", names=[], types=["[!tm]*", "text/html"])]}, id="drop all files"),
    ],
)
def test_the_corpus_goes_through(rules, request):
    """Every message passes or is refused by a rule; untouched if no rule matched, and with no new defect if one did."""
    request.node.add_marker(pytest.mark.penstock(handlers=[HANDLER], options={"attachments": rules}))
    penstock = request.getfixturevalue("penstock")
    files = sorted(path for path in CORPUS.rglob("*") if path.is_file() and "LICENSES" not in path.parts)
    assert files
    for file in files:
        raw = file.read_bytes()
        got = deliver(penstock, raw)
        got.asserted = True
        outcome = got[TO]
        assert outcome.failure is None, file
        assert str(outcome.fate) in ("sent", "rejected"), file
        if not outcome.results.get("attachments"):
            assert bytes(outcome.message) == raw, file
        assert defects(bytes(outcome.message)) <= defects(raw), file


def defects(raw):
    return {defect.text for defect in Message(raw).defects}


# The configuration


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"rules": [{"name": "a", "action": "drop"}]}, "has no condition"),
        ({"rules": [{"name": "a", "action": "eat", "names": ["*"]}]}, "expected .drop. or .replace."),
        ({"rules": [{"name": "a", "action": "drop", "names": "*.exe"}]}, "write it in brackets"),
        ({"rules": [{"name": "a", "action": "drop", "naems": ["*"], "names": ["*"]}]}, "did you mean names"),
        ({"rules": [rule("reject", code=250)]}, "code from 500"),
        ({"rules": [rule("reject", status="4.7.1")]}, "enhanced status"),
        ({"rules": [rule("rename", suffix="x")]}, "no suffix"),
        ({"rules": [rule("link")]}, "link with directory and url is missing"),
        ({"rules": [rule("drop"), rule("drop")]}, "two rules are called"),
        ({"link": {"directory": "/x", "url": "files"}}, "no address of a folder"),
        ({"unreadable_text": "a\r\nb"}, "control character"),
    ],
)
def test_mistakes_are_told_at_start(table, reason):
    with pytest.raises(ConfigError, match=reason):
        options(Options, table, Path("penstock.toml"), "attachments")


def test_the_page_says_what_the_code_says():
    assert as_table(describe(Link)) in PAGE
    assert as_table(describe(Options)) in PAGE
    assert as_table(describe(Rule)) in PAGE


def test_the_example_of_the_page_is_read():
    example = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[-1]
    table = tomllib.loads(example)["handlers"]["attachments"]
    options(Options, table, Path("penstock.toml"), "attachments")


@site(rule("keep", names=["*.doc"], text="Documents are looked at first"))
def test_a_part_is_kept_for_review_while_the_message_goes_on(penstock):
    bob = penstock.person("bob@example.org")
    got = bob.writes(TO, "See the plan", attach={"plan.doc": b"the plan"}).passed()
    notice = got.message.parts[1]
    assert "plan.doc (8 octets) was taken out of this message and is kept" in " ".join(notice.text.split())
    assert got.message.body("plain").text.strip() == "See the plan"
    [held] = penstock.held
    assert bytes(held.message) == bytes(got.arrival.message)
    assert held.reason == "test keep: plan.doc"
    penstock.redeliver(got).passed()
    assert len(penstock.held) == 1
