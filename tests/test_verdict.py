"""Verdicts and replies."""

import pytest
from penstock.filter.verdict import Accept, Defer, Discard, Hold, Reject, Verdict


def test_no_except_exception_swallows_a_verdict():
    for verdict in (Accept(), Reject(550, "5.7.1", "no"), Defer(451, "4.7.1", "later"), Discard(), Hold("why")):
        assert isinstance(verdict, Verdict)
        assert not isinstance(verdict, Exception)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Reject(450, "5.7.1", "no"), "500 to 599"),
        (lambda: Reject(550, "4.7.1", "no"), "like 5.7.1"),
        (lambda: Reject(550, "5.7", "no"), "like 5.7.1"),
        (lambda: Defer(550, "4.7.1", "no"), "400 to 499"),
        (lambda: Reject("550", "5.7.1", "no"), "500 to 599"),
        (lambda: Reject(550, "5.7.1", "no\r\n250 yes"), "control character"),
        (lambda: Reject(550, "5.7.1", "no\0"), "control character"),
    ],
)
def test_what_would_break_the_reply_is_refused(make, why):
    with pytest.raises(ValueError, match=why):
        make()


def test_a_reply_text_is_ascii_and_never_empty():
    assert str(Reject(550, "5.7.1", "für dich nicht")) == "550 5.7.1 f?r dich nicht"
    assert Reject(550, "5.7.1", "").reply.text == "Refused"
