"""States: which function answers, what its answer does, and what is kept."""

import pytest

DATABASES = ["sqlite", "postgresql"]

COUNTER = """
STATE_KEY = "{name}"

@route("{name}-go@{host}")
def START(mail):
    return GOING

@route("{name}-go@{host}")
@route("{name}-stop@{host}")
def GOING(mail, name):
    if mail.recipient.startswith(name + "-stop"):
        return START
    return None

@route("{name}-help@{host}", always=True)
def help(mail):
    mail.reply(f"{__name__}/note", subject="Help")
"""


def test_a_conversation_moves_stays_and_ends(office):
    post = office(COUNTER)
    ann = post.person("ann@example.org")
    assert post.state(post.handlers[0], ann, name="x") == "START"
    ann.writes("x-go@lists.test").consumed()
    assert post.state(post.handlers[0], ann, name="x") == "GOING"
    ann.writes("x-go@lists.test").consumed()
    assert post.state(post.handlers[0], ann, name="x") == "GOING"
    assert post.state(post.handlers[0], "bob@example.org", name="x") == "START"
    ann.writes("x-stop@lists.test").consumed()
    assert post.state(post.handlers[0], ann, name="x") == "START"


def test_an_address_that_the_state_does_not_answer_is_refused(office):
    post = office(COUNTER)
    post.person("ann@example.org").writes("x-stop@lists.test").rejected(550, "5.7.1")


def test_an_always_route_answers_in_any_state(office):
    post = office(COUNTER)
    ann = post.person("ann@example.org")
    ann.writes("x-help@lists.test")
    ann.writes("x-go@lists.test")
    ann.writes("x-help@lists.test")
    ann.gets(subject="Help")
    ann.gets(subject="Help")
    assert post.state(post.handlers[0], ann, name="x") == "GOING"


def test_the_match_with_most_literals_gives_the_blanks(office):
    post = office("""
STATE_KEY = "{name}"

@route("{name}@{host}")
def START(mail, name):
    return OTHER

@route("{name}-join@{host}")
def OTHER(mail, name):
    return START
""")
    ann = post.person("ann@example.org")
    ann.writes("tea-join@lists.test").rejected(550, "5.7.1")
    ann.writes("tea@lists.test").consumed()
    ann.writes("tea-join@lists.test").consumed()
    assert post.state(post.handlers[0], ann, name="tea") == "START"


def test_the_sender_is_keyed_by_identity_and_answered_as_received(office):
    post = office(COUNTER)
    post.person("Ann@Example.ORG").writes("x-go@lists.test").consumed()
    assert post.state(post.handlers[0], "ann@example.org", name="x") == "GOING"
    tagged = post.person("prvs=1234567890=ann@example.org")
    tagged.writes("x-help@lists.test")
    tagged.gets(subject="Help")


def test_sender_key_none_leaves_the_sender_out(office):
    post = office("SENDER_KEY = None\n" + COUNTER)
    post.person("ann@example.org").writes("x-go@lists.test")
    assert post.state(post.handlers[0], name="x") == "GOING"
    post.person("bob@example.org").writes("x-stop@lists.test").consumed()


def test_a_key_function_may_say_none_yet_and_move_makes_the_conversation(office):
    post = office("""
def STATE_KEY(mail, id=None):
    return id

SENDER_KEY = None

@route("desk@{host}")
def START(mail):
    mail.move(OPEN, "7")

@route("desk+{id:[0-9]+}@{host}")
def OPEN(mail, id):
    return START
""")
    ann = post.person("ann@example.org")
    ann.writes("desk@lists.test").consumed()
    assert post.state(post.handlers[0], key="7") == "OPEN"
    ann.writes("desk+7@lists.test").consumed()
    assert post.state(post.handlers[0], key="7") == "START"


def test_a_state_without_a_conversation_is_the_handlers_error(office):
    post = office("""
def STATE_KEY(mail):
    return None

@route("desk@{host}")
def START(mail):
    return OPEN

@route("desk@{host}")
def OPEN(mail):
    pass
""")
    with pytest.raises(Exception, match=r"use mail\.move"):
        post.person("ann@example.org").writes("desk@lists.test")


def test_two_recipients_in_one_conversation_run_in_rcpt_order(office):
    post = office("""
STATE_KEY = ""

@route("one@{host}")
def START(mail):
    return SECOND

@route("two@{host}")
def SECOND(mail):
    return THIRD

@route("three@{host}")
def THIRD(mail):
    pass
""")
    ann = post.person("ann@example.org")
    got = ann.writes(["two@lists.test", "one@lists.test"])
    assert (got["two@lists.test"].fate, got["one@lists.test"].fate) == ("rejected", "consumed")
    got.asserted = True
    ann.writes("two@lists.test").consumed()
    assert post.state(post.handlers[0], ann, key="") == "THIRD"


def test_bounces_and_automatic_mail_reach_only_routes_that_ask_for_them(office):
    post = office(
        """
SENDER_KEY = None

@route("plain@{host}")
def START(mail):
    mail.send("ann@example.org", f"{__name__}/note", subject="plain")

@route("bounces@{host}", bounces=True)
def bounces(mail):
    mail.send("ann@example.org", f"{__name__}/note", subject="bounce")

@route("robots@{host}", automatic=True, always=True)
def robots(mail):
    mail.send("ann@example.org", f"{__name__}/note", subject="robot")
""".replace("bounces=True)", "bounces=True, always=True)")
    )
    ann = post.person("ann@example.org")
    robot = {"Auto-Submitted": "auto-replied"}
    ann.writes("plain@lists.test", reverse_path="").discarded("bounce")
    ann.writes("plain@lists.test", headers=robot).discarded("automatic")
    ann.writes("bounces@lists.test", reverse_path="").consumed()
    ann.writes("robots@lists.test", headers=robot).consumed()
    ann.gets(subject="bounce")
    ann.gets(subject="robot")
    post.no_more_letters()


def test_the_null_reverse_path_starts_no_conversation(office):
    post = office("""
@route("x@{host}", bounces=True)
def START(mail):
    return OTHER

@route("x@{host}")
def OTHER(mail):
    pass
""")
    with pytest.raises(Exception, match="null"):
        post.person("ann@example.org").writes("x@lists.test", reverse_path="")


def test_a_deadline_runs_on_when_staying_and_starts_anew_when_returned(office):
    post = office("""
@route("{what}@{host}")
def START(mail, what):
    return WAITING

@timeout("2d", "late")
@route("{what}@{host}")
def WAITING(mail, what):
    return WAITING if what == "again" else None

def late(timer):
    timer.send(timer.sender, f"{__name__}/note", subject=f"late {timer.blanks['what']}")
    return START
""")
    ann = post.person("ann@example.org")
    ann.writes("begin@lists.test")
    post.advance("1d")
    ann.writes("stay@lists.test")
    post.advance("23h")
    post.no_more_letters()
    post.advance("2h")
    ann.gets(subject="late begin")
    assert post.state(post.handlers[0], ann, key="") == "START"
    ann.writes("begin@lists.test")
    post.advance("1d")
    ann.writes("again@lists.test")
    post.advance("47h")
    post.no_more_letters()
    post.advance("2h")
    ann.gets(subject="late again")
    post.advance("30d")
    post.no_more_letters()


def test_a_timer_that_fails_is_tried_again_and_changes_nothing(office):
    post = office("""
@route("x@{host}")
def START(mail):
    return WAITING

@timeout("1d", "late")
def WAITING(mail):
    pass

def late(timer):
    if timer.ledger.add("tries") < 3:
        timer.send(timer.sender, f"{__name__}/note", subject="too early")
        raise ValueError("not yet")
    timer.send(timer.sender, f"{__name__}/note", subject="at last")
    return START
""")
    ann = post.person("ann@example.org")
    ann.writes("x@lists.test")
    post.advance("1d")
    post.no_more_letters()
    post.advance("1h")
    ann.gets(subject="at last")
    post.no_more_letters()


def test_a_deadline_of_a_state_that_has_none_any_more_is_dropped(office, caplog):
    post = office("""
@route("x@{host}")
def START(mail):
    return WAITING

@timeout("1d", "late")
def WAITING(mail):
    pass

def late(timer):
    timer.send(timer.sender, f"{__name__}/note")
""")
    post.person("ann@example.org").writes("x@lists.test")
    [handler] = post._inside.router.handlers
    handler.timeouts.clear()
    post.advance("2d")
    assert post.timers == []
    assert "no @timeout any more" in caplog.text
    post.no_more_letters()


def test_verdicts_may_be_returned_or_raised_and_may_move(office):
    post = office("""
@route("{what}@{host}")
def START(mail, what):
    if what == "raise":
        raise Reject(550, "5.7.1", "raised", then=NEXT)
    if what == "return":
        return Reject(550, "5.7.1", "returned", then=NEXT)
    return Accept()

@route("back@{host}")
def NEXT(mail):
    return Discard("done", then=START)
""")
    ann = post.person("ann@example.org")
    for how in ("raise", "return"):
        ann.writes(f"{how}@lists.test").rejected(550, "5.7.1", how)
        assert post.state(post.handlers[0], ann, key="") == "NEXT"
        ann.writes("back@lists.test").discarded("done")
        assert post.state(post.handlers[0], ann, key="") == "START"
    ann.writes("other@lists.test").unchanged()


def test_nonsense_from_a_handler_is_an_error_that_changes_nothing(office):
    post = office("""
@route("{what}@{host}")
def START(mail, what):
    mail.reply(f"{__name__}/note")
    return {"number": 7, "name": "NOWHERE"}[what]
""")
    ann = post.person("ann@example.org")
    with pytest.raises(Exception, match="returned 7"):
        ann.writes("number@lists.test")
    with pytest.raises(Exception, match="no state 'NOWHERE'"):
        ann.writes("name@lists.test")
    post.no_more_letters()


def test_reverse_routing_fills_what_it_knows(office):
    post = office("""
@route("{name}@{host}")
def START(mail, name):
    mail.reply(f"{__name__}/note", subject=mail.address_of(ANSWER, token="abc"))

@route("{name}+{token}@{host}")
def ANSWER(mail):
    pass
""")
    ann = post.person("ann@example.org")
    ann.writes("tea@lists.test")
    ann.gets(subject="tea+abc@lists.test")
