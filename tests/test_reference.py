"""docs/configuration.md says what the code says."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from penstock.filter.config import parse
from penstock.filter.problems import ConfigError
from penstock.filter.quantities import Size
from penstock.filter.reference import Row, as_table, describe
from penstock.filter.settings import SECTIONS
from penstock.filter.tables import means, noun_of

PAGE = (Path(__file__).parent.parent / "docs" / "configuration.md").read_text("utf-8")


@pytest.mark.parametrize("name", SECTIONS)
def test_the_page_has_the_table_of_every_section(name: str) -> None:
    _, _, section = PAGE.partition(f"\n## `[{name}]`\n\n")
    assert section.startswith(as_table(describe(SECTIONS[name])))


@pytest.mark.parametrize("cls", SECTIONS.values())
def test_every_setting_has_a_meaning(cls: type[Any]) -> None:
    assert [row.key for row in describe(cls) if not row.meaning.endswith(".")] == []


def test_the_example_is_read() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    settings = parse(example)
    assert settings.handlers == {"helpdesk": {"close_after": "7d"}}
    assert settings.domains.owned == ("lists.example.org",)


def test_the_mistakes_are_told_in_these_words() -> None:
    bad = '[service]\nhostnme = "a"\n[filter]\ntimeout = 300\nlisten = ["unix:/a", "127.0.0.1"]\n'
    with pytest.raises(ConfigError) as caught:
        parse(bad, "/etc/penstock/penstock.toml")
    (shown,) = re.findall(r"```\n(/etc.*?)```", PAGE, re.DOTALL)
    assert sorted(str(caught.value).splitlines()) == sorted(shown.splitlines())


def test_every_kind_of_value_is_explained() -> None:
    kinds = {noun_of(kind) for kind in (timedelta, Size, Path, re.Pattern[str])} | {
        "an endpoint",
        "a network",
        "a domain",
    }
    explained = set(re.findall(r"^\| (an? [a-z ]+) \| ", PAGE, re.MULTILINE))
    assert kinds <= explained


class Mode(Enum):
    FAST = "fast"


@dataclass(frozen=True)
class Options:
    to: str = field(metadata=means("Whom."))
    from_: str | None = None
    mode: Mode = Mode.FAST
    limit: Size = 10 << 20
    days: tuple[timedelta, ...] = (timedelta(days=3),)
    names: list[str] = field(default_factory=lambda: ["a|b"])
    place: str = field(default="x", metadata=means("Where.", default="here"))


def test_options_are_described() -> None:
    rows = describe(Options)
    assert rows == [
        Row("to", "text", "must be given", "Whom."),
        Row("from", "text", "none", ""),
        Row("mode", '"fast"', '`"fast"`', ""),
        Row("limit", "a size", '`"10M"`', ""),
        Row("days", "an array, each item a duration", '`["3d"]`', ""),
        Row("names", "an array, each item text", '`["a|b"]`', ""),
        Row("place", "text", "here", "Where."),
    ]
    assert as_table(rows).splitlines()[-2:] == [
        r'| `names` | an array, each item text | `["a\|b"]` |  |',
        "| `place` | text | here | Where. |",
    ]
