"""The envelope of a mail object (RFC 5321 section 2.3.1): who sends, to whom, and how.

Addresses are text as the wire had them, without the angle brackets. They are decoded as UTF-8 with
`surrogateescape`, so that an address with stray octets comes back out as it came in. The null
reverse-path `<>` is the value `NULL_PATH`, never None.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

NULL_PATH: Final = ""
"""The null reverse-path `<>`: mail that must not be answered (RFC 5321 section 4.5.5)."""


@dataclass(frozen=True, slots=True)
class Client:
    """Who brought the message to Postfix, as XFORWARD tells it at the port, and Postfix's macros at the milter.

    None stands for what was not told. `source` is `LOCAL` or `REMOTE`, at the milter None for all that came by SMTP;
    `ident` is the queue id of Postfix's first pass; `port` is text of digits. The milter alone knows of `tls`, the
    version of the protocol (`TLSv1.3`), its `cipher`, and of the `login` that the client has authenticated with, by
    that SASL `mechanism`. All text, at the port at most 255 characters each, xtext undone.
    """

    name: str | None = None
    address: str | None = None
    port: str | None = None
    protocol: str | None = None
    helo: str | None = None
    ident: str | None = None
    source: str | None = None
    tls: str | None = None
    cipher: str | None = None
    login: str | None = None
    mechanism: str | None = None

    @property
    def is_authenticated(self) -> bool:
        """Whether the client has authenticated (RFC 4954), as far as this door knows."""
        return self.login is not None


@dataclass(frozen=True, slots=True)
class Recipient:
    """One RCPT TO: the address and its DSN parameters (RFC 3461), verbatim; None where not given."""

    address: str
    notify: str | None = None
    orcpt: str | None = None

    @property
    def wants_success(self) -> bool:
        """Whether NOTIFY asks for a notice of delivery."""
        return "SUCCESS" in self._notices

    @property
    def wants_failure(self) -> bool:
        """Whether a failure may be reported: NOTIFY is absent (the default) or names FAILURE."""
        return self.notify is None or "FAILURE" in self._notices

    @property
    def _notices(self) -> set[str]:
        return {word.strip().upper() for word in (self.notify or "").split(",")}


@dataclass(frozen=True, slots=True)
class Envelope:
    """MAIL FROM with its parameters, the recipients in RCPT order, and the client.

    `body` is `7BIT`, `8BITMIME` or None; `size` is what the sender declared, in octets; `ret` and
    `envid` are DSN parameters, verbatim.
    """

    reverse_path: str
    recipients: tuple[Recipient, ...] = ()
    body: str | None = None
    smtputf8: bool = False
    size: int | None = None
    ret: str | None = None
    envid: str | None = None
    client: Client = field(default_factory=Client)

    @property
    def is_null(self) -> bool:
        """Whether the reverse-path is null."""
        return self.reverse_path == NULL_PATH

    @property
    def queue_id(self) -> str | None:
        """Postfix's queue id of the first pass, where XFORWARD told it."""
        return self.client.ident

    def to(self, *recipients: Recipient | str) -> Envelope:
        """The same envelope for other recipients."""
        if recipients == self.recipients:
            return self
        given = tuple([r if isinstance(r, Recipient) else Recipient(r) for r in recipients])
        return Envelope(  # for every recipient of every message: dataclasses.replace takes ten times as long
            self.reverse_path, given, self.body, self.smtputf8, self.size, self.ret, self.envid, self.client
        )

    def as_dict(self) -> dict[str, Any]:
        """A plain form for JSON; `from_dict` reads it back. Stray octets survive as lone surrogates."""
        return {
            "reverse_path": self.reverse_path,
            "recipients": [_given(r, ("address", "notify", "orcpt")) for r in self.recipients],
            **_given(self, ("body", "smtputf8", "size", "ret", "envid")),
            "client": _given(self.client, _CLIENT),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Envelope:
        """Read what `as_dict` wrote, or what a person wrote: recipients may be bare addresses.

        Raises TypeError for an unknown key.
        """
        given = dict(plain)
        recipients: Iterable[Any] = given.pop("recipients", ())
        return cls(
            given.pop("reverse_path"),
            recipients=tuple(Recipient(r) if isinstance(r, str) else Recipient(**r) for r in recipients),
            client=Client(**given.pop("client", {})),
            **given,
        )


_CLIENT: Final = tuple(entry.name for entry in fields(Client))


def _given(value: object, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(value, name) for name in names if getattr(value, name) not in (None, False)}
