"""What a sender cannot bring about by odd addresses, by a split delivery, or by a handler that fails on their mail."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from penstock.filter.envelope import Recipient
from penstock.filter.watch import GivenUp
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

DATABASES = ["sqlite", "postgresql"]

REFUSING = """
@route("no@{host}")
def START(mail):
    return Reject(550, "5.7.1", "not you")

@route("yes@{host}")
def YES(mail):
    return Accept()

@stateless
@route("yes@{host}")
def seen(mail):
    mail.message["X-Seen"] = "yes"
"""

TELLING = """
@stateless
def tell(mail):
    mail.results["dmarc"] = "fail"

@stateless
@route("{who}@{host}")
def mark(mail, who):
    mail.message["X-Dmarc"] = mail.results.get("dmarc", "unknown")
    if who == "later" and mail.ledger.add("tries") == 1:
        return Defer(451, "4.7.1", "come again")
"""

FAILING = """
@stateless
def fail(mail):
    raise ValueError("a mistake")
"""


@pytest.mark.parametrize(
    "sender", ["\udcff@example.org", "ü", '"a b"@example.org', "ann", "a" * 900 + "@example.org", "ann@[192.0.2.1]"]
)
@pytest.mark.parametrize("orcpt", [None, "rfc822;" + "a" * 1200, "rfc822;+0D+0AX: y"])
def test_a_refusal_beside_a_delivery_is_told_once_whatever_the_sender_is_called(
    door: Callable[..., Any], sender: str, orcpt: str | None
) -> None:
    port = door(REFUSING)
    for _ in range(3):
        to = (Recipient("no@lists.test", None, orcpt), "yes@else.test")
        assert port.brings(*to, smtp=True, sender=sender) == ["250 2.0.0 Ok: handled by penstock"]
    assert port.sent_to == [["yes@else.test"]]
    [letter] = port.store.waiting()
    assert letter.recipients == (sender,)
    assert b"\nX: y" not in bytes(port.store.letter(letter))


def test_a_notice_that_fails_does_not_send_the_others_copy_again(
    door: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = door(REFUSING)
    monkeypatch.setattr("penstock.filter.refusals.delivery_status", lambda *_, **__: 1 / 0)
    for _ in range(2):
        port.brings("no@lists.test", "yes@else.test", smtp=True)
    assert port.sent_to == [["yes@else.test"]]


def test_what_was_found_out_about_a_message_holds_at_a_later_try(door: Callable[..., Any]) -> None:
    port = door(TELLING)
    first = port.brings("now@lists.test", "later@lists.test", smtp=True)
    assert first == ["451 4.3.0 Some recipients could not be served now; try again later"]
    assert port.brings("now@lists.test", "later@lists.test", smtp=True) == ["250 2.0.0 Ok"]
    assert port.sent_to == [["now@lists.test"], ["later@lists.test"]]
    assert [result.message["X-Dmarc"] for result in port.sent] == ["fail", "fail"]


def test_a_message_that_a_handler_cannot_digest_is_held_for_recipients_of_a_later_batch_too(
    door: Callable[..., Any],
) -> None:
    port = door(FAILING, service={"max_attempts": 2})
    for recipient in ("ann@lists.test", "bob@lists.test"):
        assert port.brings(recipient)[0].startswith("451 ")
        assert port.brings(recipient) == ["250 2.0.0 Ok: held for review"]
    assert [each.mail.reason for each in port.store.held()] == ["the handler failed: ValueError: a mistake"] * 2


BUSY = """
from sqlalchemy import Column, Integer, MetaData, Table, insert, text
metadata = MetaData()
rows = Table("busy_rows", metadata, Column("id", Integer, primary_key=True))
ENDLESS = "with recursive n(x) as (select 1 union all select x + 1 from n) select count(*) from n"

@route("{how}@{host}")
def START(mail, how):
    mail.db.execute(insert(rows))
    if how == "query":
        mail.db.execute(text(ENDLESS))
    if how == "loop":
        db = mail.db
        while True:
            db.execute(insert(rows))
    mail.reply(f"{__name__}/note")
"""


@pytest.mark.parametrize("how", ["query", "loop"])
def test_a_handler_given_up_within_the_database_leaves_nothing_and_harms_nobody(
    door: Callable[..., Any], how: str
) -> None:
    """The driver crashes the process where one thread closes a connection that another is using."""
    port = door(BUSY, service={"handler_time_limit": "1s"})
    given: list[str] = []
    with pytest.raises(GivenUp):
        port.brings(f"{how}@lists.test", give_up=lambda reply: given.append(str(reply)))
    assert given == ["451 4.3.0 A handler took too long; the message is safe, try again later"]
    assert port.brings("well@lists.test", sender="bob@example.org") == ["250 2.0.0 Ok: handled by penstock"]
    assert port.store.looking().execute(text("select count(*) from busy_rows")).scalar() == 1


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_nothing_is_committed_to_a_database_file_that_was_deleted(
    door: Callable[..., Any], tmp_path: Path
) -> None:
    """It lives on for those who have it open: the answers would be 250, and the letters gone with the process."""
    port = door(BUSY)
    assert port.brings("well@lists.test", sender="ann@example.org") == ["250 2.0.0 Ok: handled by penstock"]
    for file in tmp_path.glob("store*.db*"):
        if "ledger" not in file.name:
            file.rename(f"{file}.away")
    assert port.brings("well@lists.test", sender="bob@example.org")[0].startswith("451 4.3.0 The store")
    with pytest.raises(OperationalError, match="no such table"):
        port.store.waiting()
    for file in tmp_path.glob("*.away"):
        file.rename(str(file).removesuffix(".away"))
    assert port.brings("well@lists.test", sender="bob@example.org") == ["250 2.0.0 Ok: handled by penstock"]
    assert len(port.store.waiting()) == 2
