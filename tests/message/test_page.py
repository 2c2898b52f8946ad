"""docs/message.md says what the code does."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from penstock import Address, Field, Message

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "message.md").read_text("utf-8")
CLAIM = re.compile(r"^(?P<said>\S.*?) +# → (?P<is>.+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the examples have defined, run from the top of the page to its end; every claim is checked on the way."""
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        at = 0
        for claim in CLAIM.finditer(block):
            exec(block[at : claim.start()], names)
            assert eval(claim["said"], names) == ast.literal_eval(claim["is"]), claim["said"]
            at = claim.end()
        exec(block[at:], names)
    return names


def test_the_examples_do_what_they_say(names: dict[str, Any]) -> None:
    assert len(CLAIM.findall(PAGE)) >= 34
    assert names["m"]["X-Stamp"] == "yes"


def test_what_the_tables_name_is_there() -> None:
    _, _, tables = PAGE.partition("## Coming from")
    ours = [row.split(" | ")[1] for row in tables.splitlines() if row.startswith("| `")]
    named = set(re.findall(r"\b(?:m|part)\.(\w+)", " ".join(ours)))
    assert named
    assert [name for name in named if not hasattr(Message, name)] == []
    assert all(hasattr(Field, name) for name in ("name", "value", "raw", "params", "set_param", "remove"))
    assert hasattr(Address, "addr")


def test_the_picture_shows_the_example(names: dict[str, Any]) -> None:
    shown = {"".join(text.itertext()) for text in ElementTree.parse(DOCS / "message.svg").findall(".//{*}text")}
    message: Message = names["m"]
    assert {f"{edit.start}:{edit.end}" for edit in message.edits} <= shown
    assert {"0", "29", "67", "86", "129", "179", "198", str(len(names["raw"]))} <= shown
    views = [len(chunk) for chunk in message.chunks() if isinstance(chunk, memoryview)]
    assert views == [29 - 0, 179 - 67, 306 - 198]
    assert {"view 0:29", "view 67:179, not copied", "view 198:306, not copied"} <= shown
