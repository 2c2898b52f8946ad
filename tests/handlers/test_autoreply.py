"""autoreply: one letter to a person who wrote, and silence for everyone and everything else."""

import re
import tomllib
from datetime import date
from pathlib import Path

import pytest
from penstock.filter.config import ConfigError, options
from penstock.filter.reference import as_table, describe
from penstock.handlers.autoreply import Options, Person

ANN = "ann@example.org"
AWAY = {"text": "I am back on Monday.", "name": "Ann Lee", "aliases": ["ann.lee@example.org"]}
HANDLER = "penstock.handlers.autoreply"
PAGE = (Path(__file__).parents[2] / "docs" / "handlers" / "autoreply.md").read_text("utf-8")


def site(**away):
    return pytest.mark.penstock(handlers=[HANDLER], options={"autoreply": {"away": {ANN: {**AWAY, **away}}}})


@site()
def test_a_person_is_answered_once_a_period(penstock):
    bob = penstock.person("bob@example.com")
    bob.writes(ANN, "Lunch?", subject="Lunch").unchanged()
    letter = bob.gets(subject="Auto: Lunch", text="I am back on Monday.")
    assert letter.sender == ""
    assert letter.message["From"] == "Ann Lee <ann@example.org>"
    assert letter.message["Auto-Submitted"] == "auto-replied"
    assert penstock.state("autoreply", bob, key=ANN) == "REPLIED"
    penstock.advance("6d")
    bob.writes(ANN, "Lunch now?").unchanged()
    bob.gets_nothing()
    penstock.advance("1d")
    assert penstock.state("autoreply", bob, key=ANN) == "START"
    bob.writes(ANN, "Lunch at last?").unchanged()
    bob.gets(subject="Auto: Lunch at last?")


@site()
def test_the_letter_is_in_the_thread(penstock):
    bob = penstock.person("bob@example.com")
    bob.writes(ANN, "Lunch?", headers={"Message-ID": "<2@example.com>", "References": "<1@example.com>"}).unchanged()
    letter = bob.gets().message
    assert letter["In-Reply-To"] == "<2@example.com>"
    assert letter.ids("References") == ["<1@example.com>", "<2@example.com>"]


@site(html="<p>I am back on <b>Monday</b>.</p>")
def test_a_letter_with_html_has_both_forms(penstock):
    bob = penstock.person("bob@example.com")
    bob.writes(ANN, "Lunch?").unchanged()
    letter = bob.gets(text="I am back on Monday.").message
    assert "<b>Monday</b>" in letter.body("html").text


@site()
def test_each_sender_is_answered(penstock):
    for address in ("bob@example.com", "carol@example.com"):
        person = penstock.person(address)
        person.writes(ANN, "Lunch?").unchanged()
        person.gets()


@site()
def test_mail_to_an_alias_is_answered_and_remembered_as_the_person(penstock):
    bob = penstock.person("bob@example.com")
    bob.writes("Ann.Lee@example.org", "Lunch?").unchanged()
    assert bob.gets().message["From"] == "Ann Lee <ann@example.org>"
    bob.writes(ANN, "Lunch?").unchanged()
    bob.gets_nothing()


@site()
def test_other_recipients_are_left_alone(penstock):
    bob = penstock.person("bob@example.com")
    bob.writes(["carol@example.org", "dora@example.org"], "Lunch?").unchanged()
    bob.gets_nothing()


@site()
def test_a_message_that_does_not_name_the_person_is_not_answered(penstock):
    bob = penstock.person("bob@example.com")
    bob.writes(ANN, "A hidden copy", headers={"To": "undisclosed-recipients:;"}).unchanged()
    bob.gets_nothing()
    bob.writes(ANN, "A copy", headers={"To": "carol@example.org", "Cc": "Ann <ANN@Example.Org>"}).unchanged()
    bob.gets()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Auto-Submitted", "auto-replied"),
        ("Auto-Submitted", "auto-generated (rejected)"),
        ("Precedence", "bulk"),
        ("List-Id", "<tea.lists.test>"),
        ("X-Auto-Response-Suppress", "All"),
        ("X-Spam-Flag", "YES"),
        ("X-Spam-Status", "Yes, score=9.1"),
        ("X-Penstock-Loop", "yes"),
    ],
)
@site()
def test_automatic_mail_and_spam_are_not_answered(penstock, name, value):
    bob = penstock.person("bob@example.com")
    bob.writes(ANN, "Read this", headers={name: value}).unchanged()
    bob.gets_nothing()


@pytest.mark.parametrize("address", ["mailer-daemon@example.com", "noreply@example.com", "tea-request@example.com"])
@site()
def test_senders_that_are_nobody_are_not_answered(penstock, address):
    robot = penstock.person(address)
    robot.writes(ANN, "Read this").unchanged()
    robot.gets_nothing()


@site()
def test_a_bounce_is_not_answered(penstock):
    bob = penstock.person("bob@example.com")
    bob.writes(ANN, "It did not arrive", reverse_path="").unchanged()
    penstock.no_more_letters()


@site()
def test_a_list_post_is_not_answered(penstock):
    penstock.eml("list-post.eml").unchanged()
    penstock.no_more_letters()


@site()
def test_mail_to_oneself_is_not_answered(penstock):
    ann = penstock.person(ANN)
    ann.writes(ANN, "Do not forget").unchanged()
    ann.gets_nothing()


@pytest.mark.penstock(
    handlers=[HANDLER],
    options={"autoreply": {"away": {ANN: {"text": "Away."}, "bob@example.org": {"text": "Away, too."}}}},
)
def test_two_who_are_away_end_after_one_letter(penstock):
    ann, bob = penstock.person(ANN), penstock.person("bob@example.org")
    ann.writes(bob.address, "Lunch?").unchanged()
    letter = ann.gets(text="Away, too.")
    bob.sends(letter.message, ANN, reverse_path=letter.sender).unchanged()
    bob.sends(letter.message, ANN).unchanged()  # also where a relay put a reverse-path in
    penstock.no_more_letters()


@pytest.mark.penstock(
    handlers=[HANDLER],
    options={"autoreply": {"cap": 2, "away": {f"{n}@example.org": {"text": "Away."} for n in range(4)}}},
)
def test_a_flood_under_one_sender_is_capped_for_the_day(penstock):
    victim = penstock.person("victim@example.com", verified=False)
    for n in range(4):
        victim.writes(f"{n}@example.org", "forged").unchanged()
    victim.gets()
    victim.gets()
    victim.gets_nothing()


@site(**{"from": date(2026, 1, 6), "until": date(2026, 1, 7)})
def test_dates_are_whole_days(penstock):
    bob, carol, dora = (penstock.person(f"{name}@example.com") for name in ("bob", "carol", "dora"))
    bob.writes(ANN, "Monday").unchanged()
    bob.gets_nothing()
    penstock.advance("2d")
    carol.writes(ANN, "Wednesday").unchanged()
    carol.gets()
    penstock.advance("1d")
    dora.writes(ANN, "Thursday").unchanged()
    dora.gets_nothing()


@site()
def test_a_subject_is_data(penstock):
    bob = penstock.person("bob@example.com")
    penstock.eml("injection.eml", to=[ANN], sender=bob.address).unchanged()
    letter = bob.gets().message
    assert "Bcc" not in letter
    assert letter["Subject"].startswith("Auto: {{ 7 * 7 }} x")


@site()
def test_a_crash_neither_loses_the_letter_nor_doubles_it(penstock):
    bob = penstock.person("bob@example.com")
    penstock.crash_before_commit()
    got = bob.writes(ANN, "Lunch?").deferred()
    bob.gets_nothing()
    assert penstock.state("autoreply", bob, key=ANN) == "START"
    penstock.redeliver(got).unchanged()
    bob.gets()
    penstock.redeliver(got).unchanged()
    bob.gets_nothing()


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"period": "1h"}, "period must be a day or more"),
        ({"cap": 0}, "cap must be 1 or more"),
        ({"away": {"ann": {"text": "x"}}}, "'ann' is no address"),
        ({"away": {ANN: {}}}, "must be given"),
        ({"away": {ANN: {"text": "x", "subject": "A\nB: "}}}, "control character"),
        ({"away": {ANN: {"text": "x", "from": date(2026, 1, 2), "until": date(2026, 1, 1)}}}, "comes before"),
        ({"away": {ANN: {"text": "x"}, "b@example.org": {"text": "x", "aliases": [ANN]}}}, "belongs to both"),
    ],
)
def test_mistakes_are_told_at_start(table, reason):
    with pytest.raises(ConfigError, match=reason):
        options(Options, table, Path("penstock.toml"), "autoreply")


@site()
def test_a_sender_with_stray_octets(penstock):
    penstock.person("b\udcff@example.com").writes(ANN, "Lunch?", headers={"From": "b@example.com"}).passed()


def test_the_page_says_what_the_code_says():
    assert as_table(describe(Options)) in PAGE
    assert as_table(describe(Person)) in PAGE


def test_the_example_of_the_page_is_read():
    example = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[-1]
    table = tomllib.loads(example)["handlers"]["autoreply"]
    options(Options, table, Path("penstock.toml"), "autoreply")
