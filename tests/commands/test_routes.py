"""`penstock routes`: the table, and who takes an address."""

from __future__ import annotations

from typing import Any

HANDLER = """
from penstock import Mail, Rcpt, Timer, at_rcpt, route, stateless, timeout

@route("ticket-{id:[0-9a-f]+}@{host}", bounces=True, automatic=True)
@timeout("2h30m", "nag")
def START(mail: Mail, id: str):
    return None

@route("{list}-{action:join|leave}@{host}", always=True)
def HELP(mail: Mail):
    return None

def nag(timer: Timer):
    return None

@stateless
@route("{anyone}@{host}")
def seen(mail: Mail):
    return None

@at_rcpt
def early(rcpt: Rcpt):
    return None
"""

GUARD = """
from penstock import at_rcpt, stateless

@stateless
def look(mail):
    return None

@at_rcpt
def early(rcpt):
    return None
"""
TEA = [("whole", True), ("state", False), ("state", False), ("state", True), ("otherwise", True)]


def test_the_whole_table(penstock_in: Any) -> None:
    name = penstock_in.handler(HANDLER)
    lines = penstock_in.json("routes")
    assert {line["handler"] for line in lines} == {name}
    assert [(line["kind"], line["function"], line["pattern"], line["switches"], line["timeout"]) for line in lines] == [
        ("stateless", "seen", "{anyone}@{host:lists.test}", [], ""),
        ("state", "START", "ticket-{id:[0-9a-f]+}@{host:lists.test}", ["bounces", "automatic"], "2h30m nag"),
        ("state", "HELP", "{list}-{action:join|leave}@{host:lists.test}", ["always"], ""),
        ("otherwise", "550 5.7.1", "", [], ""),
        ("at_rcpt", "early", "", [], ""),
    ]


def test_the_table_reads_as_one(penstock_in: Any) -> None:
    result = penstock_in("routes")
    assert result.stdout.splitlines() == [
        "#  handler  kind       function        pattern",
        "1  tea      whole      no_executables",
        "1  tea      state      START           {listname}-join@{host:lists.test}",
        "1  tea      state      JOINING         {listname}-confirm+{token}@{host:lists.test}",
        "1  tea      state      POSTING         {listname}@{host:lists.test}",
        "1  tea      otherwise  otherwise",
    ]


def test_who_takes_an_address(penstock_in: Any) -> None:
    result = penstock_in("routes", "--address", "<TEA-join@lists.test>")
    marked = [line.split()[4] for line in result.stdout.splitlines() if line.startswith("→")]
    assert marked == ["no_executables", "START", "otherwise"]
    assert "is taken by tea, with listname=tea, host=lists.test." in result.stdout


def test_an_address_that_nobody_takes(penstock_in: Any) -> None:
    penstock_in.configure("penstock.handlers.tea", owned='"lists.test", "other.test"')
    assert "taken by no handler" in penstock_in("routes", "--address", "bob@example.org").stdout
    assert "refused at RCPT: 550 5.1.1" in penstock_in("routes", "--address", "bob@other.test").stdout


def test_no_handlers_at_all(penstock_in: Any) -> None:
    penstock_in.configure()
    assert penstock_in.json("routes") == []
    result = penstock_in("routes")
    assert result.exit_code == 0
    assert result.stdout.startswith("No handler is loaded")


def test_the_pattern_for_all(penstock_in: Any) -> None:
    penstock_in.configure("penstock.handlers.policy")
    (line,) = penstock_in.json("routes")
    assert (line["kind"], line["pattern"]) == ("stateless", "*")


def test_both_doors(penstock_in: Any) -> None:
    guard = penstock_in.module(GUARD)
    penstock_in.configure("penstock.handlers.tea", milter=[guard, "penstock.handlers.tea"])
    lines = penstock_in.json("routes", "--address", "tea@lists.test")
    assert [(line["door"], line["order"], line["handler"], line["kind"], line["sees"]) for line in lines] == [
        ("milter", 1, guard, "whole", True),
        ("milter", 1, guard, "at_rcpt", True),
        *[("preview", 2, "tea", kind, sees) for kind, sees in TEA],
        *[("filter", 1, "tea", kind, sees) for kind, sees in TEA],
    ]
    head, first, *_ = penstock_in("routes").stdout.splitlines()
    assert head.split()[:4] == ["door", "#", "handler", "kind"]
    assert first.split()[:4] == ["milter", "1", guard, "whole"]
