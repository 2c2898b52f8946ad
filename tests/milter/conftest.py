"""The corpus beside the project, real and malformed messages, read where they lie; and milters to speak to."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .mta import WANTS, Served, start

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"


@pytest.fixture(scope="session")
def corpus() -> tuple[Path, ...]:
    """All files of the corpus, in a fixed order."""
    if not CORPUS.is_dir():
        pytest.skip(f"no corpus at {CORPUS}")
    return sorted(path for path in CORPUS.rglob("*") if path.is_file())


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start a milter of one's own: `serve(address, wants)`."""
    with ExitStack() as stack:
        yield lambda address="", wants=WANTS: start(stack, tmp_path, address, wants)


@pytest.fixture(scope="module")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with ExitStack() as stack:
        yield start(stack, tmp_path_factory.mktemp("milter"), "", WANTS)


@pytest.fixture
def served(_shared: Served) -> Served:
    """A milter that other tests have, too; nothing has arrived yet."""
    _shared.clear()
    return _shared
