"""Before the queue: mail says what it wants done, and learns how it looked from there."""

import hashlib
import json
import time

from penstock import Defer, Discard, Hold, Mail, Rcpt, Reject, at_rcpt, stateless


@at_rcpt
def word_on(rcpt: Rcpt) -> None:
    match rcpt.recipient.partition("@")[0]:
        case "refused":
            raise Reject(550, "5.7.1", "Not at 100%, %{macro}\nnor at 50 %")
        case "later":
            raise Defer(450, "4.2.0", "Later")
        case "dropped":
            raise Discard("by the test")


@stateless
def decide(mail: Mail) -> None:
    match (mail.message["X-Do"] or "").split(None, 1):
        case ["refuse"]:
            raise Reject(554, "5.7.1", "Not at 100%, %{macro}\nnor at 50 %")
        case ["defer"]:
            raise Defer(451, "4.7.1", "Later")
        case ["discard"]:
            raise Discard("by the test")
        case ["hold", reason]:
            raise Hold(reason)
        case ["sleep", seconds]:
            time.sleep(float(seconds))
        case ["footer", text]:
            mail.message.append_text(text)


@stateless
def tell(mail: Mail) -> None:
    """What was seen, in fields of short lines."""
    octets = bytes(mail.message.raw)
    mail.message.add("X-Seen", f"{len(octets)} {hashlib.sha256(octets).hexdigest()}")
    envelope = mail.envelope.as_dict()
    for name, value in {**envelope.pop("client"), **envelope}.items():
        mail.message.add(f"X-{name.replace('_', '-')}", json.dumps(value))


