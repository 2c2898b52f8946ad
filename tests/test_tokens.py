"""Tokens: what is signed verifies, and nothing else does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock.filter.tokens import LENGTH, Tokens, digest

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=3)
TOKENS = Tokens(b"a secret of sixteen octets")
TEXT = st.text(st.characters(codec=None), max_size=8)


@given(purpose=TEXT, facts=st.lists(TEXT, max_size=3))
def test_a_token_verifies_for_what_it_was_signed_for(purpose: str, facts: list[str]) -> None:
    token = TOKENS.sign(purpose, *facts, expires=LATER)
    assert len(token) == LENGTH == 32
    assert token == token.lower()
    assert TOKENS.verify(token, purpose, *facts, now=NOW)
    assert TOKENS.verify(token.upper(), purpose, *facts, now=NOW)


@given(signed=st.lists(TEXT, min_size=1, max_size=3), claimed=st.lists(TEXT, min_size=1, max_size=3))
def test_it_verifies_for_nothing_else(signed: list[str], claimed: list[str]) -> None:
    token = TOKENS.sign(*signed, expires=LATER)
    assert TOKENS.verify(token, *claimed, now=NOW) is (signed == claimed)


def test_facts_cannot_be_shifted() -> None:
    token = TOKENS.sign("join", "ab", "c", expires=LATER)
    for facts in (("a", "bc"), ("abc",), ("ab", "c", ""), ("", "ab", "c")):
        assert not TOKENS.verify(token, "join", *facts, now=NOW)


def test_the_expiry_is_sealed_and_holds_to_the_second() -> None:
    expires = LATER + timedelta(milliseconds=1)
    token = TOKENS.sign("join", expires=expires)
    assert TOKENS.verify(token, "join", now=LATER)
    assert TOKENS.verify(token, "join", now=LATER + timedelta(milliseconds=999))
    assert not TOKENS.verify(token, "join", now=LATER + timedelta(seconds=1))


@given(position=st.integers(0, LENGTH - 1), letter=st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_every_letter_counts(position: int, letter: str) -> None:
    token = TOKENS.sign("join", "tea", expires=LATER, nonce=bytes(8))
    forged = token[:position] + letter + token[position + 1 :]
    assert TOKENS.verify(forged, "join", "tea", now=NOW) is (forged == token)


@given(st.one_of(st.text(max_size=40), st.text("abcdefghijklmnopqrstuvwxyz234567=", min_size=30, max_size=34)))
def test_garbage_is_false_and_raises_nothing(token: str) -> None:
    assert TOKENS.verify(token, "join", "tea", now=NOW) is False


def test_another_secret_does_not_verify() -> None:
    token = Tokens(bytes(16)).sign("join", expires=LATER)
    assert not TOKENS.verify(token, "join", now=NOW)


def test_two_tokens_for_the_same_facts_differ() -> None:
    assert TOKENS.sign("join", expires=LATER) != TOKENS.sign("join", expires=LATER)


def test_the_digest_is_one_in_any_case_and_not_the_token() -> None:
    token = TOKENS.sign("join", expires=LATER)
    assert digest(token) == digest(token.upper())
    assert token not in digest(token)
    assert digest("\udc80") != digest("")


def test_what_cannot_be_signed_is_refused() -> None:
    with pytest.raises(ValueError, match="16 octets"):
        Tokens(b"short")
    with pytest.raises(ValueError, match="nonce"):
        TOKENS.sign("join", expires=LATER, nonce=b"1")
    with pytest.raises(ValueError, match="aware"):
        TOKENS.sign("join", expires=LATER.replace(tzinfo=None))
    with pytest.raises(ValueError, match="2200"):
        TOKENS.sign("join", expires=LATER.replace(year=2200))
