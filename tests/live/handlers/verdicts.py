"""One address, one verdict: what the live tests send to."""

from dataclasses import dataclass
from pathlib import Path

from penstock import Defer, Discard, Hold, Mail, Reject, route, stateless


@dataclass(frozen=True)
class Options:
    """While the file `gate` is missing, mail for defer@ waits."""

    gate: Path


@stateless
@route("defer@verdicts.test")
def wait_for_the_gate(mail: Mail, options: Options) -> None:
    if not options.gate.exists():
        raise Defer(451, "4.7.1", "Wait for the gate")


@stateless
@route("reject@verdicts.test")
def refuse(mail: Mail) -> None:
    raise Reject(550, "5.7.1", "Refused by the test")


@stateless
@route("discard@verdicts.test")
def drop(mail: Mail) -> None:
    raise Discard("by the test")


@stateless
@route("hold@verdicts.test")
def keep(mail: Mail) -> None:
    raise Hold("by the test")


@stateless
@route("stamp@verdicts.test")
def stamp(mail: Mail) -> None:
    mail.message.add("X-Stamp", "seen")


@stateless
@route("fail@verdicts.test")
def fail(mail: Mail) -> None:
    raise RuntimeError("this handler is broken")


@route("box@verdicts.test")
def START(mail: Mail) -> None:
    raise Hold("a box of our own")
