"""The pytest plugin, as another project has it: a pytest of its own, in a folder of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from penstock.filter.testing import mailsystem

HANDLER = """\
from penstock import Reject, route

@route("{what}@{host}")
def START(mail, what):
    if what == "refuse":
        raise Reject(550, "5.7.1", "no")
"""
CONFIGURATION = """\
[filter]
handlers = ["own_handler"]
[routing]
host = 'own\\.test'
"""


def run(folder: Path, test: str, *options: str, **environment: str) -> tuple[int, str]:
    """Run pytest on this test; the exit status, and all that it said."""
    (folder / "tests").mkdir()
    (folder / "tests" / "test_own.py").write_text(test, "utf-8")
    (folder / "own_handler.py").write_text(HANDLER, "utf-8")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n", "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options],
        cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_the_nearest_configuration_above_the_test_holds(tmp_path: Path) -> None:
    (tmp_path / "penstock.toml").write_text(f"[service]\npath = ['{tmp_path}']\n{CONFIGURATION}", "utf-8")
    status, said = run(
        tmp_path, "def test_it(penstock):\n    penstock.person('a@b.test').writes('x@own.test').consumed()\n"
    )
    assert (status, "1 passed" in said) == (0, True), said


def test_a_test_without_handlers_and_configuration_is_told_so(tmp_path: Path) -> None:
    status, said = run(tmp_path, "def test_it(penstock): pass\n")
    assert status == 1
    assert "needs @pytest.mark.penstock(handlers=[…]) or a penstock.toml above the test" in said


def test_a_refusal_that_nobody_asserted_fails_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "penstock.toml").write_text(f"[service]\npath = ['{tmp_path}']\n{CONFIGURATION}", "utf-8")
    status, said = run(tmp_path, "def test_it(penstock):\n    penstock.person('a@b.test').writes('refuse@own.test')\n")
    assert (status, "1 passed, 1 error" in said) == (1, True), said
    assert "refused, and no test asked for it: refuse@own.test rejected (550 5.7.1 no)" in said


def test_live_without_postfix_says_what_to_install(tmp_path: Path) -> None:
    status, said = run(tmp_path, "def test_it(penstock): pass\n", "--live", PATH=str(tmp_path))
    assert status == pytest.ExitCode.USAGE_ERROR
    assert "--live: there is no postfix command here; install the package postfix" in said


def test_live_needs_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    postfix = tmp_path / "postfix"
    postfix.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "needs root" in (mailsystem.what_is_missing() or "")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert mailsystem.what_is_missing() is None
