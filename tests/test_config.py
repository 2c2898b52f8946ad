"""The configuration: strict, and with every mistake told at once."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum, StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock.filter.config import ConfigError, Settings, find, from_table, load, options, parse
from penstock.filter.quantities import Size, duration, size, spell_duration, spell_size
from penstock.filter.tables import Checked, means, noun_of


def reasons(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, "p.toml")
    assert str(caught.value).splitlines() == [str(problem) for problem in caught.value.problems]
    return [str(problem) for problem in caught.value.problems]


def test_an_empty_file_is_the_defaults() -> None:
    settings = parse("")
    assert settings == Settings()
    assert settings.service.hostname == (os.uname().nodename or "localhost")
    assert settings.filter.listen == ("unix:/var/spool/postfix/penstock/filter.sock",)
    assert settings.filter.message_size_limit == 50 * 1024 * 1024
    assert settings.store.receipt_life == timedelta(days=10)
    assert settings.origin is None


def test_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "penstock.toml"
    path.write_text(
        """
        [service]
        hostname = "mail.example.org"
        path = ["/srv/myapp", "app"]
        templates = ["."]
        handler_time_limit = "2m30s"
        max_attempts = 3
        log_level = "debug"
        [domains]
        owned = ["Lists.Example.org", "bücher.example."]
        [store]
        url = "sqlite:////srv/mail/penstock.db"
        receipt_life = "2w"
        [filter]
        listen = ["unix:/run/a.sock", "127.0.0.1:10025", "[::1]:10025"]
        reinject = "localhost:10026"
        handlers = ["penstock.handlers.policy", "tea"]
        reject_unverified = "discard"
        authserv_ids = ["MX.example.org"]
        xforward_from = ["192.0.2.7/24"]
        message_size_limit = "10M"
        timeout = "90s"
        [milter]
        listen = "127.0.0.1:10027"
        handlers = ["greylist", "penstock.handlers.policy"]
        [routing]
        host = 'lists\\.example\\.org'
        [handlers.policy]
        anything = { at = "all" }
        """,
        "utf-8",
    )
    settings = load(path)
    assert settings.origin == path
    assert settings.service.path == (Path("/srv/myapp"), tmp_path / "app")
    assert settings.service.templates == (tmp_path,)
    assert settings.service.handler_time_limit == timedelta(seconds=150)
    assert settings.domains.owned == ("lists.example.org", "xn--bcher-kva.example")
    assert settings.filter.authserv_ids == ("mx.example.org",)
    assert settings.filter.xforward_from == ("192.0.2.0/24",)
    assert settings.filter.message_size_limit == 10 << 20
    assert settings.milter.listen == "127.0.0.1:10027"
    assert settings.milter.handlers == ("greylist", "penstock.handlers.policy")
    assert settings.routing == {"host": r"lists\.example\.org"}
    assert settings.handlers == {"policy": {"anything": {"at": "all"}}}


def test_all_mistakes_at_once() -> None:
    assert reasons("""
        workers = 2
        [filtre]
        listen = "unix:/a"
        [service]
        wrokers = 2
        hostnme = "x"
        max_attempts = true
        handler_time_limit = 5
        [filter]
        listen = ["unix:relative", 25]
        [routing]
        host = "("
    """) == [
        "p.toml: workers: outside any table; move it below the header of its table",
        "p.toml: [filtre]: unknown table; known are service, domains, store, filter, milter, routing, handlers",
        "p.toml: [service] handler_time_limit: expected a duration, got the number 5; "
        'write it with its unit, like "90s", "5m" or "3d"',
        "p.toml: [service] max_attempts: expected a whole number, got true; write it without quotes or point",
        "p.toml: [service] hostnme: unknown key; did you mean hostname?",
        "p.toml: [service] wrokers: unknown key; did you mean workers?",
        "p.toml: [filter] listen, item 1: 'unix:relative' needs an absolute path: unix:/run/penstock/filter.sock",
        "p.toml: [filter] listen, item 2: expected text, got the number 25; write it in quotes",
        "p.toml: [routing] host: '(' is not a regular expression: missing ), unterminated subpattern at position 0",
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("service.hostname = 'a b'", "not a host name"),
        ("service.hostname = ''", "not a host name"),
        ("service.path = 'x'", "write it in brackets"),
        ("service.path = ['']", "not a path"),
        ("service.max_attempts = 0", "must be 1 or more"),
        ("service.workers = 0", "not from 1 to 256"),
        ("service.workers = 257", "not from 1 to 256"),
        ("service.max_attempts = '5'", "got the text '5'"),
        ("service.max_attempts = 5.0", "got the number 5.0"),
        ("service.log_level = 'loud'", '"debug" or "info" or "warning" or "error"'),
        ("service.handler_time_limit = '0s'", "longer than nothing"),
        ("service.handler_time_limit = '5 minutes'", "not a duration"),
        ("service = 5", "[service]: expected a table, got the number 5"),
        ("domains.owned = ['a..b']", "not a domain"),
        ("domains.owned = ['ann@example.org']", "not a domain"),
        ("filter.listen = ['127.0.0.1']", "not an endpoint"),
        ("filter.listen = ['127.0.0.1:0']", "not an endpoint"),
        ("filter.listen = ['127.0.0.1:65536']", "not an endpoint"),
        ("filter.listen = ['[::g]:25']", "not an endpoint"),
        ("filter.listen = ['[1:2]:25']", "no IPv6 address"),
        ("filter.listen = ['inet:127.0.0.1:25']", "not an endpoint"),
        ("filter.reinject = 'unix:penstock'", "absolute path"),
        ("filter.handlers = ['a/b']", "not the name of a module"),
        ("filter.handlers = ['a.b', 'c.b']", "two handlers are called b"),
        ("milter.handlers = ['a.b', 'a.b']", "[milter] handlers: two handlers are called b"),
        ("filter.handlers = ['a.b']\nmilter.handlers = ['c.b']", "[milter] handlers: two handlers are called b"),
        ("filter.reject_unverified = 'reject'", '"hold" or "discard"'),
        ("filter.authserv_ids = ['a b']", "not an authserv-id"),
        ("filter.xforward_from = ['10.0.0.0/33']", "not a network"),
        ("filter.message_size_limit = 0", "must be 1 or more"),
        ("filter.message_size_limit = -5", "cannot be negative"),
        ("filter.message_size_limit = '50 Mo'", "not a size"),
        ("handlers.tea.x = 1", "[handlers.tea]: unknown handler; none is known here"),
        ("routing.host = 5", "expected text"),
        ("handlers = ['tea']", "[handlers]: expected a table, got an array"),
    ],
)
def test_a_bad_value(line: str, reason: str) -> None:
    (problem,) = reasons(line)
    assert reason in problem


def test_a_table_of_a_misspelt_handler() -> None:
    (problem,) = reasons("filter.handlers = ['penstock.handlers.greylist']\nhandlers.grelist.delay = '5m'")
    assert problem == "p.toml: [handlers.grelist]: unknown handler; did you mean greylist?"


def test_a_password_is_not_repeated() -> None:
    (problem,) = reasons("store.url = 'mysql://penstock:secret@db/penstock'")
    assert "secret" not in problem
    assert "sqlite:////absolute" in problem


def test_what_is_not_toml() -> None:
    (problem,) = reasons("[service]\nworkers = = 2")
    assert problem.startswith("p.toml: not TOML: ")
    assert "line 2" in problem


def test_from_table_takes_a_plain_dict() -> None:
    assert from_table({"filter": {"timeout": "5s"}}).filter.timeout == timedelta(seconds=5)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"# caf\xe9\n")
    for path in (tmp_path, tmp_path / "none.toml", latin):
        with pytest.raises(ConfigError, match=rf"{re.escape(str(path))}: cannot be read: "):
            load(path)


def test_where_the_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named, explicit = tmp_path / "named.toml", tmp_path / "explicit.toml"
    monkeypatch.setenv("PENSTOCK_CONFIG", str(named))
    with pytest.raises(ConfigError, match=r"named.toml: no such file \(\$PENSTOCK_CONFIG\); name one with --config"):
        find()
    named.touch()
    explicit.touch()
    assert find() == named
    assert find(explicit) == explicit
    with pytest.raises(ConfigError, match=r"a folder, not a file \(--config\)"):
        find(tmp_path)
    with pytest.raises(ConfigError, match=r"no such file \(--config\)"):
        find(tmp_path / "other.toml")
    monkeypatch.setenv("PENSTOCK_CONFIG", "")
    monkeypatch.setattr("penstock.filter.config.DEFAULT_FILE", tmp_path / "default.toml")
    with pytest.raises(ConfigError, match=r"default.toml: no such file \(the default place\)"):
        find()


class Action(StrEnum):
    REJECT = "reject"
    ACCEPT = "accept"


class Level(Enum):
    LOW = 1
    HIGH = 2


def _even(value: int) -> int:
    if value % 2:
        raise ValueError(f"{value} is odd; take the next")
    return value


@dataclass(frozen=True)
class Rule:
    action: Action
    from_: re.Pattern[str] | None = None
    code: Annotated[int, Checked(_even, "an even number")] = 550


@dataclass(frozen=True)
class Options:
    """One field of every type."""

    rules: tuple[Rule, ...] = ()
    names: list[str] = field(default_factory=list)
    words: frozenset[str] = frozenset()
    pair: tuple[int, str] = (1, "a")
    limits: Mapping[str, Size] = field(default_factory=dict)
    by_name: dict[str, Rule] = field(default_factory=dict)
    score: float = 5.0
    level: Level = Level.LOW
    mode: Literal["on", "off", 3] = "on"
    delay: timedelta | None = field(default=timedelta(minutes=5), metadata=means("How long."))
    folder: Path = Path("x")
    since: date | None = None
    at: time = time(7)
    until: datetime | None = None
    either: int | str | bool = 0
    anything: Any = None
    strict: bool = False


def read_options(text: str, origin: Path | None = None) -> Options:
    import tomllib

    return options(Options, tomllib.loads(text), origin, "tea")


def test_options_of_every_type() -> None:
    text = """
        names = ["a"]
        words = ["x", "y"]
        pair = [5, "b"]
        score = 7
        level = 2
        mode = 3
        delay = "2h"
        folder = "there"
        since = 2026-03-01
        at = 08:30:00
        until = 2026-03-01T00:00:00Z
        either = "text"
        anything = [1, "a"]
        strict = true
        [limits]
        exe = "5k"
        zip = 10
        [[rules]]
        action = "reject"
        from = '^a.*'
        [by_name.b]
        action = "accept"
    """
    assert read_options(text, Path("/etc/penstock/penstock.toml")) == Options(
        rules=(Rule(Action.REJECT, re.compile("^a.*")),),
        names=["a"],
        words=frozenset({"x", "y"}),
        pair=(5, "b"),
        limits={"exe": 5120, "zip": 10},
        by_name={"b": Rule(Action.ACCEPT)},
        score=7.0,
        level=Level.HIGH,
        mode=3,
        delay=timedelta(hours=2),
        folder=Path("/etc/penstock/there"),
        since=date(2026, 3, 1),
        at=time(8, 30),
        until=datetime(2026, 3, 1, tzinfo=UTC),
        either="text",
        anything=[1, "a"],
        strict=True,
    )


def test_options_may_be_left_out() -> None:
    assert read_options("") == Options()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[[rules]]", "rules, item 1, action: missing; it has no default and must be given"),
        ("rules = [{action = 'reject'}, {action = 'drop'}]", 'rules, item 2, action: expected "reject" or "accept"'),
        ("rules = [{action = 'reject', from = '('}]", "rules, item 1, from: '(' is not a regular expression"),
        ("rules = [{action = 'reject', form = 'a'}]", "rules, item 1, form: unknown key; did you mean from?"),
        ("rules = [{action = 'reject', code = 551}]", "rules, item 1, code: 551 is odd; take the next"),
        ("rules = [{action = 'reject', code = '552'}]", "rules, item 1, code: expected a whole number"),
        ("rules = ['reject']", "rules, item 1: expected a table, got the text 'reject'"),
        ("by_name = {b = {action = 1}}", 'by_name, b, action: expected "reject" or "accept", got the number 1'),
        ("limits = {exe = true}", "limits, exe: expected a size, got true"),
        ("limits = 5", "limits: expected a table, got the number 5"),
        ("names = 'abc'", "names: expected an array, each item text, got the text 'abc'; write it in brackets: [ … ]"),
        ("pair = [1]", "pair: expected an array of 2 items, got 1 items"),
        ("pair = ['a', 'b']", "pair, item 1: expected a whole number"),
        ("score = '7'", "score: expected a number"),
        ("score = true", "score: expected a number, got true"),
        ("level = true", "level: expected 1 or 2, got true"),
        ("mode = 'in'", 'mode: expected "on" or "off" or 3'),
        ("delay = 5", "delay: expected a duration, got the number 5"),
        ("since = 2026-03-01T00:00:00Z", "since: expected a date, got the time 2026-03-01"),
        ("until = 2026-03-01", "until: expected a point in time, got the date 2026-03-01"),
        ("until = 2026-03-01T00:00:00", "until: 2026-03-01 00:00:00 has no offset from UTC"),
        ("either = 1.5", "either: expected a whole number or text or true or false, got the number 1.5"),
        ("strict = 1", "strict: expected true or false, got the number 1"),
    ],
)
def test_bad_options(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_options(text)
    (problem,) = caught.value.problems
    assert str(problem).startswith(f"configuration: [handlers.tea] {reason}")


def test_a_check_of_the_whole_table() -> None:
    @dataclass(frozen=True)
    class Span:
        low: int = 0
        high: int = 0

        def __post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("low is above high")

    with pytest.raises(ConfigError, match=r"^configuration: \[handlers.tea\]: low is above high$"):
        options(Span, {"low": 5}, None, "tea")


def test_types_in_words() -> None:
    words = {
        Size: "a size",
        tuple[Path, ...]: "an array, each item a path",
        Literal["a", "b"]: '"a" or "b"',
        dict[str, timedelta]: "a table, each value a duration",
        int | None: "a whole number",
        Rule: "a table",
    }
    assert {kind: noun_of(kind) for kind in words} == words


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("5m", 300),
        ("2h30m", 9000),
        ("3d", 259200),
        ("1w", 604800),
        (" 1w 2d 3h 4m 5s ", 788645),
        ("0s", 0),
    ],
)
def test_durations(text: str, seconds: int) -> None:
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", " ", "5", "5M", "m5", "30m2h", "5mm", "-5m", "1.5h", "5 minutes", "٣d", "9999999999w"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        duration(text)


@given(st.integers(0, 36525 * 86400))
def test_a_spelled_duration_reads_back(seconds: int) -> None:
    assert duration(spell_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "octets"),
    [("0", 0), ("1000", 1000), ("256k", 262144), ("256 kB", 262144), ("50M", 52428800), ("2 GiB", 2 << 30), ("5B", 5)],
)
def test_sizes(text: str, octets: int) -> None:
    assert size(text) == octets


@pytest.mark.parametrize("text", ["", "M", "-1", "1.5M", "50 Mo", "5T", "1_000"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        size(text)


@given(st.integers(0, 1 << 39))
def test_a_spelled_size_reads_back(octets: int) -> None:
    assert size(spell_size(octets)) == octets
