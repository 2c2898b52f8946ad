"""docs/doors.md is a test: its configuration loads, and its handlers can stand where it says."""

import re
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest
from penstock.filter.before import wants
from penstock.filter.config import from_table
from penstock.filter.loading import load_routers

PAGE = (Path(__file__).parents[1] / "docs" / "doors.md").read_text("utf-8")
OPTIONS = """
from dataclasses import dataclass
from penstock import *

@dataclass(frozen=True)
class Options:
    look_inside: bool = False
"""


def blocks(language: str) -> list[str]:
    return [textwrap.dedent(found) for found in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)]


def test_the_configuration_loads_as_it_stands() -> None:
    [text] = blocks("toml")
    routers = load_routers(from_table({**tomllib.loads(text), "routing": {"host": r"lists\.test"}}))
    assert [handler.name for handler in routers.alone.handlers] == ["policy", "attachments"]
    assert [handler.name for handler in routers.previews.handlers] == ["tea"]
    assert [handler.name for handler in routers.filter.handlers] == ["tea", "autoreply"]


def test_the_handlers_need_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = OPTIONS + "\n".join(blocks("python"))
    (tmp_path / "page_of_doors.py").write_text(source, "utf-8")
    monkeypatch.delitem(sys.modules, "page_of_doors", raising=False)

    def wanted(**options: bool) -> tuple[bool, bool, bool]:
        tables = {"service": {"path": [str(tmp_path)]}, "milter": {"handlers": ["page_of_doors"]}}
        found = wants(load_routers(from_table({**tables, "handlers": {"page_of_doors": options}})))
        return found.rcpt, found.header, found.body

    assert wanted() == (True, True, False)
    assert wanted(look_inside=True) == (True, True, True)
