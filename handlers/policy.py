"""policy: a mail firewall. Ordered rules, of which the first that holds decides.

A rule holds if all the conditions that it gives do, each by any of its values. It is tried for each recipient by
itself, so one message may reach one and be refused for another. How often each rule decided is counted in the
ledger, whatever becomes of the message.

Header fields are a stranger's words: what a rule reads there (a score, say) is worth no more than the border that
removes such fields from what comes in. What earlier handlers found out is in `mail.results`, which no stranger writes.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase, translate
from functools import cached_property, lru_cache
from typing import Final, Literal

from penstock import Accept, Defer, Discard, Hold, Mail, Reject, Size, Verdict, duration, means, route, stateless

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Rule:
    """One `[[handlers.policy.rules]]`. Texts are compared in lower case."""

    name: str = field(metadata=means("What the rule is called in the log and its hit counter."))
    action: Literal["accept", "reject", "defer", "discard", "hold"] = field(metadata=means("What a hit does."))
    client: tuple[str, ...] = field(default=(), metadata=means("Networks of the client: `192.0.2.0/24`."))
    client_name: tuple[str, ...] = field(
        default=(), metadata=means("Patterns of the client's host name: `*.example.org`; `unknown` where it has none.")
    )
    source: tuple[Literal["local", "remote"], ...] = field(
        default=(),
        metadata=means("Whether Postfix took the message from its own host and networks; all else is remote."),
    )
    helo: tuple[str, ...] = field(default=(), metadata=means("Patterns of what the client called itself."))
    sender: tuple[str, ...] = field(
        default=(), metadata=means("Patterns of the reverse-path; `<>` is the null reverse-path.")
    )
    recipient: tuple[str, ...] = field(default=(), metadata=means("Patterns of the recipient."))
    headers: dict[str, tuple[str, ...]] = field(
        default_factory=dict,
        metadata=means(
            "By field name, patterns of its value, or regular expressions between slashes; `\"\"` is a missing field.",
            default="none",
        ),
    )
    results: dict[str, tuple[str, ...]] = field(
        default_factory=dict,
        metadata=means("By name, patterns of what earlier handlers found: `dmarc = [\"fail\"]`.", default="none"),
    )
    larger_than: Size | None = field(default=None, metadata=means("The message has more octets than this."))
    score_from: float | None = field(default=None, metadata=means("The spam score is this or more."))
    rate: str | None = field(default=None, metadata=means("More messages than `100/1h`, of those that the rest fits."))
    rate_by: Literal["client", "sender", "recipient"] = field(
        default="client", metadata=means("Whose messages the rate counts.")
    )
    code: int | None = field(
        default=None, metadata=means("The SMTP code.", default="550 to reject, 450 to defer")
    )
    status: str | None = field(
        default=None, metadata=means("The enhanced status (RFC 3463).", default='`"5.7.1"` or `"4.7.1"`')
    )
    text: str = field(default="Refused by policy", metadata=means("What the sender reads, or why it is held."))

    def __post_init__(self) -> None:
        if not self.name or not self.name.isprintable():
            raise ValueError(f"a rule needs a name that can be printed, not {self.name!r}")
        for network in self.client:
            _network(network)
        for pattern in (pattern for patterns in self.headers.values() for pattern in patterns):
            _expression(pattern)
        if self.rate is not None:
            _rate(self.rate)
        if self.action not in ("reject", "defer") and (self.code is not None or self.status is not None):
            raise ValueError(f"code and status are for reject and defer; {self.action!r} has none")
        _ = self.verdict

    @cached_property
    def conditions(self) -> tuple[Condition, ...]:
        """Those that it gives, in the order in which they are tried."""
        return tuple(test for key, test in CONDITIONS.items() if getattr(self, key) not in (None, (), {}))

    @property
    def verdict(self) -> Verdict:
        """What the action does. Raises ValueError for a code, status or text that cannot be one."""
        match self.action:
            case "reject":
                return Reject(self.code or 550, self.status or "5.7.1", self.text)
            case "defer":
                return Defer(self.code or 450, self.status or "4.7.1", self.text)
            case "discard":
                return Discard(self.name)
            case "hold":
                return Hold(f"{self.name}: {self.text}")
        return Accept()


@dataclass(frozen=True)
class Options:
    """The table `[handlers.policy]`."""

    rules: tuple[Rule, ...] = field(
        default=(), metadata=means("The rules in their order; what none of them fits passes.")
    )
    score_header: str | None = field(
        default=None,
        metadata=means("The field with the spam score, if no earlier handler gave one: believed, whoever wrote it."),
    )

    def __post_init__(self) -> None:
        names = [rule.name for rule in self.rules]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two rules are called {twice[0]!r}; give each its own name")


@stateless(body=lambda options: any(rule.larger_than is not None for rule in options.rules))
@route("*")
def firewall(mail: Mail, options: Options) -> Verdict | None:
    for rule in options.rules:
        if all(condition(mail, rule, options) for condition in rule.conditions):
            mail.ledger.add(f"hit:{rule.name}")
            return rule.verdict
    return None


def _client(mail: Mail, rule: Rule, options: Options) -> bool:
    address = _address(mail.client.address or "")
    return address is not None and any(address in _network(network) for network in rule.client)


def _client_name(mail: Mail, rule: Rule, options: Options) -> bool:
    return _any([mail.client.name or "unknown"], rule.client_name)


def _source(mail: Mail, rule: Rule, options: Options) -> bool:
    return ("local" if mail.client.source == "LOCAL" else "remote") in rule.source


def _helo(mail: Mail, rule: Rule, options: Options) -> bool:
    return _any([mail.client.helo or ""], rule.helo)


def _sender(mail: Mail, rule: Rule, options: Options) -> bool:
    return _any([mail.envelope.reverse_path or "<>"], rule.sender)


def _recipient(mail: Mail, rule: Rule, options: Options) -> bool:
    return _any([mail.recipient], rule.recipient)


def _size(mail: Mail, rule: Rule, options: Options) -> bool:
    return rule.larger_than is not None and mail.message.size > rule.larger_than


def _results(mail: Mail, rule: Rule, options: Options) -> bool:
    found = mail.results
    return all(_any([str(found[name])] if name in found else [], values) for name, values in rule.results.items())


def _headers(mail: Mail, rule: Rule, options: Options) -> bool:
    for name, patterns in rule.headers.items():
        values = [value.strip() for value in mail.message.get_all(name)] or [""]
        if not any(_expression(pattern).search(value) for pattern in patterns for value in values):
            return False
    return True


def _score(mail: Mail, rule: Rule, options: Options) -> bool:
    score = mail.results.get("score")
    if score is None and options.score_header:
        score = mail.message[options.score_header]
    found = _NUMBER.match(str(score))
    return rule.score_from is not None and found is not None and float(found[0]) >= rule.score_from


def _rated(mail: Mail, rule: Rule, options: Options) -> bool:
    """Whether there were too many. It counts, so it comes last, when all else fits."""
    most, window = _rate(rule.rate or "")
    who = {"client": mail.client.address, "sender": mail.sender, "recipient": mail.recipient.lower()}[rule.rate_by]
    return bool(who) and mail.ledger.add(f"rate:{rule.name}:{who}", 1, window) > most


Condition = Callable[[Mail, Rule, Options], bool]
CONDITIONS: Final[dict[str, Condition]] = {
    "client": _client,
    "client_name": _client_name,
    "source": _source,
    "helo": _helo,
    "sender": _sender,
    "recipient": _recipient,
    "larger_than": _size,
    "results": _results,
    "headers": _headers,
    "score_from": _score,
    "rate": _rated,
}
"""By the key of a rule that gives it, in the order in which they are tried."""


def _any(values: Iterable[str], patterns: Iterable[str]) -> bool:
    lower = [value.lower() for value in values]
    return any(fnmatchcase(value, pattern.lower()) for pattern in patterns for value in lower)


@lru_cache(maxsize=4096)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The client's address, that of IPv4 where it is mapped into IPv6; None for what is none."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


@lru_cache(maxsize=4096)
def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is not a network; write it like 192.0.2.0/24 or 2001:db8::/32") from None


@lru_cache(maxsize=4096)
def _expression(pattern: str) -> re.Pattern[str]:
    """A header pattern: between slashes a regular expression, else a glob over the whole value."""
    is_regular = len(pattern) > 1 and pattern[0] == pattern[-1] == "/"
    try:
        return re.compile(pattern[1:-1] if is_regular else rf"\A{translate(pattern)}", re.IGNORECASE | re.DOTALL)
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None


def _rate(text: str) -> tuple[int, timedelta]:
    found = _RATE.fullmatch(text)
    if not found or (window := duration(found[2])) <= timedelta():
        raise ValueError(f"{text!r} is not a rate; write it like 100/1h")
    return int(found[1]), window


_RATE: Final = re.compile(r"([0-9]{1,9})\s*/\s*(.+)")
_NUMBER: Final = re.compile(r"\s*[-+]?[0-9]{1,9}(?:\.[0-9]{1,9})?")
