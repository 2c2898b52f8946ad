"""Why a message gets no answer, beside what the guard knows of automatic mail."""

from __future__ import annotations

import re
from typing import Final

from penstock import Mail

from .options import Options, Person


def is_meant(mail: Mail, address: str, person: Person) -> bool:
    """Whether somebody else wrote it to one of the person's addresses: a Bcc or a list is no letter to them."""
    own = {each.casefold() for each in (address, *person.aliases)}
    named = (a.addr.casefold() for name in _DESTINATIONS for a in mail.message.addresses(name))
    return mail.sender not in own and any(each in own for each in named)


def is_unwanted(mail: Mail, options: Options) -> bool:
    """Whether the mail is spam, or its sender forged or impossible, as far as anyone has found out."""
    results, message = mail.results, mail.message
    score = results.get("score")
    return (
        not mail.sender.isprintable()  # stray octets or controls: nobody has such an address
        or bool(results.get("spam"))
        or str(results.get("dmarc", "")).lower() == "fail"
        or (options.spam_score is not None and isinstance(score, int | float) and score >= options.spam_score)
        or any(_YES.match(value) for name in _SPAM_MARKS for value in message.get_all(name))
    )


_DESTINATIONS: Final = ("To", "Cc", "Resent-To", "Resent-Cc")
_SPAM_MARKS: Final = ("X-Spam-Flag", "X-Spam-Status", "X-Spam")
_YES: Final = re.compile(r"\s*(?:yes|true)\b", re.IGNORECASE)
