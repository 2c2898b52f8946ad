"""One errand for each address: what the tests of the post office send to."""

from penstock import Accept, Defer, Discard, Hold, Mail, Reject, Timer, route, stateless, timeout

STATE_KEY = "errands"
SENDER_KEY = None

OTHERS = ["bob@else.test", "eve@else.test"]


@stateless
@route("mark@{host}")
def mark(mail: Mail) -> None:
    mail.message["X-Client"] = f"{mail.client.name} {mail.client.address} {mail.client.source}"


@stateless
@route("refuse@{host}")
def refuse(mail: Mail) -> None:
    raise Reject(550, "5.7.1", "Refused by the test")


@stateless
@route("wait@{host}")
def wait(mail: Mail) -> None:
    if mail.ledger.add("asked") < 2:
        raise Defer(451, "4.7.1", "Ask twice")


@stateless
@route("drop@{host}")
def drop(mail: Mail) -> None:
    raise Discard("dropped")


@stateless
@route("hold@{host}")
def hold(mail: Mail) -> None:
    raise Hold("look at it")


@stateless
@route("fail@{host}")
def fail(mail: Mail) -> None:
    raise ValueError("a mistake")


@route("write@{host}")
def START(mail: Mail):
    mail.reply("errands/note", subject="Written")
    return WRITTEN


@timeout("2d", "late")
@route("write@{host}")
def WRITTEN(mail: Mail) -> None:
    mail.reply("errands/note", subject="Written again")


def late(timer: Timer):
    timer.send("ann@example.org", "errands/note", subject="Late")
    return START


@route("spread@{host}", always=True)
def spread(mail: Mail) -> None:
    mail.redirect(OTHERS, sender="errands-bounces@desk.test", verp=True)


@route("pass-on@{host}", always=True)
def pass_on(mail: Mail) -> None:
    mail.redirect("write@desk.test", sender=mail.sender)


@route("round@{host}", always=True)
def go_round(mail: Mail) -> None:
    mail.redirect("round@desk.test", sender=mail.sender)


@route("take@{host}", always=True)
def take(mail: Mail) -> Accept:
    mail.message["X-Taken"] = "yes"
    return Accept()
