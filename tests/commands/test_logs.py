"""The log: one record a line, and nothing that a stranger sends passes for one."""

from __future__ import annotations

import logging
import sys

from penstock.filter.commands.logs import Lines


def line(message: str, *arguments: object, error: bool = False) -> str:
    caught = None
    if error:
        try:
            raise ValueError("bad\ntime=2026 level=info forged")
        except ValueError:
            caught = sys.exc_info()
    return Lines().format(logging.LogRecord("penstock", logging.WARNING, "file.py", 1, message, arguments, caught))


def test_pairs_stay_pairs() -> None:
    assert line("fate=%s", "sent").endswith("Z level=warning log=penstock fate=sent")


def test_a_sentence_becomes_a_value() -> None:
    assert line('it said "no"').endswith("log=penstock text=\"it said 'no'\"")


def test_further_lines_are_indented() -> None:
    _, *more = line("the handler failed", error=True).splitlines()
    assert more[-1] == "    time=2026 level=info forged"
    assert all(each.startswith("    ") for each in more)


def test_control_characters_are_masked() -> None:
    assert line("text=%s", "\x1b[2J\r\u2028\x85x").endswith("text=?[2J???x")
