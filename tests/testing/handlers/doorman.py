"""Stands before the queue, in the tests of the post office: turns one address away, and forgets another."""

from penstock import Defer, Discard, Rcpt, at_rcpt


@at_rcpt
def look(rcpt: Rcpt) -> None:
    if rcpt.recipient.startswith("closed@"):
        raise Defer(450, "4.7.1", "Closed for now")
    if rcpt.recipient.startswith("forgotten@"):
        raise Discard("forgotten")
