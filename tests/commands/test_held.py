"""`penstock held`: list, show, release, delete; each deed is one transaction, with a row of the audit."""

import os
import pty
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.shell_completion import ShellComplete
from penstock.filter.commands import main
from penstock.filter.envelope import Recipient
from penstock.filter.store import Clash, Which
from penstock.filter.verdict import OK, Reply

DATABASES = ["sqlite", "postgresql"]

LATER = Reply(451, "4.3.0", "not now")
REFUSED = Reply(550, "5.1.1", "no such user")


def letters(keeper: Any) -> list[tuple[str, ...]]:
    return [waiting.recipients for waiting in keeper.store.waiting()]


def numbers(keeper: Any) -> list[int]:
    return [kept.number for kept in keeper.store.held()]


# Looking


def test_the_list_says_who_holds_what_and_why(keeper: Any) -> None:
    expires = datetime.now(UTC) + timedelta(days=30)
    first = keeper.hold("bob@example.net", "eve@example.net", expires=expires)
    second = keeper.hold(handler="tea", reason="the handler failed: ValueError: 1", sender="", attempts=10)
    titles, *lines = keeper("held", "list").stdout.splitlines()
    assert titles.split() == ["number", "held", "expires", "handler", "sender", "recipients", "reason"]
    assert lines[0].startswith(f"{first} ")
    assert f"{expires:%Y-%m-%d %H:%M}  policy   ann@example.org" in lines[0]
    assert "  (2) bob@ex" in lines[0]
    assert "<>" in lines[1]
    assert max(map(len, lines)) <= 100
    one, two = keeper.json("held", "list")
    assert (one["number"], one["recipients"], one["expires"]) == (
        first, ["bob@example.net", "eve@example.net"], expires.isoformat()
    )  # fmt: skip
    assert (two["number"], two["handler"], two["attempts"], two["expires"], two["sender"]) == (
        second, "tea", 10, None, ""
    )  # fmt: skip


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["--handler", "tea"], [1]),
        (["--sender", "<>"], [1]),
        (["--sender", "*@EXAMPLE.org"], [0, 2]),
        (["--recipient", "eve@*"], [2]),
        (["--reason", "STRANGER"], [0, 2]),
        (["--since", "1h"], [0, 1, 2]),
        (["--since", "2100-01-01"], []),
        (["--handler", "policy", "--recipient", "*"], [0, 2]),
    ],
)
def test_filters(keeper: Any, filters: list[str], found: list[int]) -> None:
    made = [
        keeper.hold(), keeper.hold(handler="tea", reason="a mistake", sender=""), keeper.hold("eve@example.net")
    ]  # fmt: skip
    assert [mail["number"] for mail in keeper.json("held", "list", *filters)] == [made[place] for place in found]


def test_a_time_that_is_none(keeper: Any) -> None:
    result = keeper("held", "list", "--since", "yesterday")
    assert result.exit_code == 2
    assert "'yesterday' is no time; write it like 2h" in result.stderr


def test_one_is_shown_in_full(keeper: Any, tmp_path: Path) -> None:
    raw = b"Subject: \xff\x1b[2J\r\nFrom: x@y\r\n\r\nbody\x00\r\n"
    recipient = Recipient("bob@example.net", notify="FAILURE")
    number = str(keeper.hold(recipient, raw=raw, traceback="Traceback:\n  line 1", attempts=3))
    shown = keeper("held", "show", number).stdout
    assert "Recipient:  <bob@example.net> NOTIFY=FAILURE" in shown
    assert "Attempts:   3" in shown
    assert "  Traceback:\n    line 1" in shown
    assert "Subject: \\xff\\x1b[2J" in shown
    assert keeper.json("held", "show", number)["envelope"]["recipients"] == [
        {"address": "bob@example.net", "notify": "FAILURE"}
    ]
    assert keeper("held", "show", number, "--eml", "-").stdout_bytes == raw
    keeper("held", "show", number, "--eml", str(tmp_path / "kept.eml"))
    assert (tmp_path / "kept.eml").read_bytes() == raw


def test_what_is_not_held(keeper: Any) -> None:
    assert keeper("held", "list").stdout == "No mail is held.\n"
    assert keeper.json("held", "list") == []
    for command in ("show", "release", "delete"):
        result = keeper("held", command, "17")
        assert result.exit_code == 1
        assert result.stderr == "Error: no mail is held as 17; `penstock held list` shows what is\n"


def test_numbers_are_completed(keeper: Any) -> None:
    number = keeper.hold()
    complete = ShellComplete(main, {}, "penstock", "_PENSTOCK_COMPLETE")
    config = ["--config", str(keeper.installed.configuration), "held", "release"]
    assert [(item.value, item.help) for item in complete.get_completions(config, "")] == [
        (str(number), "policy: a stranger")
    ]
    keeper.installed.configuration.write_text("nonsense")
    assert complete.get_completions(config, "") == []


# Release around the handlers


def test_around_the_handlers_it_goes_as_it_is(keeper: Any) -> None:
    number = keeper.hold(Recipient("bob@example.net", notify="SUCCESS", orcpt="rfc822;b@x"), "eve@example.net")
    result = keeper("held", "release", str(number), "--around")
    assert result.exit_code == 0
    [waiting] = keeper.store.waiting()
    assert f"✓ {number}: <bob@example.net> goes to Postfix as letter {waiting.number}" in result.stdout
    assert waiting.envelope.recipients[0] == Recipient("bob@example.net", notify="SUCCESS", orcpt="rfc822;b@x")
    assert (waiting.handler, waiting.message_id) == ("policy", "<1@example.org>")
    assert b"let me in" in bytes(keeper.store.letter(waiting))
    assert numbers(keeper) == []
    assert keeper.audit == [("released", "held", str(number))]


def test_what_postfix_refuses_is_held_again(keeper: Any) -> None:
    names = ("bob", "eve", "joe")
    bob, eve, joe = (Recipient(f"{name}@example.net", notify="DELAY", orcpt="rfc822;x@y") for name in names)
    number = keeper.hold(bob, eve, joe, verp=True)
    keeper("held", "release", str(number), "--around")
    [waiting] = keeper.store.claim("us", keeper.clock.now())
    keeper.store.settle_letter(waiting, [REFUSED, OK, LATER], keeper.clock.now(), None)
    assert [letter.envelope.recipients for letter in keeper.store.waiting()] == [(joe,)]
    keeper("outbox", "delete", str(waiting.number))
    assert [kept.mail.envelope.recipients for kept in keeper.store.held()] == [(bob,)]
    [again] = keeper.json("held", "list")
    assert (again["recipients"], again["refused_by_postfix"]) == (["bob@example.net"], True)
    assert "550 5.1.1 no such user" in again["reason"]
    assert keeper("held", "release", str(again["number"])).exit_code == 0  # and loads no handler for it
    [waiting] = keeper.store.waiting()
    assert (waiting.recipients, waiting.verp) == (("bob@example.net",), True)


def test_to_another_address(keeper: Any) -> None:
    number = keeper.hold("bob@example.net", "eve@example.net")
    keeper("held", "release", str(number), "--around", "--to", "<desk@example.com>")
    assert letters(keeper) == [("desk@example.com",)]
    assert numbers(keeper) == []


def test_there_is_no_way_around_the_handlers_of_an_owned_domain(keeper: Any) -> None:
    keeper.installed.configure("penstock.handlers.tea")
    numbers_ = [str(keeper.hold()), str(keeper.hold("tea@LISTS.test"))]
    result = keeper("held", "release", *numbers_, "--around")
    assert result.exit_code == 1
    assert "<tea@LISTS.test> is in a domain of ours, where only handlers take mail" in result.stderr
    assert letters(keeper) == []


def test_in_bulk(keeper: Any) -> None:
    kept = keeper.hold(handler="tea")
    for _ in range(5):
        keeper.hold()
    assert keeper("held", "release", "--handler", "policy", "--since", "1h", "--around").exit_code == 0
    assert numbers(keeper) == [kept]
    assert len(letters(keeper)) == 5
    assert keeper("held", "release", "--all", "--around").exit_code == 0
    assert numbers(keeper) == []


@pytest.mark.parametrize("said", [[], ["1", "--all"], ["1", "--handler", "x"], ["--all", "--handler", "x"]])
def test_which_ones_are_meant_must_be_said_once(keeper: Any, said: list[str]) -> None:
    for command in ("release", "delete"):
        result = keeper("held", command, *said)
        assert result.exit_code == 2
        assert "Give numbers, or say which" in result.stderr


# Release through the handlers


def test_the_handlers_run_again_with_their_effects(keeper: Any) -> None:
    keeper.handler("""
        @route("{name}@lists.test")
        def START(mail, name):
            mail.send(mail.sender, "note", name=name)
            return OPEN
        @route("{name}@lists.test")
        def OPEN(mail):
            raise Reject(550, "5.7.1", "once only")
        STATE_KEY = "{name}"
    """)
    templates = keeper.installed.folder / "templates"
    templates.mkdir()
    (templates / "note.txt").write_text("Subject: A note\n\n{{ name }}\n")
    first, second = (keeper.hold("x@lists.test", handler="broken") for _ in range(2))
    result = keeper("held", "release", str(first))
    assert f"✓ {first}: <x@lists.test> consumed by handler_" in result.stdout
    assert [conversation.state for conversation in keeper.store.conversations()] == ["OPEN"]
    assert letters(keeper) == [("ann@example.org",)]
    assert keeper.audit == [("released", "held", str(first))]
    result = keeper("held", "release", str(second))
    assert result.exit_code == 1
    assert "refuses it: 550 5.7.1 once only" in result.stdout
    assert result.stderr.startswith("Error: 1 of 1 held messages stay held")
    [kept] = keeper.store.held()
    assert (kept.number, kept.mail.reason.endswith("refuses it: 550 5.7.1 once only")) == (second, True)


def test_what_passes_goes_on_with_its_edits_and_what_does_not_stays(keeper: Any) -> None:
    keeper.handler("""
        @stateless
        def mark(mail):
            mail.message["X-Seen"] = "yes"
        @stateless
        @route("eve@example.net")
        def suspect(mail):
            raise Hold("still a stranger")
    """)
    number = keeper.hold(Recipient("bob@example.net", notify="NEVER"), "eve@example.net")
    result = keeper("held", "release", str(number))
    assert result.exit_code == 1
    assert f"✓ {number}: <bob@example.net> passed on" in result.stdout
    assert f"✗ {number}: <eve@example.net> handler_" in result.stdout
    [waiting] = keeper.store.waiting()
    assert waiting.envelope.recipients == (Recipient("bob@example.net", notify="NEVER"),)
    assert keeper.store.letter(waiting)["X-Seen"] == "yes"
    [kept] = keeper.store.held()
    assert [r.address for r in kept.mail.envelope.recipients] == ["eve@example.net"]
    assert kept.mail.reason.endswith("holds it: still a stranger")
    assert "X-Seen" not in kept.mail.message
    assert keeper.audit == [("released", "held", str(number))]


def test_a_handler_that_fails_again_keeps_it_held(keeper: Any) -> None:
    keeper.handler("""
        from sqlalchemy import Column, Integer, MetaData, Table, insert
        metadata = MetaData()
        rows = Table("fails_rows", metadata, Column("number", Integer, primary_key=True))
        @stateless
        def fails(mail):
            mail.db.execute(insert(rows).values(number=1))
            raise ValueError("again")
    """)
    if keeper.installed.url.startswith("postgresql"):
        assert keeper("db", "upgrade").exit_code == 0
    number = keeper.hold(attempts=10)
    result = keeper("held", "release", str(number))
    assert result.exit_code == 1
    assert "failed: ValueError: again" in result.stdout
    [kept] = keeper.store.held()
    assert (kept.number, kept.mail.attempts) == (number, 11)
    assert 'raise ValueError("again")' in (kept.mail.traceback or "")
    assert keeper.audit == []
    assert letters(keeper) == []


def test_to_another_address_all_go_or_none(keeper: Any) -> None:
    keeper.handler("""
        @stateless
        @route("eve@example.net")
        def suspect(mail):
            raise Hold("a stranger")
    """)
    number = keeper.hold()
    result = keeper("held", "release", str(number), "--to", "eve@example.net", "--to", "joe@example.net")
    assert result.exit_code == 1
    assert letters(keeper) == []
    assert [kept.mail.envelope.recipients for kept in keeper.store.held()] == [(Recipient("bob@example.net"),)]
    assert keeper("held", "release", str(number), "--to", "joe@example.net").exit_code == 0
    assert letters(keeper) == [("joe@example.net",)]


def test_a_notice_of_delivery_that_was_asked_for(keeper: Any) -> None:
    keeper.handler("""
        @route("x@lists.test")
        def START(mail):
            pass
    """)
    keeper.hold(Recipient("x@lists.test", notify="SUCCESS"))
    assert keeper("held", "release", "--all").exit_code == 0
    [notice] = keeper.store.waiting()
    assert notice.recipients == ("ann@example.org",)
    assert b"Action: delivered" in bytes(keeper.store.letter(notice))


def test_handlers_that_do_not_load_are_no_hindrance_but_for_running_them(keeper: Any) -> None:
    number = str(keeper.hold())
    keeper.handler("nonsense here")
    assert "does not import" in keeper("held", "release", number).stderr
    assert keeper("held", "list").exit_code == 0
    assert keeper("held", "release", number, "--around").exit_code == 0


# Deletion


def test_deletion(keeper: Any) -> None:
    first, second, *_ = [keeper.hold() for _ in range(4)]
    assert keeper("held", "delete", str(first)).stdout == f"{first}: deleted\n"
    result = keeper("held", "delete", "--handler", "policy")
    assert result.exit_code == 2
    assert "Delete 3 held messages for good? Nobody is there to ask; say --yes." in result.stderr
    assert len(numbers(keeper)) == 3
    assert keeper("held", "delete", "--handler", "policy", "--yes").exit_code == 0
    assert numbers(keeper) == []
    assert keeper.audit[:2] == [("deleted", "held", str(first)), ("deleted", "held", str(second))]


def test_nothing_is_done_where_one_of_several_is_not_there(keeper: Any) -> None:
    number = keeper.hold()
    assert keeper("held", "delete", str(number), "99", "--yes").exit_code == 1
    assert numbers(keeper) == [number]


def test_there_is_no_store_yet(penstock_in: Any) -> None:
    result = penstock_in("held", "list")
    assert result.exit_code == 1
    assert "is not there yet; the service makes it at its first start" in result.stderr
    assert not penstock_in.store_file.exists()


# Two at once


def test_who_comes_second_releases_nothing(keeper: Any) -> None:
    number = keeper.hold()
    custody = keeper.store.custody("ann", keeper.clock.now())
    [seen] = custody.held(Which())
    assert keeper("held", "release", str(number), "--around").exit_code == 0
    with pytest.raises(Clash, match=f"held mail {number} was released or deleted by another"):
        custody.release_around(seen, seen.envelope)
    assert len(custody.delete_held([seen])) == 1
    assert len(letters(keeper)) == 1
    assert keeper.audit == [("released", "held", str(number))]


def test_a_handler_that_meets_another_release_undoes_what_it_did(keeper: Any) -> None:
    """The mail is gone while the handlers run over it: their effects go, too."""
    keeper.handler("""
        from penstock.filter.store import Store, Which
        @route("x@lists.test")
        def START(mail):
            store = Store(URL)
            custody = store.custody("eve", mail.now)
            custody.delete_held(custody.held(Which()))
            store.close()
            return OPEN
        @route("x@lists.test")
        def OPEN(mail):
            pass
    """.replace("URL", repr(keeper.installed.url)))
    number = keeper.hold("x@lists.test")
    result = keeper("held", "release", str(number))
    assert result.exit_code == 1
    assert f"held mail {number} was released or deleted by another" in result.stdout
    assert keeper.store.conversations() == []
    entries = keeper.store.custody("", keeper.clock.now()).audit(Which())
    assert [(entry.who, entry.done.deed) for entry in entries] == [("eve", "deleted")]


@pytest.mark.parametrize(("answer", "left"), [(b"y\n", 0), (b"\n", 2)])
def test_a_person_is_asked_before_deletion_in_bulk(keeper: Any, answer: bytes, left: int) -> None:
    for _ in range(2):
        keeper.hold()
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", "from penstock.filter.commands import main; main()"]
    arguments = ["--config", str(keeper.installed.configuration), "held", "delete", "--all"]
    os.write(ours, answer)
    done = subprocess.run([*command, *arguments], stdin=theirs, capture_output=True, timeout=60)
    os.close(ours)
    os.close(theirs)
    assert b"Delete 2 held messages for good? [y/N]" in done.stdout
    assert done.returncode == bool(left)
    assert len(numbers(keeper)) == left
