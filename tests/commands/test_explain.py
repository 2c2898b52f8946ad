"""`penstock explain`: what it says is what would happen, and nothing happens."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from penstock.filter.message import Edit, Message

REWRITING = """
from penstock import Mail, Reject, route, stateless

@stateless
def stamp(mail: Mail):
    mail.message.add("X-Stamp", "yes", first=True)

@stateless
@route("shout@{host}")
def shout(mail: Mail):
    mail.message["Subject"] = mail.message["Subject"].upper()

@stateless
@route("never@{host}")
def never(mail: Mail):
    raise Reject(550, "5.7.1", "Not for you")

@stateless
@route("broken@{host}")
def broken(mail: Mail):
    mail.ledger.add("runs")
    raise RuntimeError("out of \\x1b[31mink")
"""

NAMING = """
from penstock import Reject, stateless

@stateless
def gate(mail):
    raise Reject(554, "5.7.1", f"{mail.client.helo} {mail.client.name}")
"""


def test_a_conversation_begins(penstock_in: Any) -> None:
    report = penstock_in.json("explain", str(penstock_in.mail))
    (told,) = report["recipients"]
    assert told["matches"] == [
        {"handler": "tea", "function": None, "pattern": "{listname}-join@{host}",
         "blanks": {"listname": "tea", "host": "lists.test"}}
    ]  # fmt: skip
    assert [(s["function"], s["before"], s["after"]) for s in told["steps"]] == [("START", "START", "JOINING")]
    assert (told["fate"], told["reply"][:3]) == ("consumed", "250")
    assert [step["function"] for step in report["whole"]] == ["no_executables"]
    (move,) = report["moves"]
    assert (move["sender"], move["resource"], move["before"], move["after"]) == (
        "ann@example.org", "tea", "START", "JOINING",
    )  # fmt: skip
    (letter,) = report["letters"]
    assert (letter["sender"], letter["recipients"]) == ("", ["ann@example.org"])
    assert ["Subject", "Please confirm: join tea"] in letter["headers"]


def test_nothing_is_made(penstock_in: Any) -> None:
    before = sorted(penstock_in.folder.rglob("*"))
    result = penstock_in("explain", str(penstock_in.mail))
    assert "There is no store yet" in result.stdout
    assert sorted(penstock_in.folder.rglob("*")) == before


def test_nothing_is_kept(penstock_in: Any, in_store: Callable[..., None]) -> None:
    in_store("tea", "POSTING", sender="somebody@else.test")
    first, second = (penstock_in.json("explain", str(penstock_in.mail)) for _ in range(2))
    assert first["moves"] == second["moves"]
    assert second["moves"][0]["before"] == "START"


def test_the_stored_state_counts(penstock_in: Any, in_store: Callable[..., None]) -> None:
    in_store("tea", "JOINING")
    report = penstock_in.json("explain", str(penstock_in.mail), "--source", "local")
    (told,) = report["recipients"]
    assert told["steps"][0]["before"] == "JOINING"
    assert told["reply"].startswith("550 5.7.1 Join first")


def test_a_state_may_be_supposed(penstock_in: Any) -> None:
    report = penstock_in.json("explain", str(penstock_in.mail), "--to", "tea@lists.test", "--state", "POSTING")
    assert report["recipients"][0]["steps"][0]["function"] == "POSTING"


def test_a_supposed_state_is_not_contradicted(penstock_in: Any) -> None:
    arguments = ("explain", str(penstock_in.mail), "--to", "tea@lists.test")
    assert "There is no store yet" in penstock_in(*arguments).stdout
    assert "There is no store yet" not in penstock_in(*arguments, "--state", "POSTING").stdout


def test_a_client_needs_a_proper_address(penstock_in: Any) -> None:
    result = penstock_in("explain", str(penstock_in.mail), "--client-address", "192.0.2")
    assert result.exit_code == 2
    assert "'192.0.2' is not an IP address." in result.stderr


def test_an_unknown_state_is_a_wrong_call(penstock_in: Any) -> None:
    result = penstock_in("explain", str(penstock_in.mail), "--state", "SLEEPING")
    assert result.exit_code == 2
    assert "known are JOINING, POSTING, START" in result.stderr


def test_who_is_not_verified_is_not_told_of_a_refusal(penstock_in: Any) -> None:
    address = ("--to", "tea@lists.test", "--client-address", "192.0.2.1")
    report = penstock_in.json("explain", str(penstock_in.mail), *address)
    assert report["envelope"]["client"] == {"address": "192.0.2.1", "source": "REMOTE"}
    assert (report["verified"], report["recipients"][0]["fate"]) == (None, "held")
    assert report["held"][0]["recipients"] == ["tea@lists.test"]


def test_the_result_can_be_made_from_the_edits(penstock_in: Any) -> None:
    penstock_in.handler(REWRITING)
    to = ("--to", "shout@lists.test", "--to", "bob@example.org", "--to", "eve@example.org")
    report = penstock_in.json("explain", str(penstock_in.mail), *to)
    loud, quiet = report["results"]
    assert (loud["recipients"], quiet["recipients"]) == (["shout@lists.test"], ["bob@example.org", "eve@example.org"])
    raw = penstock_in.mail.read_bytes()
    made = bytes(Message.with_edits(raw, [Edit.from_dict(edit) for edit in loud["edits"]]))
    assert made == b"X-Stamp: yes\r\n" + raw.replace(b"hello", b"HELLO")
    assert len(made) == loud["size"]


def test_the_page_shows_what_changes(penstock_in: Any) -> None:
    penstock_in.handler(REWRITING)
    page = penstock_in("explain", str(penstock_in.mail), "--to", "bob@example.org").stdout
    assert "@@ header, octets 0–54 become 0–68 @@" in page
    assert "  + X-Stamp: yes\n    From: Ann <ann@example.org>" in page
    assert "outcome   passes: it goes back to Postfix" in page


def test_a_handler_that_fails_is_shown_with_its_traceback(penstock_in: Any) -> None:
    name = penstock_in.handler(REWRITING)
    result = penstock_in("explain", str(penstock_in.mail), "--to", "broken@lists.test")
    assert result.exit_code == 0
    assert "451 4.3.0" in result.stdout
    assert f"comes again: {name} failed: " in result.stdout
    assert f"{name}.py" in result.stdout
    assert "RuntimeError: out of \\x1b[31mink" in result.stdout
    assert "\x1b" not in result.stdout


def test_an_owned_address_that_nobody_takes(penstock_in: Any) -> None:
    penstock_in.configure()
    (told,) = penstock_in.json("explain", str(penstock_in.mail))["recipients"]
    assert (told["fate"], told["reply"]) == ("refused", "550 5.1.1 No such address here")


def test_one_reply_for_all_over_smtp(penstock_in: Any) -> None:
    to = ("--to", "tea-join@lists.test", "--to", "bob@example.org")
    each = penstock_in.json("explain", str(penstock_in.mail), *to)
    one = penstock_in.json("explain", str(penstock_in.mail), *to, "--smtp")
    assert each["one_reply"] is None
    assert len({told["reply"] for told in each["recipients"]}) == 2
    assert {told["reply"] for told in one["recipients"]} == {one["one_reply"]}


def test_the_envelope_from_the_header(penstock_in: Any) -> None:
    report = penstock_in.json("explain", str(penstock_in.mail))
    assert report["envelope"]["reverse_path"] == "ann@example.org"
    page = penstock_in("explain", str(penstock_in.mail), "--from", "<>").stdout
    assert "sender    <>, the null reverse-path" in page
    assert "The recipients are taken from the header" in page
    assert "The sender is taken" not in page


def test_a_message_without_addresses_needs_them(penstock_in: Any) -> None:
    result = penstock_in("explain", "-", input=b"\r\n\r\n\xff\x00")
    assert (result.exit_code, "give --from" in result.stderr) == (2, True)
    result = penstock_in("explain", "-", "--from", "a@x.test", "--to", "b@x.test", input=b"\r\n\r\n\xff\x00")
    assert "unchanged, byte for byte (6 octets)" in result.stdout


def test_any_octets_can_be_explained(penstock_in: Any) -> None:
    penstock_in.handler(REWRITING)
    penstock_in.mail.write_bytes(b"Subject: \xff\x1b[2J\r\nFrom:\x00\r\n\r\n\xfe\r\n")
    result = penstock_in("explain", str(penstock_in.mail), "--from", "a@x.test", "--to", "b@x.test")
    assert result.exit_code == 0
    assert "Subject: \\xff\\x1b[2J" in result.stdout
    assert "\x1b" not in result.stdout
    arguments = ("explain", str(penstock_in.mail), "--from", "a@x.test", "--to", "b@x.test", "--json")
    assert json.loads(penstock_in(*arguments).stdout)["size"] == 29


def test_a_file_that_is_not_there(penstock_in: Any) -> None:
    result = penstock_in("explain", "nowhere.eml")
    assert result.exit_code == 2
    assert "nowhere.eml" in result.stderr


def test_recipients_stand_in_their_order(penstock_in: Any) -> None:
    penstock_in.configure("penstock.handlers.tea", owned='"lists.test", "other.test"')
    to = ["bob@example.org", "nobody@other.test", "tea-join@lists.test"]
    report = penstock_in.json("explain", str(penstock_in.mail), *(word for each in to for word in ("--to", each)))
    assert [(told["address"], told["fate"]) for told in report["recipients"]] == [
        (to[0], "passes"), (to[1], "refused"), (to[2], "consumed"),
    ]  # fmt: skip


def test_the_client_is_what_was_said(penstock_in: Any) -> None:
    penstock_in.handler(NAMING)
    arguments = ("--to", "bob@example.org", "--source", "local", "--helo", "liar", "--client-name", "mail.test")
    report = penstock_in.json("explain", str(penstock_in.mail), *arguments)
    assert report["recipients"][0]["reply"] == "554 5.7.1 liar mail.test"


MIXED = (
    b"From: ann@example.org\r\nTo: bob@example.org\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n"
    b"--a\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n"
    b"--b\r\nContent-Type: text/html\r\n\r\n<p>hello\r\n"
    b"--a\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: image/png; name=\"\x1b.png\"\r\n\r\nxyz\r\n--a--\r\n"
)


def test_simple_mail_needs_no_tree(penstock_in: Any) -> None:
    page = penstock_in("explain", str(penstock_in.mail)).stdout
    assert "  message   112 octets, text/plain\n" in page
    assert "parts" not in page
    assert "defects" not in page
    report = penstock_in.json("explain", str(penstock_in.mail))
    assert report["defects"] == []
    assert report["parts"] == [
        {"depth": 0, "type": "text/plain", "charset": "", "encoding": "", "disposition": "", "filename": None,
         "size": 11}
    ]  # fmt: skip


def test_the_tree_of_parts_and_the_defects(penstock_in: Any) -> None:
    penstock_in.mail.write_bytes(MIXED)
    page = penstock_in("explain", str(penstock_in.mail)).stdout
    assert (
        "Its 6 parts\n"
        "  multipart/mixed\n"
        "  ├─ multipart/alternative\n"
        "  │  ├─ text/plain, utf-8, base64, 5 octets\n"
        "  │  └─ text/html, 8 octets\n"
        "  └─ message/rfc822\n"
        '     └─ image/png, "\\x1b.png", 3 octets\n'
        "\nIts defects\n"
        "  ! multipart without its closing delimiter, at octet 94\n"
    ) in page
    report = penstock_in.json("explain", str(penstock_in.mail))
    assert [(part["depth"], part["type"]) for part in report["parts"]][:3] == [
        (0, "multipart/mixed"), (1, "multipart/alternative"), (2, "text/plain"),
    ]  # fmt: skip
    assert report["defects"] == [{"start": 94, "text": "multipart without its closing delimiter"}]


def test_thousands_of_parts_are_counted(penstock_in: Any) -> None:
    head = b"From: ann@example.org\r\nTo: bob@example.org\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n"
    penstock_in.mail.write_bytes(head + b"--a\r\n\r\nx\r\n" * 3000)
    page = penstock_in("explain", str(penstock_in.mail)).stdout
    assert "Its 3,001 parts" in page
    assert "  … 2,951 more parts\n" in page
    assert len(page.splitlines()) < 80


GUARD = """
from penstock import Discard, Hold, Reject, at_rcpt, stateless

@at_rcpt
def early(rcpt):
    if rcpt.recipient.startswith("nobody@"):
        rcpt.ledger.add("asked")
        raise Reject(550, "5.1.1", "Nobody")
    if rcpt.recipient.startswith("dropped@"):
        raise Discard("no use")

@stateless
def stamp(mail):
    mail.message["X-Guard"] = "passed"
    if "hold" in mail.message["Subject"]:
        raise Hold("look at it")
    if "differ" in mail.message["Subject"]:
        mail.keep("a copy")
"""


def test_both_doors(penstock_in: Any) -> None:
    penstock_in.configure("penstock.handlers.tea", milter=[penstock_in.module(GUARD)], owned="")
    words = ("tea-join@lists.test", "nobody@else.test", "dropped@else.test")
    report = penstock_in.json("explain", str(penstock_in.mail), *(arg for word in words for arg in ("--to", word)))
    assert [(told["address"], told["fate"], told["reason"]) for told in report["recipients"]] == [
        ("tea-join@lists.test", "consumed", ""),
        ("nobody@else.test", "refused", "at RCPT"),
        ("dropped@else.test", "discarded", "at RCPT: no use"),
    ]
    assert [(step["function"], step["door"]) for step in report["whole"]] == [
        ("stamp", "milter"),
        ("no_executables", "filter"),
    ]
    assert report["queued"]["recipients"] == ["tea-join@lists.test"]
    assert Message.with_edits(penstock_in.mail.read_bytes(), map(Edit.from_dict, report["queued"]["edits"]))["X-Guard"]
    shown = penstock_in("explain", str(penstock_in.mail)).stdout
    assert "before the queue" in shown
    assert "In the queue, as the milter leaves it" in shown
    assert "+ X-Guard: passed" in shown


def test_what_the_milter_ends(penstock_in: Any) -> None:
    penstock_in.configure(milter=[penstock_in.module(GUARD)], owned="")
    ann_to_bob = ("explain", "-", "--from", "ann@example.org", "--to", "bob@else.test")
    held = penstock_in.json(*ann_to_bob, input=b"Subject: hold\n\n")
    (told,) = held["recipients"]
    assert (told["fate"], told["reason"]) == ("held", "before the queue: look at it")
    assert held["queued"] is None
    kept = penstock_in.json(*ann_to_bob, input=b"Subject: differ\n\n")
    (told,) = kept["recipients"]
    assert (told["fate"], told["reply"][:3]) == ("deferred", "451")
    assert "name this handler in [filter] handlers too" in told["reason"]


def test_a_preview_that_refuses(penstock_in: Any, in_store: Callable[..., None]) -> None:
    penstock_in.configure("penstock.handlers.tea", milter=["penstock.handlers.tea"])
    in_store("tea", "JOINING")
    (told,) = penstock_in.json("explain", str(penstock_in.mail))["recipients"]
    assert (told["fate"], told["reply"]) == ("rejected", "550 5.7.1 Join first, or you are a member already")
    assert [(step["function"], step["door"]) for step in told["steps"]] == [("otherwise", "preview")]
    assert ", foreseen before the queue" in penstock_in("explain", str(penstock_in.mail)).stdout
