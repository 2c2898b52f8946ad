"""Who is away, since when and until when, and what the letter says."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property

from penstock import means

Moment = date | datetime


@dataclass(frozen=True)
class Person:
    """The table `[handlers.autoreply.away."ADDRESS"]`."""

    text: str = field(metadata=means("What the letter says."))
    html: str | None = field(default=None, metadata=means("The same as HTML, for a letter that has both."))
    subject: str = field(default="Auto: ", metadata=means("What goes before the subject of the message answered."))
    name: str = field(default="", metadata=means("The person's name, for the letter's From."))
    aliases: tuple[str, ...] = field(
        default=(), metadata=means("Other addresses of the person: mail to them is answered, too.")
    )
    from_: Moment | None = field(default=None, metadata=means("The first day (UTC), or the moment of leaving."))
    until: Moment | None = field(default=None, metadata=means("The last day (UTC), or the moment of return."))

    def __post_init__(self) -> None:
        for what, text in (("subject", self.subject), ("name", self.name)):
            if any(ord(character) < 32 for character in text):
                raise ValueError(f"the {what} {text!r} has a control character, which no header may hold")
        if self._begin is not None and self._end is not None and self._begin >= self._end:
            raise ValueError(f"until ({self.until}) comes before from ({self.from_})")

    def is_away(self, now: datetime) -> bool:
        """Whether the person is away at this moment; without dates, always."""
        return (self._begin is None or self._begin <= now) and (self._end is None or now < self._end)

    @property
    def _begin(self) -> datetime | None:
        return _midnight(self.from_) if self.from_ is not None else None

    @property
    def _end(self) -> datetime | None:
        """The first moment back: of a day given as a date, its end."""
        if self.until is None or isinstance(self.until, datetime):
            return self.until
        return _midnight(self.until) + timedelta(days=1)


@dataclass(frozen=True)
class Options:
    """The table `[handlers.autoreply]`."""

    away: dict[str, Person] = field(
        default_factory=dict, metadata=means("Who is away, by address.", default="nobody")
    )
    period: timedelta = field(
        default=timedelta(days=7), metadata=means("How long a sender who had an answer gets no other.")
    )
    cap: int = field(default=10, metadata=means("The most letters to one sender in a day, whoever is away."))
    spam_score: float | None = field(
        default=None, metadata=means("Mail that an earlier handler gave this score or more is not answered.")
    )

    def __post_init__(self) -> None:
        if self.period < timedelta(days=1):
            raise ValueError("period must be a day or more (RFC 5230 section 4.1)")
        if self.cap < 1:
            raise ValueError(f"cap must be 1 or more, not {self.cap}")
        for address, person in self.away.items():
            for each in (address, *person.aliases):
                _check(each)
                if (other := self._owners[each.casefold()]) != address:
                    raise ValueError(f"{each!r} belongs to both {address!r} and {other!r}")

    def person(self, recipient: str) -> tuple[str, Person] | None:
        """The person behind an envelope recipient, with the address that the table has; None if nobody is."""
        address = self._owners.get(recipient.casefold())
        return (address, self.away[address]) if address is not None else None

    @cached_property
    def _owners(self) -> dict[str, str]:
        """Whose each address is; of two who claim one, the later."""
        return {each.casefold(): address for address, p in self.away.items() for each in (address, *p.aliases)}


def _check(address: str) -> None:
    local, at, domain = address.rpartition("@")
    if not (local and at and domain) or any(character.isspace() for character in address):
        raise ValueError(f"{address!r} is no address; write it like ann@example.org")


def _midnight(moment: Moment) -> datetime:
    return moment if isinstance(moment, datetime) else datetime.combine(moment, time(), UTC)
