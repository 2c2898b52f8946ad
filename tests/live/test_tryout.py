"""The try-out: what it claims is compared with what happens, and it cleans up behind itself."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from penstock.filter.testing.site import Site
from penstock.filter.testing.tryout.cases import CONFIGURATION, MILTER, OWNED, Arrives, Case
from penstock.filter.testing.tryout.trial import put_to_the_test
from penstock.postfix.private import until

COMMAND = [sys.executable, "-m", "penstock.filter.testing.tryout"]


def test_once_shows_every_case_and_all_are_right() -> None:
    done = subprocess.run([*COMMAND, "--once"], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All 8 came out as they should." in done.stdout
    assert "attachments: replace invoice.pdf.exe" in done.stdout
    assert "policy: refused with 550 5.7.1 We need no watches, before the queue" in done.stdout
    assert "told  550 5.7.1 Join first" in done.stdout
    assert "autoreply: a letter to <bob@example.test>" in done.stdout
    assert not folder_of(done.stdout).exists()


def folder_of(shown: str) -> Path:
    found = re.search(r"All of it in (\S+)\.\n", shown)
    assert found
    return Path(found[1])


@pytest.fixture
def staying(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Callable[[], str]]]:
    """A try-out that stays up, and what it has shown so far."""
    shown = tmp_path / "shown"
    with shown.open("w") as file, subprocess.Popen(COMMAND, stdout=file, stderr=file, text=True) as process:
        until(lambda: "Ctrl-C ends it" in shown.read_text(), 120, shown.read_text)
        yield process, shown.read_text
        if process.poll() is None:
            process.terminate()


def test_it_stays_shows_what_comes_in_and_leaves_nothing(
    staying: tuple[subprocess.Popen[str], Callable[[], str]],
) -> None:
    process, shown = staying
    folder = folder_of(shown())
    [suggested] = re.findall(r"(swaks .* --to ann@office\.test)\n", shown())
    subprocess.run(suggested.split(), capture_output=True, timeout=60, check=True)
    for line in (
        '"Auto: test',
        "handled    autoreply: a letter to <you@example.test>",
        "delivered  <you@example.test> to <ann@office.test>",
    ):
        until(lambda line=line: shown().count(line) == 1, 30, shown)

    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert not folder.exists()
    assert processes_of(folder) == []


def processes_of(folder: Path) -> list[str]:
    """The command lines and folders of running processes that have to do with a folder."""
    time.sleep(0.2)
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            traces = (process / "cmdline").read_text(), os.readlink(process / "cwd")
        except OSError:
            continue  # it ended meanwhile
        found += [trace for trace in traces if str(folder) in trace]
    return found


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Site]) -> Site:
    return make_site(filter=CONFIGURATION, milter=MILTER, owned=(OWNED,))


@pytest.mark.parametrize(
    ("case", "complaint"),
    [
        (
            Case("", "bob@a.test", "dan@b.test", "x", attachment=True, arrives=(Arrives("dan@b.test"),)),
            "this was not to happen: attachments: replace invoice.pdf.exe (executable by content)",
        ),
        (
            Case("", "bob@a.test", "dan@b.test", "x", arrives=(Arrives("dan@b.test", "rewritten"),)),
            "this was to arrive: rewritten to <dan@b.test>",
        ),
        (Case("", "bob@a.test", "dan@b.test", "x"), "this was not to arrive: <bob@a.test>"),
        (
            Case("", "bob@a.test", "dan@b.test", "x", did=("policy: held",), arrives=(Arrives("dan@b.test"),)),
            "this was to happen: policy: held",
        ),
        (
            Case("", "bob@a.test", "dan@b.test", "x", refused="550 No", arrives=(Arrives("dan@b.test"),)),
            "it was to be 550 No, not taken",
        ),
    ],
    ids=["another deed", "another content", "a delivery too many", "a deed missing", "taken"],
)
def test_what_comes_out_otherwise_is_told(
    site: Site, case: Case, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.filter.testing.tryout.trial.PATIENCE", 3.0)
    wrong = put_to_the_test(site, case, 1).wrong
    assert any(text.startswith(complaint) for text in wrong), wrong
