"""The letter: from the person, in the thread of the message that it answers."""

from __future__ import annotations

from typing import Final

from penstock import Address, Letter, Mail

from .options import Person

LONGEST_SUBJECT: Final = 200
"""How much of the subject answered is repeated, in characters: it is a stranger's."""


def write(mail: Mail, address: str, person: Person) -> Letter:
    """Answer the sender. The reverse-path is null and the marks of RFC 3834 are set, as in every reply."""
    subject = (mail.message["Subject"] or "").strip()[:LONGEST_SUBJECT]
    template = "autoreply/away" if person.html is None else "autoreply/away_html"
    letter = mail.reply(
        template, text=person.text, html=person.html, subject=f"{person.subject}{subject}", person=person
    )
    local, _, domain = address.rpartition("@")
    letter.message["From"] = Address(local, domain, person.name)
    return letter
