"""MAIL and RCPT as a milter gets them: the words of the command, as the client wrote them.

Postfix has parsed them already and refused what is malformed. So nothing is refused here: what is not understood
is left out. Mail that is submitted on the host (`non_smtpd_milters`) comes without brackets and without parameters.
Text is decoded as UTF-8 with `surrogateescape`.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..filter.envelope import Client, Envelope, Recipient


def envelope(path: bytes, parameters: Iterable[bytes], client: Client) -> Envelope:
    """The envelope that MAIL opens, without recipients."""
    given = _parameters(parameters)
    size = given.get("SIZE", "")
    return Envelope(
        address(path),
        body=given.get("BODY"),
        smtputf8="SMTPUTF8" in given,
        size=int(size) if size.isdecimal() and len(size) <= 20 else None,
        ret=given.get("RET"),
        envid=given.get("ENVID"),
        client=client,
    )


def recipient(path: bytes, parameters: Iterable[bytes]) -> Recipient:
    """One RCPT with its DSN parameters, verbatim."""
    given = _parameters(parameters)
    return Recipient(address(path), given.get("NOTIFY"), given.get("ORCPT"))


def address(path: bytes) -> str:
    """What stands within the angle brackets, if there are any, without a source route (RFC 5321 section 4.1.1.3)."""
    text = path.decode("utf-8", "surrogateescape")
    if text[:1] == "<" and text[-1:] == ">":
        text = text[1:-1]
    return text.partition(":")[2] if text[:1] == "@" and ":" in text else text


def _parameters(words: Iterable[bytes]) -> dict[str, str]:
    split = (word.decode("utf-8", "surrogateescape").partition("=") for word in words)
    return {name.upper(): value for name, _, value in split}
