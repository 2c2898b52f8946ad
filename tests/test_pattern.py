"""Address patterns: what they match, what they refuse, and the way back."""

import pytest
from penstock.filter.pattern import PatternError, compile_pattern, reading


@pytest.mark.parametrize(
    ("pattern", "address", "blanks"),
    [
        ("{listname}-join@{host}", "tea-join@lists.test", {"listname": "tea", "host": "lists.test"}),
        ("{listname}-join@{host}", "tea-leave@lists.test", None),
        ("{list}-{action:join|leave}@lists.test", "tea-leave@lists.test", {"list": "tea", "action": "leave"}),
        ("{list}-{action:join|leave}@lists.test", "tea-stay@lists.test", None),
        ("t-{id:[0-9a-f]+}@x.test", "t-0af@x.test", {"id": "0af"}),
        ("t-{id:[0-9a-f]{4}}@x.test", "t-0af1@x.test", {"id": "0af1"}),
        ("t-{id:[0-9a-f]{4}}@x.test", "t-0af12@x.test", None),
        ("t-{id:[0-9]{2,3}}@x.test", "t-123@x.test", {"id": "123"}),
        ("a.b@x.test", "a.b@x.test", {}),
        ("a.b@x.test", "axb@x.test", None),
        ("A.B@X.Test", "a.b@x.test", {}),
        ("{who}@x.test", "a@b@x.test", None),
        ("{who:[^a]+}@x.test", "b@b@x.test", None),
        ("{who}@x.test", "@x.test", None),
    ],
)
def test_full_match_on_the_address(pattern, address, blanks):
    assert compile_pattern(pattern).match(address) == blanks


def test_a_star_matches_whatever_there_is():
    assert compile_pattern("*").match("") == {}
    assert compile_pattern("*").match('"a@b"@x\n') == {}


def test_a_blank_takes_its_shape_from_the_configuration():
    pattern = compile_pattern("{name}@{host}", {"host": r"lists\.example\.org|lists.test"})
    assert pattern.match("tea@lists.example.org") == {"name": "tea", "host": "lists.example.org"}
    assert pattern.match("tea@lists.test") is not None
    assert pattern.match("tea@listsxtest") is None


def test_its_own_shape_wins_over_the_configuration():
    assert compile_pattern("{id:[0-9]+}@x", {"id": "a|b"}).match("7@x") == {"id": "7"}


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("{a}-{a}@x", "stands twice"),
        ("nobody", "needs one @"),
        ("{a}@{b}@x", "needs one @"),
        ("{a", "cannot be read"),
        ("a}@x", "closing brace"),
        ("{a:(x|y)+}@x", "words"),
        ("{a:x.*}@x", "words"),
        ("{a:[a-z]+[0-9]+}@x", "one character class"),
        ("{a:[a-z]*}@x", "one character class"),
        ("{a:[A-F]+}@x", "lower case"),
        ("{a:[z-a]+}@x", "bad character range"),
        ("{a:}@x", "words"),
        ("(a|b)x@y", "literal"),
        (r"a\.b@y", "literal"),
        ("[a-z]+@y", "literal"),
    ],
)
def test_what_is_no_pattern_says_why(pattern, why):
    with pytest.raises(PatternError, match=why):
        compile_pattern(pattern)


def test_the_way_back():
    pattern = compile_pattern("{list}-confirm+{token:[a-z2-7]+}@{host}", {"host": r"lists\.test"})
    assert pattern.fill({"list": "tea", "token": "abc"}) == "tea-confirm+abc@lists.test"
    with pytest.raises(PatternError, match="needs a value"):
        pattern.fill({"list": "tea"})
    with pytest.raises(PatternError, match="does not fit"):
        pattern.fill({"list": "tea", "token": "a@b"})


def test_addresses_are_read_in_lower_case_with_the_domain_as_a_label():
    assert reading("Ann.Lee@EXAMPLE.org") == "ann.lee@example.org"
    assert reading("ann@bücher.example") == "ann@xn--bcher-kva.example"
    assert reading("a" * 243 + "@example.org") is None
    assert reading("Postmaster") == "postmaster"


def test_no_pattern_may_take_long_to_refuse_an_address():
    with pytest.raises(PatternError, match="more than 3 blanks on one side"):
        compile_pattern("{a}-{b}-{c}-{d}@x.test")
    with pytest.raises(PatternError, match="more than 3 blanks on one side"):
        compile_pattern("x@{a}.{b}.{c}.{d}")
    assert compile_pattern("{a}-{b}-{c}-{d:x|y}@{e}").match("-" * 240 + "@y.test") is None
