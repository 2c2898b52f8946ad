"""Live tests: a private Postfix, `penstock run` beside it, and a sink behind."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from penstock.filter.testing.site import Site

HANDLERS = Path(__file__).parent / "handlers"
VERDICTS = """\
handlers = ["verdicts"]
[handlers.verdicts]
gate = "@folder@/gate"
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without root or Postfix there is nothing live to test."""
    reason = None if os.geteuid() == 0 else "a private Postfix needs root: use sh tests/run.sh"
    reason = reason if shutil.which("postfix") else "Postfix is not installed: use sh tests/run.sh"
    if reason:
        for item in items:
            if item.path.is_relative_to(Path(__file__).parent):
                item.add_marker(pytest.mark.skip(reason))


@pytest.fixture(scope="module")
def make_site() -> Iterator[Callable[..., Site]]:
    """Make a running site, with the arguments of `Site`.

    Unless `filter` says otherwise it has the handler `verdicts`, whose gate is the file `gate` in the site's folder.
    """
    with ExitStack() as stack:

        def make(filter: str = VERDICTS, **arguments: Any) -> Site:
            folder = Path(tempfile.mkdtemp(prefix="penstock-live-"))
            folder.chmod(0o755)
            stack.callback(shutil.rmtree, folder)
            arguments.setdefault("service", f'path = ["{HANDLERS}"]')
            return stack.enter_context(Site(folder, filter=filter.replace("@folder@", str(folder)), **arguments))

        yield make


@pytest.fixture(autouse=True)
def _clean(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test leaves an empty queue, and begins with one and with an empty sink, whatever the one before it did."""
    yield
    if "site" in request.fixturenames:
        site: Site = request.getfixturevalue("site")
        try:
            site.postfix.wait_empty()
        finally:
            site.postfix.delete("ALL")
            site.sink.clear()
