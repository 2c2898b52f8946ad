"""What is kept: rows, letters and states together or not at all; the ledger whatever the verdict."""

import sys

import pytest
from penstock.filter.config import duration
from penstock.filter.envelope import Client, Envelope
from sqlalchemy import select

DATABASES = ["sqlite", "postgresql"]

NOTES = """
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

class Base(DeclarativeBase):
    pass

class Note(Base):
    __tablename__ = f"{__name__}_notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(unique=True)

metadata = Base.metadata

@route("{what}@{host}")
def START(mail, what):
    return note(mail, what)

@route("{what}@{host}")
def NOTED(mail, what):
    return note(mail, what)

def note(mail, what):
    mail.ledger.add("seen")
    mail.db.add(Note(text=what))
    mail.reply(f"{__name__}/note")
    if what.startswith("reject"):
        return Reject(550, "5.7.1", "no", then=NOTED)
    if what.startswith("hold"):
        return Hold("hm", then=NOTED)
    if what.startswith("discard"):
        return Discard("hm", then=NOTED)
    if what.startswith("defer"):
        return Defer(451, "4.7.1", "later", then=NOTED)
    if what.startswith("fail"):
        raise KeyError(what)
    if what.startswith("commit"):
        mail.db.commit()
        raise KeyError(what)
    return NOTED
"""


def notes(post):
    model = sys.modules[post.handlers[0]].Note
    with post.db as db:
        return list(db.scalars(select(model.text).order_by(model.id)))


@pytest.mark.parametrize(
    ("what", "check"),
    [
        ("consume", lambda got: got.consumed()),
        ("reject", lambda got: got.rejected(550)),
        ("hold", lambda got: got.held("hm")),
        ("discard", lambda got: got.discarded("hm")),
    ],
)
def test_every_verdict_but_defer_commits_rows_letter_and_state(office, what, check):
    post = office(NOTES)
    ann = post.person("ann@example.org")
    check(ann.writes(f"{what}@lists.test"))
    assert notes(post) == [what]
    ann.gets(subject="A note")
    assert post.state(post.handlers[0], ann, key="") == "NOTED"


def test_defer_rolls_all_back(office):
    post = office(NOTES)
    ann = post.person("ann@example.org")
    ann.writes("defer@lists.test").deferred(451, "4.7.1", "later")
    assert notes(post) == []
    post.no_more_letters()
    assert post.state(post.handlers[0], ann, key="") == "START"


@pytest.mark.parametrize("what", ["fail", "commit"])
def test_an_exception_rolls_all_back_even_after_a_commit_of_the_session(office, what):
    post = office(NOTES)
    ann = post.person("ann@example.org")
    with pytest.raises(KeyError):
        ann.writes(f"{what}@lists.test")
    assert notes(post) == []
    post.no_more_letters()


def test_each_recipient_is_kept_or_rolled_back_by_itself(office):
    post = office(NOTES)
    got = post.person("ann@example.org").writes([f"{w}@lists.test" for w in ("one", "defer", "two", "defer2", "three")])
    assert [got[a].fate for a in got] == ["consumed", "deferred", "consumed", "deferred", "consumed"]
    got.asserted = True
    assert notes(post) == ["one", "two", "three"]


def test_a_row_that_the_database_refuses_is_the_handlers_error(office):
    post = office(NOTES)
    ann = post.person("ann@example.org")
    ann.writes("same@lists.test")
    with pytest.raises(Exception, match=r"(?i)unique"):
        ann.writes("same@lists.test")
    assert notes(post) == ["same"]


def test_the_ledger_is_kept_whatever_the_verdict(office):
    post = office(NOTES)
    ann = post.person("ann@example.org")
    ann.writes("defer@lists.test").deferred()
    with pytest.raises(KeyError):
        ann.writes("fail@lists.test")
    handler = post.handlers[0]
    assert post._store.ledger.page(handler, post.clock.now()).count("seen") == 2


def test_a_crash_before_the_commit_loses_nothing_and_repeats_nothing(office):
    post = office(NOTES)
    ann = post.person("ann@example.org")
    post.crash_before_commit()
    got = ann.writes("once@lists.test").deferred(451, "4.3.0")
    assert notes(post) == []
    post.no_more_letters()
    post.redeliver(got).accepted()
    post.redeliver(got).accepted()
    assert notes(post) == ["once"]
    ann.gets(subject="A note")
    post.no_more_letters()


def test_counters_with_a_window_start_anew_and_values_end(office):
    post = office("""
from datetime import timedelta

@route("x@{host}")
def START(mail):
    count = mail.ledger.add("rate", window="1h")
    known = mail.ledger.get("first")
    if known is None:
        mail.ledger.set("first", f"at {count}", life=timedelta(hours=2))
    mail.reply(f"{__name__}/note", subject=f"{count} {known}")
""")
    ann = post.person("ann@example.org")
    for advance, subject in (("0s", "1 None"), ("30m", "2 at 1"), ("31m", "1 at 1"), ("2h", "1 None")):
        post.clock.advance(duration(advance))
        ann.writes("x@lists.test")
        ann.gets(subject=subject)


CONFIRM = """
STATE_KEY = "{name}"

@route("{name}-ask@{host}")
def START(mail, name):
    mail.confirm("ask", name, via=ASKED, expires="3d")
    return ASKED

@route("{name}-answer+{token}@{host}")
def ASKED(mail, name, token):
    asked = mail.confirmed("ask", name, token)
    if asked is None:
        return None
    mail.reply(f"{__name__}/note", subject=f"You asked: {asked.message['Subject']}")
    return DONE

@route("{name}-answer+{token}@{host}")
def DONE(mail, name, token):
    mail.reply(f"{__name__}/note", subject=f"again: {mail.confirmed('ask', name, token)}")
"""


def test_confirm_keeps_the_original_and_takes_a_token_once(office):
    post = office(CONFIRM)
    ann = post.person("ann@example.org")
    ann.writes("tea-ask@lists.test", subject="Let me in")
    letter = ann.gets(subject="Please confirm")
    assert letter.sender == ""
    assert letter.message["Auto-Submitted"] == "auto-replied"
    ann.answers(letter)
    ann.gets(subject="You asked: Let me in")
    ann.answers(letter)
    ann.gets(subject="again: None")


def test_a_token_is_good_for_its_sender_purpose_and_time_alone(office):
    post = office(CONFIRM)
    ann, eve = post.person("ann@example.org"), post.person("eve@example.org")
    ann.writes("tea-ask@lists.test")
    letter = ann.gets(subject="Please confirm")
    eve.writes("tea-ask@lists.test")
    eve.gets(subject="Please confirm")
    eve.answers(letter).consumed()
    eve.gets_nothing()
    address = letter.message["From"]
    ann.writes(address.replace("tea-", "coffee-")).rejected(550)
    ann.writes(address[:-30] + "aaaa" + address[-26:]).consumed()
    ann.answers(letter, headers={"Auto-Submitted": "auto-replied"}).discarded("automatic")
    post.advance("4d")
    ann.answers(letter).consumed()
    post.no_more_letters()
    assert post.state(post.handlers[0], ann, name="tea") == "ASKED"


def test_a_token_ignores_case(office):
    post = office(CONFIRM)
    ann = post.person("ann@example.org")
    ann.writes("tea-ask@lists.test")
    ann.writes((ann.gets().message["From"]).upper())
    ann.gets(subject="You asked")


def test_stateless_functions_run_in_order_on_what_is_left_for_each_recipient(office):
    post = office(
        sources={
            "first": """
@stateless
def whole(mail):
    mail.message["X-Whole"] = ",".join(mail.recipients)
    mail.results["first"] = "seen"

@stateless
@route("b@{host}")
def only_b(mail):
    mail.message["X-B"] = mail.results["first"]
""",
            "second": """
@stateless
@route("{who}@{host}")
def each(mail, who):
    mail.message["X-Each"] = f"{who} {mail.message['X-B']}"
    if who == "c":
        raise Reject(550, "5.7.1", "not c")
""",
            "third": """
@route("b@{host}")
def START(mail):
    mail.reply(f"{__name__}/note", subject=mail.message["X-Each"])
""",
        }
    )
    ann = post.person("ann@example.org")
    got = ann.writes(["a@lists.test", "b@lists.test", "c@lists.test", "d@else.test"])
    assert [got[a].fate for a in got] == ["sent", "consumed", "rejected", "sent"]
    got.asserted = True
    assert got["a@lists.test"].message["X-Each"] == "a None"
    assert got["d@else.test"].message["X-Whole"] == "a@lists.test,b@lists.test,c@lists.test,d@else.test"
    assert got["d@else.test"].message["X-Each"] is None
    ann.gets(subject="b seen")
    assert got["c@lists.test"].reply.text == "not c"


LOCAL = Client(source="LOCAL")
ODD = ['"a@b"@lists.test', "postmaster", "x" * 300 + "@lists.test", "b\udcffb@lists.test", "@lists.test"]


@pytest.mark.parametrize("address", ODD)
def test_a_star_sees_every_recipient_however_odd(office, address):
    post = office("""
@stateless
@route("*")
def each(mail):
    mail.ledger.add(mail.recipient)
    mail.move(SEEN, mail.recipient)
    raise Reject(550, "5.7.1", "seen")

@route("never@{host}")
def SEEN(mail):
    pass
""")
    ann = post.person("ann@example.org")
    ann.writes("plain@lists.test").rejected(text="seen")
    message = ann.writes("other@lists.test").rejected().arrival.message
    post.deliver(message, Envelope(address, client=LOCAL).to(address)).rejected(text="seen")
    assert post.state(post.handlers[0], address, key=address) == "SEEN"


def test_a_message_level_verdict_is_everyones(office):
    post = office("""
@stateless
def whole(mail):
    if "spam" in mail.message["Subject"]:
        raise Reject(550, "5.7.1", "no spam")
""")
    ann = post.person("ann@example.org")
    ann.writes(["a@x.test", "b@y.test"], subject="spam").rejected(550, "5.7.1", "no spam")
    ann.writes(["a@x.test", "b@y.test"], subject="ham").unchanged()


def test_across_modules_the_first_in_order_takes_the_recipient(office):
    source = """
@route("{what}-x@{host}")
def START(mail):
    mail.reply(f"{__name__}/note", subject="first")
"""
    post = office(sources={"one": source, "two": source.replace("{what}-x", "a-x").replace("first", "second")})
    ann = post.person("ann@example.org")
    ann.writes("a-x@lists.test")
    ann.gets(subject="first")
    post.no_more_letters()


def test_letters_to_our_own_addresses_come_back_in_and_a_loop_ends_as_held_mail(office):
    post = office(
        """
@route("{name}@{host}", automatic=True, always=True)
def START(mail, name):
    mail.redirect("round@lists.test")
""",
        owned=("lists.test",),
    )
    post.person("ann@example.org").writes("round@lists.test")
    [held] = post.held
    assert "a loop" in held.reason


def test_options_are_checked_and_passed(office):
    source = """
from dataclasses import dataclass
from datetime import timedelta

@dataclass(frozen=True)
class Options:
    greeting: str
    delay: timedelta = timedelta(0)

@route("x@{host}")
def START(mail, options):
    mail.reply(f"{__name__}/note", subject=f"{options.greeting} {options.delay}")
"""
    post = office(source, options={"greeting": "Hi", "delay": "2h"})
    ann = post.person("ann@example.org")
    ann.writes("x@lists.test")
    ann.gets(subject="Hi 2:00:00")


def test_edits_of_a_letter_until_the_handler_returns(office):
    post = office("""
@route("x@{host}")
def START(mail):
    letter = mail.reply(f"{__name__}/note", subject="One")
    assert letter.message_id
    letter.message["Subject"] = "Two"
    letter.sender = "bounces@lists.test"
    mail.message["Subject"] = "changed after"
    sent = mail.redirect(["bob@else.test", "eve@else.test"], verp=True, sender="l-bounces@lists.test")
    mail.message["Subject"] = "changed later still"
""")
    ann = post.person("ann@example.org")
    ann.writes("x@lists.test", subject="Original")
    letter = ann.gets(subject="Two")
    assert letter.sender == "bounces@lists.test"
    sent = post.person("bob@else.test").gets(subject="changed after")
    assert (sent.sender, sent.verp) == ("l-bounces@lists.test", True)
    post.person("eve@else.test").gets(subject="changed after")
