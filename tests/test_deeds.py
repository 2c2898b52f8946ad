"""The try-out reads what handlers did from the log: as the log is written."""

import pytest
from penstock.filter.testing.tryout.deeds import deeds

JOURNAL = "time=2026-11-21T10:49:20.555Z level=info log=penstock.journal queue_id=7F sender=<bob@a.test> "


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (JOURNAL + 'recipient=<d@b.test> fate=sent handler=autoreply ms=1.9 reply="250 2.0.0 Ok"', []),
        (
            JOURNAL + 'fate=rejected handler=policy ms=2.2 reply="550 5.7.1 We need \\"no\\" watches"',
            ['policy: refused with 550 5.7.1 We need \\"no\\" watches'],
        ),
        (
            JOURNAL.replace("queue_id", "door=milter queue_id") + 'fate=rejected handler=policy reply="550 No" ms=0.3',
            ["policy: refused with 550 No, before the queue"],
        ),
        (JOURNAL.replace("queue_id", "door=milter queue_id") + "fate=passes edited_by=attachments ms=0.9", []),
        (
            JOURNAL + 'fate=held handler=policy reason="refused (550 5.7.1 No), but <bob@a.test> is not verified" ms=1',
            ["policy: held; refused (550 5.7.1 No), but is not verified"],
        ),
        (JOURNAL + 'fate=consumed handler=tea state=START>JOINING ms=1 reply="250 Ok"', ["tea: START → JOINING"]),
        (
            "time=x level=info log=penstock handler=attachments action=drop rule='by content' file='a b.exe'",
            ["attachments: drop a b.exe (by content)"],
        ),
        (
            "time=x level=info log=penstock.outbox letter=1 handler=tea sender=<> recipient=<bob@a.test> reply='250'",
            ["tea: a letter to <bob@a.test>"],
        ),
        ('time=x level=error log=penstock.port text="a fault"', ["error: a fault"]),
        ("    Traceback (most recent call last):", []),
    ],
)
def test_a_line_of_the_log_is_told_in_a_few_words(line: str, told: list[str]) -> None:
    assert deeds(line) == told
