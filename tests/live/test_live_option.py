"""`pytest --live`: the tests of handlers, of the pipeline and of the post office itself, through a real Postfix."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PIPELINE = (
    "a_conversation_moves or an_always_route or keyed_by_identity or null_reverse_path or deadline_runs_on"
    " or verdicts_may_be or every_verdict or crash_before or token_is_good or keeps_the_original or edits_of_a_letter"
)
OFFICE_OF_THE_PLUGIN = """\
import itertools
import pytest

numbers = itertools.count(1)


@pytest.fixture
def database(tmp_path):
    return lambda: f"sqlite:///{tmp_path}/store-{next(numbers)}.db"


@pytest.fixture
def office(office, penstock_office):
    return lambda *given, **more: penstock_office(office(*given, **more).settings)
"""
WITNESS = """\
import pytest


@pytest.mark.penstock(handlers=["penstock.handlers.tea"], routing={"host": r"lists\\.test"})
def test_it_went_through_postfix(penstock):
    ann = penstock.person("ann@example.org")
    got = ann.writes(["tea-join@lists.test", "bob@else.test"]).accepted()
    assert got.arrival.peer == "mx.penstock.test"
    assert got.arrival.envelope.queue_id == got.queue_id
    assert f"by mx.penstock.test (Postfix) with ESMTP id {got.queue_id}" in got.arrival.message["Received"]
    assert "queued as" in got["bob@else.test"].reply.text
    ann.gets(subject="Please confirm")


@pytest.mark.not_live("it would fail")
@pytest.mark.penstock(handlers=["penstock.handlers.tea"], routing={"host": r"lists\\.test"})
def test_that_is_not_for_live(penstock):
    raise AssertionError
"""
FAILING = """\
import pytest
from penstock import Defer, stateless


@stateless
def wait(mail):
    raise Defer(451, "4.7.1", "wait")


@pytest.mark.penstock(handlers=[__name__])
def test_that_fails(penstock):
    penstock.person("ann@example.org").writes("bob@else.test").accepted()
"""


def passed_live(folder: Path, *arguments: object, **environment: str) -> set[str]:
    """Run pytest with `--live`; the names of the tests that passed, when none failed."""
    command = [sys.executable, "-m", "pytest", "--live", "-q", "-rA", "-p", "no:cacheprovider", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return set(re.findall(r"^PASSED .*::(.+)$", done.stdout, re.MULTILINE))


def test_handlers_and_the_office_itself() -> None:
    handlers = TESTS / "handlers"
    files = (handlers / "test_tea.py", handlers / "test_autoreply.py", TESTS / "testing" / "test_office.py")
    assert len(passed_live(TESTS.parent, *files, "-k", "not stray_octets")) > 40


def test_the_pipeline_and_a_witness(tmp_path: Path) -> None:
    """The tests of the pipeline, with the offices that they make replaced by those of the plugin."""
    shutil.copy(TESTS / "pipeline" / "conftest.py", tmp_path)
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "conftest.py").write_text(OFFICE_OF_THE_PLUGIN, "utf-8")
    for name in ("test_states.py", "test_kept.py"):
        shutil.copy(TESTS / "pipeline" / name, tmp_path / "live")
    (tmp_path / "test_witness.py").write_text(WITNESS, "utf-8")
    passed = passed_live(tmp_path, "-k", f"{PIPELINE} or went_through_postfix or not_for_live")
    assert len(passed) > 10
    assert "test_it_went_through_postfix" in passed
    assert "test_that_is_not_for_live" not in passed


def test_nothing_of_it_is_left(tmp_path: Path, open_folder: Path) -> None:
    """Neither Postfix nor its folder, even where a test fails and mail waits in the queue."""
    (tmp_path / "test_failing.py").write_text(FAILING, "utf-8")
    with pytest.raises(AssertionError, match=r"not accepted: bob@else\.test deferred"):
        passed_live(tmp_path, TMPDIR=str(open_folder))
    assert list(open_folder.glob("penstock-live-*")) == []
    environments = [path for path in Path("/proc").glob("[0-9]*/environ") if str(open_folder) in _read(path)]
    assert environments == []


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that user postfix reaches."""
    with tempfile.TemporaryDirectory(prefix="penstock-option-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:  # the process has ended
        return ""
