"""What comes of mail as Postfix hands it over: each message in captured/, through each handler.

The messages were captured with their envelopes behind a real Postfix: captured/anew.py says how.
"""

import json
import re
from pathlib import Path

import pytest
from penstock import Envelope, Message

CAPTURED = Path(__file__).parent / "captured"
NAMES = sorted(file.stem for file in CAPTURED.glob("*.eml"))
ANN, BOB = "ann@example.org", "bob@example.com"
LIST = "tea@lists.test"

attachments = pytest.mark.penstock(handlers=["penstock.handlers.attachments"])
policy = pytest.mark.penstock(
    handlers=["penstock.handlers.policy"],
    options={
        "policy": {
            "rules": [
                {"name": "carol", "action": "reject", "recipient": ["carol@*"], "code": 554, "text": "Not for Carol"},
                {"name": "marked", "action": "reject", "source": ["remote"], "headers": {"X-Spam-Flag": ["yes"]}},
                {"name": "list", "action": "discard", "client": ["192.0.2.0/24"], "headers": {"List-Id": ["*tea*"]}},
                {"name": "notices", "action": "hold", "client_name": ["*.stranger.test"], "sender": ["<>"]},
                {"name": "robots", "action": "defer", "headers": {"Auto-Submitted": ["auto-*"]}},
                {"name": "shell", "action": "discard", "source": ["local"], "helo": [""]},
            ]
        }
    },
)
autoreply = pytest.mark.penstock(
    handlers=["penstock.handlers.autoreply"],
    options={"autoreply": {"away": {ANN: {"text": "I am back on Monday.", "aliases": ["ännchen@example.org"]}}}},
)
tea = pytest.mark.penstock(handlers=["penstock.handlers.tea"], routing={"host": r"lists\.test"})


def captured(penstock, name, **changes):
    return penstock.eml(f"captured/{name}.eml", **changes)


# What was captured


@pytest.mark.parametrize("name", NAMES)
def test_it_came_through_postfix_and_names_no_machine(name):
    message = Message((CAPTURED / f"{name}.eml").read_bytes())
    [received] = message.get_all("Received")
    assert re.match(r"(?:from client\.penstock\.test \(\S+ \[[0-9.]+\]\)\s+)?by mx\.penstock\.test \(Postfix", received)
    envelope = Envelope.from_dict(json.loads((CAPTURED / f"{name}.eml.json").read_text("utf-8")))
    assert envelope.size == message.size
    assert envelope.queue_id in (None, re.search(r"\bid (\w+)", received)[1])


def test_the_envelopes_have_what_postfix_told():
    def told(name):
        return Envelope.from_dict(json.loads((CAPTURED / f"{name}.eml.json").read_text("utf-8")))

    assert told("bounce").is_null
    assert told("eight-bit").body == "8BITMIME"
    assert told("international").smtputf8
    assert (told("notify").ret, told("notify").envid) == ("HDRS", "QQ+2B314")
    assert told("notify").recipients[0].notify == "SUCCESS,DELAY"
    assert told("notify").recipients[0].orcpt == "rfc822;Ann+2BOld@example.org"
    assert (told("lunch").client.source, told("lunch").client.address) == ("LOCAL", "127.0.0.1")
    assert (told("offer").client.source, told("offer").client.name) == ("REMOTE", "mail.stranger.test")
    assert (told("pickup").client.source, told("pickup").queue_id) == ("LOCAL", None)


# attachments


@pytest.mark.parametrize("name", [name for name in NAMES if name != "invoice"])
@attachments
def test_attachments_leaves_it_alone(penstock, name):
    captured(penstock, name).unchanged()


@attachments
def test_attachments_takes_the_program_out_of_the_invoice_and_nothing_else(penstock):
    got = captured(penstock, "invoice").passed()
    before, after = bytes(got.arrival.message), bytes(got.message)
    program = before.rindex(b"--frontier\r\n") + len(b"--frontier\r\n")
    assert after.startswith(before[:program])
    assert after.endswith(b"\r\n--frontier--\r\n")
    assert b"TVqQ" not in after
    notice = got.message.parts[2]
    assert (notice.content_type, notice.filename) == ("text/plain", "invoice.pdf.exe.txt")
    assert "Programs are not accepted here" in notice.text
    assert got.arrival.envelope.client.source == "REMOTE"


# policy

DECIDED = {
    "offer": lambda got: got.held("is not verified"),
    "list-post": lambda got: got.discarded("list"),
    "bounce": lambda got: got.held("notices"),
    "vacation": lambda got: got.deferred(450, "4.7.1", "Refused by policy"),
    "pickup": lambda got: got.discarded("shell"),
}


@pytest.mark.parametrize("name", [name for name in NAMES if name != "three"])
@policy
def test_policy_decides_by_header_and_envelope(penstock, name):
    DECIDED.get(name, lambda got: got.unchanged())(captured(penstock, name))


@policy
def test_policy_refuses_one_of_three(penstock):
    got = captured(penstock, "three")
    got.asserted = True
    fates = {address: str(got[address].fate) for address in got}
    assert fates == {ANN: "sent", "carol@example.org": "rejected", "dora@example.org": "sent"}
    assert str(got["carol@example.org"].reply) == "554 5.7.1 Not for Carol"


# autoreply

ANSWERED = {
    "lunch": (BOB, "Auto: Lunch on Friday?"),
    "three": (BOB, "Auto: To all"),
    "eight-bit": (BOB, "Auto: Greetings"),
    "notify": (BOB, "Auto: The contract"),
    "international": ("jörg@bücher.example", "Auto: Grüße"),
    "invoice": ("billing@example.com", "Auto: Your invoice"),
    "pickup": ("dora@example.org", "Auto: From the shell"),
}


@pytest.mark.parametrize(("name", "to", "subject"), [(name, *letter) for name, letter in ANSWERED.items()])
@autoreply
def test_autoreply_answers_a_person(penstock, name, to, subject):
    got = captured(penstock, name).unchanged()
    letter = penstock.person(to).gets(text="I am back on Monday.")
    assert letter.message["Subject"] == subject
    assert letter.sender == ""
    assert letter.message["In-Reply-To"] == got.arrival.message["Message-ID"]
    penstock.no_more_letters()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ANSWERED])
@autoreply
def test_autoreply_is_silent_to_robots_lists_and_spam(penstock, name):
    captured(penstock, name).unchanged()
    penstock.no_more_letters()


# tea


@tea
def test_tea_takes_a_member_by_mail_that_came_through_postfix(penstock):
    captured(penstock, "join").consumed()
    ann = penstock.person(ANN)
    assert penstock.state("tea", ann, listname="tea") == "JOINING"
    ann.answers(ann.gets(subject="Please confirm"))
    ann.gets(subject="Welcome")
    assert penstock.state("tea", ann, listname="tea") == "POSTING"
    penstock.no_more_letters()


@tea
def test_tea_refuses_programs_to_whom_it_may_and_holds_those_of_strangers(penstock):
    captured(penstock, "invoice").held("is not verified")
    captured(penstock, "invoice", client={"source": "LOCAL"}).rejected(550, "5.7.1", "Executables")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("join", "invoice")])
@tea
def test_tea_has_nothing_to_do_with_mail_for_others(penstock, name):
    captured(penstock, name).unchanged()
    penstock.no_more_letters()


TO_THE_LIST = {
    **{name: lambda got: got.rejected(550, "5.7.1", "Join first") for name in NAMES},
    "offer": lambda got: got.held("is not verified"),
    "invoice": lambda got: got.held("is not verified"),
    "vacation": lambda got: got.discarded("automatic"),
    "list-post": lambda got: got.discarded("automatic"),
    "bounce": lambda got: got.discarded("a bounce"),
}


@pytest.mark.parametrize("name", NAMES)
@tea
def test_tea_takes_no_post_from_who_is_no_member(penstock, name):
    TO_THE_LIST[name](captured(penstock, name, to=[LIST]))
    penstock.no_more_letters()
