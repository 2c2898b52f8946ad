"""Replies as libmilter takes them."""

from typing import Any

import pytest
from penstock.filter.verdict import Reply
from penstock.milter.answers import refuse
from penstock.milter.context import Answer


class Said:
    def setreply(self, *words: Any) -> None:
        self.words = words


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("plain", ["plain"]),
        ("100% sure, %{macro}", ["100%% sure, %%{macro}"]),
        ("one\ntwo\n\nfour", ["one", "two", " ", "four"]),
        ("bell\a, tab\t, cr\r, nul\0", ["bell?, tab?, cr?, nul?"]),
        ("grün", ["gr?n"]),
        ("x" * 1000, ["x" * 480, "x" * 480, "x" * 40]),
        ("%" * 480, ["%" * 960]),
        ("\n".join("x" * 50), ["x"] * 32),
        ("", [" "]),
    ],
)
def test_nothing_in_a_text_can_break_the_reply(text: str, lines: list[str]) -> None:
    said = Said()
    assert refuse(said, Reply(550, "5.7.1", text)) is Answer.REJECT  # type: ignore[arg-type]
    assert said.words == ("550", "5.7.1", *lines)


def test_the_class_of_the_code_is_that_of_the_answer() -> None:
    said = Said()
    assert refuse(said, Reply(450, None, "x")) is Answer.TEMPFAIL  # type: ignore[arg-type]
    assert said.words == ("450", None, "x")
