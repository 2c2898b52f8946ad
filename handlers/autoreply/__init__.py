"""autoreply: an answer while a person is away (RFC 3834, in the manner of RFC 5230, the vacation extension).

The message itself goes on as it came. Its sender gets one letter from the person, and then none for the
period. That memory is a conversation for each sender and person, which the machine keeps:

    START -- a letter goes out --> REPLIED -- after the period --> START

It commits together with the letter, so that a crash neither loses an answer nor sends two.

Nobody is answered who did not write to the person: one of the person's addresses must stand in To or Cc (RFC 5230
section 4.5), the mail must be no spam and not fail DMARC, and the guard against automatic mail has the last word.
"""

from __future__ import annotations

from penstock import Mail, Timer, may_auto_reply, route, stateless, timeout

from .letter import write
from .options import Options, Person
from .reasons import is_meant, is_unwanted

__all__ = ["REPLIED", "Options", "Person", "answer", "forget"]


@stateless
@route("{user}@{domain}")
def answer(mail: Mail, options: Options) -> None:
    found = options.person(mail.recipient)
    if found is None:
        return
    address, person = found
    if not person.is_away(mail.now) or not is_meant(mail, address, person) or is_unwanted(mail, options):
        return
    if mail.state_of(address) != "REPLIED" and may_auto_reply(mail, cap=options.cap):  # asked last: asking counts
        write(mail, address, person)
        mail.move(REPLIED, address)


@timeout(lambda options: options.period, "forget")
def REPLIED(mail: Mail) -> None:
    """The sender has had an answer from this person. No mail comes to this state, only its end does."""


def forget(timer: Timer) -> str:
    return "START"
