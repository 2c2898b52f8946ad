"""A very small list: the example that the documentation explains line by line.

Join by mail to LIST-join@, confirm from the address that you joined with, then write to LIST@.
"""

from penstock import Mail, Reject, route, stateless

from .model import Member, members, metadata

__all__ = ["JOINING", "POSTING", "START", "metadata", "no_executables", "otherwise"]

STATE_KEY = "{listname}"  # one conversation per sender and list


@route("{listname}-join@{host}")
def START(mail: Mail, listname: str) -> object:
    mail.confirm("join", listname, via=JOINING, expires="3d")  # mails a token address; keeps the original
    return JOINING


@route("{listname}-confirm+{token}@{host}")
def JOINING(mail: Mail, listname: str, token: str) -> object:
    if not mail.confirmed("join", listname, token):
        return None  # stay
    mail.db.add(Member(listname=listname, address=mail.sender))
    mail.reply("tea/welcome", listname=listname)
    return POSTING


@route("{listname}@{host}")
def POSTING(mail: Mail, listname: str, host: str) -> None:
    mail.redirect(members(mail.db, listname), sender=f"{listname}-bounces@{host}", verp=True)


def otherwise(mail: Mail) -> None:
    """An address of ours, but not in this conversation's state."""
    raise Reject(550, "5.7.1", "Join first, or you are a member already")


@stateless  # no route: once per message, for all its recipients
def no_executables(mail: Mail) -> None:
    if any(part.extension == ".exe" for part in mail.message.walk()):
        raise Reject(550, "5.7.1", "Executables are not accepted here")
