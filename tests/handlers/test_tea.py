"""The example of the documentation, as a conversation."""

import pytest


@pytest.mark.penstock(handlers=["penstock.handlers.tea"], routing={"host": r"lists\.test"})
def test_join_and_post(penstock):
    ann = penstock.person("ann@example.org")
    ann.writes("tea-join@lists.test", "let me in").accepted()
    ann.answers(ann.gets(subject="Please confirm"))
    ann.gets(subject="Welcome")
    assert penstock.state("tea", ann, listname="tea") == "POSTING"
    penstock.eml("vacation.eml", to=["tea@lists.test"]).discarded()
    penstock.no_more_letters()
