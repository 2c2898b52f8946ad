"""`penstock timers`: list, run: the function of a deadline, now."""

from datetime import UTC, datetime, timedelta
from typing import Any

DATABASES = ["sqlite", "postgresql"]

HANDLER = """
    STATE_KEY = "{name}"
    @route("{name}@lists.test")
    @timeout("7d", "close")
    def OPEN(mail):
        pass
    @route("{name}@lists.test")
    def CLOSED(mail):
        pass
    def close(timer):
        timer.send(timer.sender, "note")
        return CLOSED
"""

FAILING = """
    STATE_KEY = "{name}"
    @route("{name}@lists.test")
    @timeout("7d", "close")
    def OPEN(mail):
        pass
    def close(timer):
        raise ValueError("a mistake")
"""


def open_(keeper: Any, handler: str, **more: Any) -> str:
    deadline = datetime.now(UTC) + timedelta(days=3)
    key = keeper.converse("OPEN", handler=handler, deadline=deadline, **more)
    return f"{key.handler}/{key.sender}/{key.resource}"


def test_the_list(keeper: Any) -> None:
    keeper.converse("POSTING", resource="none")
    keeper.converse("POSTING", resource="past", deadline=datetime(2026, 1, 2, 3, 4, tzinfo=UTC))
    keeper.converse("JOINING", resource="far", deadline=datetime(2100, 1, 2, 3, 4, tzinfo=UTC))
    titles, *lines = keeper("timers", "list").stdout.splitlines()
    assert titles.split() == ["deadline", "state", "conversation"]
    assert lines == [
        "2026-01-02 03:04  POSTING  tea/ann@example.org/past", "2100-01-02 03:04  JOINING  tea/ann@example.org/far"
    ]  # fmt: skip
    assert [each["resource"] for each in keeper.json("timers", "list", "--due")] == ["past"]
    assert [each["resource"] for each in keeper.json("timers", "list", "--state", "JOINING")] == ["far"]
    assert keeper("timers", "list", "--handler", "x").stdout == "There is no such deadline.\n"


def test_one_runs_now(keeper: Any) -> None:
    name = keeper.handler(HANDLER)
    templates = keeper.installed.folder / "templates"
    templates.mkdir()
    (templates / "note.txt").write_text("Subject: Closed\n\nIt is closed.\n")
    conversation = open_(keeper, name)
    open_(keeper, name, resource="other")
    result = keeper("timers", "run", conversation)
    assert result.stdout == f"✓ {conversation}: OPEN > CLOSED\n"
    assert {each["resource"]: each["state"] for each in keeper.json("state", "list")} == {
        "tea": "CLOSED", "other": "OPEN"
    }  # fmt: skip
    assert [letter.recipients for letter in keeper.store.waiting()] == [("ann@example.org",)]
    assert keeper.audit == [("timer run", "conversation", conversation)]
    result = keeper("timers", "run", conversation)
    assert result.exit_code == 1
    assert "no such conversation has a deadline" in result.stderr


def test_one_that_fails_stays(keeper: Any) -> None:
    name = keeper.handler(FAILING)
    conversation = open_(keeper, name)
    result = keeper("timers", "run", "--all")
    assert result.exit_code == 1
    assert f"✗ {conversation}: ValueError: a mistake; the service tries it again" in result.stdout
    [kept] = keeper.json("state", "list")
    assert kept["state"] == "OPEN"
    assert kept["deadline"] is not None
    assert keeper.audit == []


def test_the_handler_is_gone(keeper: Any) -> None:
    keeper.handler(HANDLER)
    conversation = open_(keeper, "gone")
    result = keeper("timers", "run", conversation)
    assert result.exit_code == 1
    assert "gone is no handler now" in result.stdout
