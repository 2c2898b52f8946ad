"""The tests of the handlers hold with the handlers at the other doors, but for what the doors are different in."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
HANDLERS = HERE.parent / "handlers"

TOLD = {
    "who_is_not_verified_is_not_told",
    "policy_decides_by_header_and_envelope[offer]",
    "tea_refuses_programs_to_whom_it_may_and_holds_those_of_strangers",
    "tea_takes_no_post_from_who_is_no_member[invoice]",
    "tea_takes_no_post_from_who_is_no_member[offer]",
}
"""Where a stranger's mail is refused: held behind the queue, told before it."""

FOR_THE_PORT = {
    "who_is_not_verified_is_not_told",
    "each_recipient_by_itself_and_the_first_rule_decides",
    "a_part_is_kept_for_review_while_the_message_goes_on",
    "a_refusal_goes_before_a_hold_and_a_hold_before_an_edit",
}
"""What a refusal before the queue is told, what differs between recipients, and what penstock itself holds or keeps.

Tests with any octets whatever are left out there: smtpd(8) has made spaces of bare CRs before the milter sees them.
"""


@pytest.mark.not_live("it runs tests, and compares what fails")
@pytest.mark.parametrize(
    ("doors", "files", "only", "differs"),
    [
        ("both", ["policy", "autoreply", "tea", "captured"], "", TOLD),
        ("milter", ["policy", "attachments"], "not content and not byte_for_byte", FOR_THE_PORT),
    ],
)
def test_the_handlers_run_at_the_other_doors_unchanged(doors, files, only, differs):
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "-p", "no:cacheprovider", "-p", "doors", "-k", only]
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*command, *(str(HANDLERS / f"test_{name}.py") for name in files)],
        cwd=HERE.parents[1],
        env=os.environ | {"DOORS": doors, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "passed" in done.stdout, done.stdout + done.stderr
    assert set(re.findall(r"^(?:FAILED|ERROR) \S*::test_(\S+)", done.stdout, re.MULTILINE)) == differs
