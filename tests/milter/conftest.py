"""The corpus beside the project: real and malformed messages, read where they lie."""

from pathlib import Path

import pytest

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"


@pytest.fixture(scope="session")
def corpus() -> tuple[Path, ...]:
    """All files of the corpus, in a fixed order."""
    if not CORPUS.is_dir():
        pytest.skip(f"no corpus at {CORPUS}")
    return sorted(path for path in CORPUS.rglob("*") if path.is_file())
