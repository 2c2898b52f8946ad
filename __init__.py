"""penstock: mail applications beside Postfix.

A handler module says with decorators what its functions are, and decides with verdicts:

    from penstock import Mail, Reject, route

    @route("hello@{host}")
    def START(mail: Mail):
        mail.reply("hello/greeting")

What stands in `__all__` is all that a handler needs, and all that stays the same between releases.
"""

from penstock.filter.address import Address
from penstock.filter.declare import at_rcpt, route, stateless, timeout
from penstock.filter.envelope import Client, Envelope, Recipient
from penstock.filter.guard import may_auto_reply
from penstock.filter.letters import Letter
from penstock.filter.mail import Mail, Rcpt, Timer
from penstock.filter.message import EditError, Field, Message, Part
from penstock.filter.message.compose import compose, forward, reply
from penstock.filter.quantities import Size, duration
from penstock.filter.tables import means
from penstock.filter.verdict import Accept, Defer, Discard, Hold, Reject, Verdict

__all__ = [
    "Accept",
    "Address",
    "Client",
    "Defer",
    "Discard",
    "EditError",
    "Envelope",
    "Field",
    "Hold",
    "Letter",
    "Mail",
    "Message",
    "Part",
    "Rcpt",
    "Recipient",
    "Reject",
    "Size",
    "Timer",
    "Verdict",
    "at_rcpt",
    "compose",
    "duration",
    "forward",
    "may_auto_reply",
    "means",
    "reply",
    "route",
    "stateless",
    "timeout",
]
