"""The pytest plugin: the fixture `penstock`, in which handlers run without Postfix and without sockets.

    @pytest.mark.penstock(handlers=["myapp.lists"], routing={"host": r"lists\\.test"})
    def test_join(penstock):
        ann = penstock.person("ann@example.org")
        ann.writes("tea-join@lists.test", "let me in").accepted()

Without `handlers` in the marker the configuration is the nearest `penstock.toml` above the test.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..config import Settings, from_table
from .office import Office

MARKER = (
    "penstock(handlers, routing, options, owned, **tables): the handlers and settings of the fixture `penstock`; "
    "without handlers, the nearest penstock.toml above the test"
)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)


@pytest.fixture
def penstock(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Office]:
    """A post office with your handlers: people write to it, and get its letters."""
    office = Office(_settings(request, tmp_path / "penstock.db"), folder=request.path.parent)
    yield office
    try:
        office.check_refusals()
    finally:
        office.close()


def _settings(request: pytest.FixtureRequest, database: Path) -> Settings:
    marker = request.node.get_closest_marker("penstock")
    given: dict[str, Any] = dict(marker.kwargs) if marker else {}
    store = {"url": f"sqlite:///{database}"}
    if "handlers" not in given:
        return _nearest(request.path, store)
    tables = {
        "filter": {"handlers": given.pop("handlers"), **given.pop("filter", {})},
        "domains": {"owned": given.pop("owned", []), **given.pop("domains", {})},
        "routing": given.pop("routing", {}),
        "handlers": given.pop("options", {}),
        "store": store,
        **given,
    }
    return from_table(tables, f"the marker of {request.node.nodeid}")


def _nearest(test: Path, store: dict[str, str]) -> Settings:
    for folder in test.parents:
        if (file := folder / "penstock.toml").is_file():
            return from_table({**tomllib.loads(file.read_text("utf-8")), "store": store}, file)
    raise pytest.UsageError(
        f"{test}: the fixture `penstock` needs @pytest.mark.penstock(handlers=[…]) or a penstock.toml above the test"
    )
