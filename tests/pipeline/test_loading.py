"""What is wrong with handlers is told at start: all of it, each with file and reason."""

import pytest
from penstock.filter.loading import LoadError


def findings(door, **sources):
    with pytest.raises(LoadError) as error:
        door(sources=sources)
    return error.value.findings


@pytest.mark.parametrize(
    ("source", "line", "why"),
    [
        ('@route("a@x")\n@route("a@x")\ndef START(mail): pass\n', 2, "has the pattern 'a@x' twice"),
        ('@route("{a}@x")\ndef START(mail, b): pass\n', 2, "has a parameter 'b' that its routes do not fill"),
        (
            '@route("{a}@x")\n@route("{b}@x")\ndef START(mail, a): pass\n',
            2,
            "parameter 'a' that its routes do not fill",
        ),
        ('@route("a@x")\ndef START(): pass\n', 2, "takes no parameter"),
        ('@route("a@x")\nasync def START(mail): pass\n', 2, "is async"),
        ('@route("*")\ndef START(mail): pass\n', 2, "only @stateless functions may have"),
        ('@route("a@x")\ndef START(mail, options): pass\n', 2, "no dataclass Options"),
        ('@route("a{x@x")\ndef START(mail): pass\n', 2, "cannot be read"),
        ('@timeout("7d", "late")\n@route("a@x")\ndef START(mail): pass\n', 2, "@timeout names 'late'"),
        ('@timeout("soon", "f")\n@route("a@x")\ndef START(mail): pass\ndef f(timer): pass\n', 2, "not a duration"),
        ('@timeout("7d", "f")\n@route("{a}@x")\ndef START(mail): pass\ndef f(timer, a): pass\n', 5, "parameter 'a'"),
        ('STATE_KEY = "{list}"\n@route("a@x")\ndef START(mail): pass\n', 3, "STATE_KEY needs {list}"),
        (
            '@route("{a}@x")\ndef START(mail): pass\n@route("b@x")\ndef B(mail): pass\ndef otherwise(mail, a): pass\n',
            6,
            "'a'",
        ),
    ],
)
def test_a_finding_names_file_line_and_reason(door, source, line, why):
    [finding] = findings(door, wrong=source)
    place, _, reason = finding.partition(": ")
    assert "/wrong_" in place
    assert place.endswith(f".py:{line}")
    assert why in reason


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("STATE_KEY = 7\n@route('a@x')\ndef START(mail): pass\n", "STATE_KEY is 7"),
        ("def START(mail): pass\n", "has no function with @route"),
        ("import no_such_module\n", "No module named 'no_such_module'"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("def f(:\n", "invalid syntax"),
    ],
)
def test_a_finding_about_the_module_names_its_file(door, source, why):
    [finding] = findings(door, wrong=source)
    assert "wrong_" in finding
    assert why in finding


def test_all_findings_of_all_handlers_come_at_once(door):
    found = findings(
        door,
        one='@route("a@x")\n@route("a@x")\ndef START(mail, who): pass\n',
        two="import nothing_like_it\n",
        three='@route("ok@x")\ndef START(mail): pass\n',
        four='@route("{a:*}@x")\ndef START(mail): pass\n',
    )
    assert len(found) == 4
    assert [any(f"{name}_" in finding for finding in found) for name in ("one", "two", "three", "four")] == [
        True, True, False, True,
    ]  # fmt: skip


def test_a_module_that_is_not_there_says_where_to_look():
    from penstock.filter.config import from_table
    from penstock.filter.loading import load_routers

    with pytest.raises(LoadError, match=r"no module named 'no_such_app'; is its folder in \[service\] path"):
        load_routers(from_table({"filter": {"handlers": ["no_such_app.desk"]}}, "here"))


def test_options_are_checked_with_the_rest(door):
    source = "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Options:\n    n: int\n" + (
        '@route("a@x")\ndef START(mail, bad): pass\n'
    )
    with pytest.raises(LoadError) as error:
        door(source, options={"n": "seven", "m": 1})
    text = str(error.value)
    assert "n" in text
    assert "unknown" in text
    assert "parameter 'bad'" in text


def test_options_for_a_handler_that_takes_none_are_a_mistake(door):
    with pytest.raises(LoadError, match="takes no options"):
        door('@route("a@x")\ndef START(mail): pass\n', options={"n": 1})


def test_functions_imported_from_elsewhere_do_not_count(door):
    port = door('from penstock.handlers.tea import START as other\n@route("a@x")\ndef START(mail): pass\n')
    [handler] = port.pipeline.router.handlers
    assert [route.pattern.text for route in handler.routes] == ["a@x"]


def test_two_routers_in_one_process_do_not_know_each_other(door):
    one = door('@route("a@x")\ndef START(mail): return Discard("one")\n')
    two = door('@route("a@x")\ndef START(mail): return Discard("two")\n')
    assert one.pipeline.router.taker("a@x").handler.name != two.pipeline.router.taker("a@x").handler.name
    assert one.brings("a@x") == two.brings("a@x") == ["250 2.0.0 Ok: discarded"]
