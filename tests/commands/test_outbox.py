"""`penstock outbox`: list, show, retry, hold, delete; what is being sent is left alone."""

from datetime import timedelta
from typing import Any

import pytest
from penstock.filter.verdict import Reply

DATABASES = ["sqlite", "postgresql"]

LATER = Reply(451, "4.3.0", "not now")


def deferred(keeper: Any, *to: str) -> int:
    """A letter that Postfix has put off once."""
    number = keeper.write(*to)
    [waiting] = keeper.store.claim("us", keeper.clock.now())
    keeper.store.settle_letter(waiting, [LATER] * max(1, len(to)), keeper.clock.now(), None)
    return int(number)


def waiting(keeper: Any) -> list[int]:
    return [letter.number for letter in keeper.store.waiting()]


def test_the_list(keeper: Any) -> None:
    first = deferred(keeper, "bob@example.net", "eve@example.net")
    second = keeper.write(sender="", verp=True)
    titles, *lines = keeper("outbox", "list").stdout.splitlines()
    assert titles.split() == ["number", "made", "due", "tries", "handler", "sender", "recipients", "last", "reply"]
    assert [line.split()[0] for line in lines] == [str(first), str(second)]
    assert "451 4.3.0" in lines[0]
    assert "(2) bob" in lines[0]
    one, two = keeper.json("outbox", "list")
    assert (one["attempts"], one["last_reply"], one["verp"]) == (1, "451 4.3.0 not now", False)
    assert (two["attempts"], two["last_reply"], two["verp"], two["leased_until"]) == (0, None, True, None)
    assert [letter["number"] for letter in keeper.json("outbox", "list", "--sender", "<>")] == [second]
    assert [letter["number"] for letter in keeper.json("outbox", "list", "--reason", "not now")] == [first]
    assert [letter["number"] for letter in keeper.json("outbox", "list", "--recipient", "eve@*")] == [first]
    assert keeper.json("outbox", "list", "--handler", "other") == []


def test_an_empty_outbox(keeper: Any) -> None:
    assert keeper("outbox", "list").stdout == "The outbox is empty.\n"
    assert keeper("outbox", "list", "--handler", "x").stdout == "No such letter is in the outbox.\n"
    for command in ("show", "retry", "hold", "delete"):
        result = keeper("outbox", command, "17")
        assert result.exit_code == 1
        assert result.stderr == "Error: no letter 17 is in the outbox; `penstock outbox list` shows what is\n"


def test_one_is_shown(keeper: Any) -> None:
    number = str(keeper.write(verp=True))
    shown = keeper("outbox", "show", number).stdout
    assert "Sender:     <list@lists.test>" in shown
    assert "XVERP:      a return path for each recipient" in shown
    assert "  Subject: hello" in shown
    assert keeper.json("outbox", "show", number)["header"].startswith("From: Ann")
    assert keeper("outbox", "show", number, "--eml", "-").stdout_bytes.endswith(b"\r\n\r\nlet me in\r\n")


def test_what_was_put_off_is_tried_now(keeper: Any) -> None:
    number = deferred(keeper)
    assert keeper.store.claim("us", keeper.clock.now()) == []
    assert keeper("outbox", "retry", "--all").stdout == f"letter {number} is due now\n"
    assert [letter.number for letter in keeper.store.claim("us", keeper.clock.now())] == [number]


def test_a_letter_is_held_and_released(keeper: Any) -> None:
    number = deferred(keeper, "bob@example.net", "eve@example.net")
    before = keeper.store.waiting()
    assert keeper("outbox", "hold", str(number)).exit_code == 0
    assert waiting(keeper) == []
    [held] = keeper.json("held", "list")
    assert held["reason"].startswith("held by ")
    assert (held["attempts"], held["expires"]) == (1, None)
    assert keeper("held", "release", str(held["number"])).exit_code == 0
    [after] = keeper.store.waiting()
    assert (after.envelope, after.message_id, after.verp) == (before[0].envelope, "<1@example.org>", False)
    assert keeper.store.letter(after)["Subject"] == "hello"
    assert keeper.audit == [("held", "letter", str(number)), ("released", "held", str(held["number"]))]


def test_deletion(keeper: Any) -> None:
    first, second, *_ = [keeper.write() for _ in range(250)]
    assert keeper("outbox", "delete", str(first)).stdout == f"letter {first} is deleted\n"
    result = keeper("outbox", "delete", "--all")
    assert result.exit_code == 2
    assert "Delete 249 letters for good?" in result.stderr
    assert waiting(keeper)[0] == second
    assert keeper("outbox", "delete", "--handler", "tea", "--since", "1h", "--yes").exit_code == 0
    assert waiting(keeper) == []
    assert len(keeper.audit) == 250


@pytest.mark.parametrize("command", ["retry", "hold", "delete"])
def test_what_is_being_sent_is_left_alone(keeper: Any, command: str) -> None:
    leased = keeper.write()
    keeper.store.claim("us", keeper.clock.now())
    free = keeper.write()
    assert "sending" in keeper("outbox", "list").stdout
    result = keeper("outbox", command, str(leased), str(free), *["--yes"] * (command == "delete"))
    assert result.exit_code == 1
    assert f"letter {free} is" in result.stdout
    assert f"Error: letter {leased} is being sent; if not, it is free again at" in result.stderr
    assert leased in waiting(keeper)


def test_the_lease_of_the_dead_is_over(keeper: Any) -> None:
    number = keeper.write()
    keeper.store.claim("us", keeper.clock.now() - timedelta(hours=1))
    assert keeper("outbox", "delete", str(number)).exit_code == 0
