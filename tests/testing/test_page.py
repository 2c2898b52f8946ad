"""docs/testing.md is a test: its handler, its template, its files and its tests run as they stand there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "testing.md").read_text("utf-8")
HANDLERS = ROOT / "tests" / "handlers"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project that the page describes."""
    handler, *tests = blocks("python")
    template = PAGE.partition("`templates/parcels/note.txt`:\n\n```\n")[2].partition("```")[0]
    [side_file] = blocks("json")
    templates = tmp_path / "templates" / "parcels"
    templates.mkdir(parents=True)
    (templates / "note.txt").write_text(template, "utf-8")
    (tmp_path / "parcels.py").write_text(handler, "utf-8")
    (tmp_path / "test_parcels.py").write_text("\n".join(tests), "utf-8")
    (tmp_path / "vacation.eml").write_bytes((HANDLERS / "vacation.eml").read_bytes())
    (tmp_path / "invoice.eml").write_bytes((HANDLERS / "invoice.eml").read_bytes())
    (tmp_path / "invoice.eml.json").write_text(side_file, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\naddopts = --strict-markers\n", "utf-8")
    return tmp_path


def test_the_page_runs_as_it_stands(project: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout
    assert f"{PAGE.count('def test_')} passed" in done.stdout


@pytest.mark.parametrize("file", ["person.py", "got.py", "office.py"])
def test_the_page_names_all_that_a_test_may_call(file: str) -> None:
    source = (ROOT / "filter" / "testing" / file).read_text("utf-8")
    inner = {"box", "check_refusals", "close", "refuse", "drop", "judge", "decide", "refused_unasserted", "handlers"}
    public = set(re.findall(r"^    def ([a-z]\w*)\(", source, re.MULTILINE)) - inner
    assert sorted(name for name in public if re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`", PAGE) is None) == []
