"""`penstock state`: list, show, move, reset; a conversation that another changed meanwhile is left alone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.shell_completion import ShellComplete
from penstock.filter.commands import main

DATABASES = ["sqlite", "postgresql"]

HANDLER = """
    STATE_KEY = "{name}"
    @route("{name}@lists.test")
    def START(mail, name):
        return OPEN
    @route("{name}@lists.test")
    @timeout("7d", "close")
    def OPEN(mail):
        pass
    def close(timer):
        return START
"""


def states(keeper: Any) -> dict[str, str]:
    return {each["name"]: each["state"] for each in keeper.json("state", "list")}


def test_the_list(keeper: Any) -> None:
    at = datetime(2100, 1, 2, 3, 4, tzinfo=UTC)
    keeper.converse("POSTING", deadline=at, blanks={"listname": "tea"})
    keeper.converse("JOINING", sender="", resource="a/b")
    titles, *lines = keeper("state", "list").stdout.splitlines()
    assert titles.split() == ["changed", "deadline", "state", "conversation"]
    assert [line.split()[-1] for line in lines] == ["tea//a/b", "tea/ann@example.org/tea"]
    assert "2100-01-02 03:04  POSTING" in lines[1]
    _, one = keeper.json("state", "list")
    assert (one["deadline"], one["blanks"]) == ("2100-01-02T03:04:00+00:00", {"listname": "tea"})
    for filters, found in [
        (["--state", "JOINING"], ["tea//a/b"]), (["--sender", "ANN@*"], ["tea/ann@example.org/tea"]),
        (["--resource", "a/b"], ["tea//a/b"]), (["--handler", "x"], []),
        (["--since", "1h", "--sender", "<>"], ["tea//a/b"]),
    ]:  # fmt: skip
        assert [each["name"] for each in keeper.json("state", "list", *filters)] == found


def test_one_is_shown(keeper: Any) -> None:
    keeper.converse("POSTING", sender="a/n@example.org", resource="x/y", blanks={"listname": "x"})
    shown = keeper("state", "show", "tea/a/n@example.org/x/y").stdout
    assert "Sender:     a/n@example.org\nResource:   x/y\nState:      POSTING" in shown
    assert keeper.json("state", "show", "tea/a/n@example.org/x/y")["resource"] == "x/y"
    for name in ("tea", "tea/nobody", "tea/nobody/x"):
        result = keeper("state", "show", name)
        assert result.exit_code == 1
        assert f"no conversation {name} (a name is HANDLER/SENDER/RESOURCE)" in result.stderr


def test_names_are_completed(keeper: Any) -> None:
    keeper.converse("POSTING")
    complete = ShellComplete(main, {}, "penstock", "_PENSTOCK_COMPLETE")
    found = complete.get_completions(["--config", str(keeper.installed.configuration), "state", "show"], "tea/a")
    assert [(item.value, item.help) for item in found] == [("tea/ann@example.org/tea", "POSTING")]


def test_a_state_that_is_gone_is_mended(keeper: Any) -> None:
    name = keeper.handler(HANDLER)
    keeper.converse("OLD", handler=name, sender="a@x", resource="r", blanks={"name": "r"})
    keeper.converse("OLD", handler=name, sender="b@x", resource="r")
    keeper.converse("OLD")
    result = keeper("state", "move", "--handler", name, "--state", "OLD", "--to", "GONE")
    assert result.exit_code == 1
    assert f"{name} has no state 'GONE'; its states are OPEN" in result.stderr
    result = keeper("state", "move", "--handler", name, "--state", "OLD", "--to", "OPEN")
    assert result.stdout.splitlines() == [f"{name}/a@x/r: OLD > OPEN", f"{name}/b@x/r: OLD > OPEN"]
    one, two, tea = keeper.json("state", "list")
    assert (one["state"], two["state"], tea["state"]) == ("OPEN", "OPEN", "OLD")
    assert one["blanks"] == {"name": "r"}
    left = datetime.fromisoformat(one["deadline"]) - datetime.now(UTC)
    assert timedelta(days=6) < left <= timedelta(days=7)
    assert keeper.audit == [
        ("moved", "conversation", f"{name}/a@x/r"), ("moved", "conversation", f"{name}/b@x/r")
    ]  # fmt: skip


def test_a_conversation_of_no_handler_is_not_moved(keeper: Any) -> None:
    keeper.handler(HANDLER)
    keeper.converse("POSTING")
    result = keeper("state", "move", "--all", "--to", "OPEN")
    assert result.exit_code == 1
    assert "tea, of tea/ann@example.org/tea, is no handler now" in result.stderr
    assert states(keeper) == {"tea/ann@example.org/tea": "POSTING"}


@pytest.mark.parametrize("command", ["reset", "delete"])
def test_back_to_start(keeper: Any, command: str) -> None:
    keeper.handler("nonsense here")  # no hindrance
    for number in range(120):
        keeper.converse("POSTING", resource=f"r{number:03}")
    assert keeper("state", command, "tea/ann@example.org/r007").stdout == "tea/ann@example.org/r007: POSTING > START\n"
    result = keeper("state", command, "--state", "POSTING")
    assert result.exit_code == 2
    assert "Put 119 conversations back to START? Nobody is there to ask; say --yes." in result.stderr
    assert keeper("state", command, "--state", "POSTING", "--yes").exit_code == 0
    assert states(keeper) == {}
    assert keeper.audit[0] == ("reset", "conversation", "tea/ann@example.org/r007")
    assert len(keeper.audit) == 120


def test_what_another_changed_meanwhile_is_left_alone(keeper: Any) -> None:
    keeper.converse("POSTING", resource="a")
    keeper.converse("POSTING", resource="b")
    custody = keeper.store.custody("ann", keeper.clock.now())
    seen = keeper.store.conversations()
    keeper("state", "reset", "tea/ann@example.org/a")
    refused = custody.move(seen)
    assert list(refused) == [0]
    assert "was changed by another" in refused[0]


def test_nothing_is_stored(keeper: Any) -> None:
    assert keeper("state", "list").stdout == "No conversation is stored.\n"
    assert "no such conversation" in keeper("state", "reset", "--all", "--yes").stderr
    assert keeper("state", "reset").exit_code == 2
