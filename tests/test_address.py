"""Addresses as headers hold them, and reverse-paths as relays leave them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock.filter.address import Address, domain_key, identity, parse, parse_list, split, verp


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("", []),
        ("ann@example.org", [("ann", "example.org", "")]),
        ("<ann@example.org>", [("ann", "example.org", "")]),
        ("Ann Lee <ann@example.org>", [("ann", "example.org", "Ann Lee")]),
        ("Ann<ann@example.org>", [("ann", "example.org", "Ann")]),
        ('"Lee, Ann" <ann@a>, bob@b', [("ann", "a", "Lee, Ann"), ("bob", "b", "")]),
        (r'"a \"b\" c" <x@y>', [("x", "y", 'a "b" c')]),
        ('"ann lee"@example.org', [("ann lee", "example.org", "")]),
        ('A <"ann lee"@example.org>', [("ann lee", "example.org", "A")]),
        ('A <"a>b"@c>', [("a>b", "c", "A")]),
        ("ann@example.org (Ann (the one) Lee)", [("ann", "example.org", "Ann (the one) Lee")]),
        ("Pete(a \\) chap) <pete(his)@silly.test(host)>", [("pete", "silly.test", "Pete")]),
        ("Friends: ann@a, Bob <bob@b>; cy@c", [("ann", "a", ""), ("bob", "b", "Bob"), ("cy", "c", "")]),
        ("undisclosed-recipients:;", []),
        ("<>", []),
        ("Nobody At All", []),
        ("root", [("root", "", "")]),
        ("Ann ann@example.org", [("ann", "example.org", "Ann")]),
        ("ann @ example.org", [("ann", "example.org", "")]),
        ("<@a,@b:ann@example.org>", [("ann", "example.org", "")]),
        ("a@b; c@d", [("a", "b", ""), ("c", "d", "")]),
        (",,a@b,,", [("a", "b", "")]),
        ("=?utf-8?q?Andr=C3=A9=2C_x?= <a@b>", [("a", "b", "André, x")]),
        ("=?utf-8?q?=3Ca=40b=3E=2C?= <c@d>", [("c", "d", "<a@b>,")]),
        ('"=?utf-8?q?=C3=A4?=" <a@b>', [("a", "b", "ä")]),
        ("ä@bücher.example", [("ä", "bücher.example", "")]),
        ("a@[192.0.2.1]", [("a", "[192.0.2.1]", "")]),
        ("Ann <ann@example.org", [("ann", "example.org", "Ann")]),
        ('"open <a@b>', [("open <a", "b>", "")]),
    ],
)  # fmt: skip
def test_lists(text: str, addresses: list[tuple[str, str, str]]) -> None:
    assert [(found.local, found.domain, found.name) for found in parse_list(text)] == addresses
    assert parse(text) == (parse_list(text) or [None])[0]


@given(st.text(st.sampled_from('ab@,;:<>()[]"\\ \t.=?é'), max_size=40))
def test_parsing_never_raises(text: str) -> None:
    for address in parse_list(text):
        assert address.local or address.domain
        assert isinstance(str(address), str)
        assert isinstance(address.key, str)


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (Address("ann", "example.org"), "ann@example.org"),
        (Address("ann", "example.org", "Ann Lee"), "Ann Lee <ann@example.org>"),
        (Address("ann", "example.org", "Lee, Ann"), '"Lee, Ann" <ann@example.org>'),
        (Address("a b", "c", 'x"y'), r'"x\"y" <"a b"@c>'),
        (Address("a..b", "c"), '"a..b"@c'),
        (Address("root", ""), "root"),
    ],
)
def test_as_text_and_back(address: Address, text: str) -> None:
    assert str(address) == text
    assert parse(text) == address


def test_keys_compare_addresses() -> None:
    assert Address("Ann", "BÜCHER.example").key == Address("ann", "xn--bcher-kva.example.", "x").key


@pytest.mark.parametrize(
    ("domain", "key"),
    [
        ("Example.ORG.", "example.org"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("straße.de", "xn--strae-oqa.de"),
        ("ex\udcffample", "ex\udcffample"),
        ("ä" * 300, "ä" * 300),
        ("ä..b", "ä..b"),
        ("", ""),
    ],
)
def test_domain_key(domain: str, key: str) -> None:
    assert domain_key(domain) == key


@pytest.mark.parametrize(
    ("path", "who"),
    [
        ("", ""),
        ("Ann@Example.ORG", "ann@example.org"),
        ("prvs=2987A7B7C7=Ann@example.org", "ann@example.org"),
        ("prvs=ann/2987A7B7C7@example.org", "ann@example.org"),
        ("prvs=short=ann@example.org", "prvs=short=ann@example.org"),
        ("SRS0=HHHH=TT=example.com=Bob@lists.test", "bob@example.com"),
        ("SRS0+HHHH=TT=example.com=bob@LISTS.test", "bob@example.com"),
        ("SRS1=HHHH=relay.example==GGGG=TT=example.com=bob@lists.test", "bob@example.com"),
        ("SRS0=HHHH=TT=example.com=prvs=2987A7B7C7=bob@lists.test", "bob@example.com"),
        ("SRS0=HHHH=TT=example.com=bob@elsewhere.example", "srs0=hhhh=tt=example.com=bob@elsewhere.example"),
        ("postmaster", "postmaster"),
        ("a\udcff@b", "a\udcff@b"),
    ],
)
def test_identity(path: str, who: str) -> None:
    assert identity(path, own=["lists.test"]) == who


def test_foreign_srs_is_left_alone_without_own_domains() -> None:
    assert identity("SRS0=HHHH=TT=example.com=bob@lists.test") == "srs0=hhhh=tt=example.com=bob@lists.test"


def test_split() -> None:
    assert split('"a@b"@c') == ('"a@b"', "c")
    assert split("postmaster") == ("postmaster", "")


@pytest.mark.parametrize(
    ("sender", "recipient", "path"),
    [
        ("list-bounces@lists.test", "ann@example.org", "list-bounces+ann=example.org@lists.test"),
        ("list-bounces@lists.test", "ann", "list-bounces+ann@lists.test"),
        ("owner", '"a@b"@c', 'owner+"a@b"=c'),
    ],
)
def test_verp(sender: str, recipient: str, path: str) -> None:
    assert verp(sender, recipient) == path


def test_an_address_among_a_great_many_words_and_colons_is_read_in_one_pass():
    """Where each colon looked at all words before it, this header of 100 kB took half a minute."""
    [found] = parse_list("x " * 25_000 + "ann@example.org " + ": " * 25_000)
    assert found.domain == "example.org"


@pytest.mark.parametrize("other", ["stra\u00dfe@x.org", "\u017fam@x.org", "\u212aate@x.org", "\ufb01n@x.org"])
def test_an_address_beyond_ascii_is_nobody_elses_identity(other):
    """Case folding makes `strasse`, `sam`, `kate` and `fin` of these, which are other mailboxes of that domain."""
    assert not identity(other).isascii()
    assert identity("JÖRG.Ann@x.org") == "jörg.ann@x.org"
