"""The pytest plugin: the fixture `penstock`, in which handlers run without Postfix and without sockets.

    @pytest.mark.penstock(handlers=["myapp.lists"], routing={"host": r"lists\\.test"})
    def test_join(penstock):
        ann = penstock.person("ann@example.org")
        ann.writes("tea-join@lists.test", "let me in").accepted()

Without `handlers` in the marker the configuration is the nearest `penstock.toml` above the test. With
`pytest --live` the same tests run through a real Postfix, a private one that ends with the tests.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ..config import Settings, from_table
from .inside import Inside
from .live import LivePost
from .mailsystem import MailSystem, what_is_missing
from .memory import MemoryPost
from .office import Office
from .post import MakesPost

MARKERS = (
    "penstock(handlers, routing, options, owned, **tables): the handlers and settings of the fixture `penstock`; "
    "without handlers, the nearest penstock.toml above the test",
    "not_live(reason): the test is skipped with --live, since no Postfix would let its mail come to pass",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("penstock")
    group.addoption("--live", action="store_true", help="run tests with the fixture `penstock` through a real Postfix")


def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    if config.getoption("live") and (missing := what_is_missing()):
        raise pytest.UsageError(f"--live: {missing}")


@pytest.fixture
def penstock(request: pytest.FixtureRequest, tmp_path: Path, penstock_office: Callable[[Settings], Office]) -> Office:
    """A post office with your handlers: people write to it, and get its letters."""
    return penstock_office(_settings(request, tmp_path / "penstock.db"))


@pytest.fixture
def penstock_office(request: pytest.FixtureRequest, penstock_post: MakesPost) -> Iterator[Callable[[Settings], Office]]:
    """Make a post office with settings that the test has made itself; with `--live` one at a time."""
    if request.config.getoption("live") and (marker := request.node.get_closest_marker("not_live")):
        pytest.skip(f"not with --live: {', '.join(map(str, marker.args))}")
    made: list[Office] = []

    def make(settings: Settings) -> Office:
        made.append(Office(settings, request.path.parent, penstock_post))
        return made[-1]

    yield make
    with ExitStack() as stack:
        for office in made:
            stack.callback(office.close)
            stack.callback(office.check_refusals)


@pytest.fixture(scope="session")
def penstock_post(request: pytest.FixtureRequest) -> Iterator[MakesPost]:
    """How the mail of an office goes: in memory, or with `--live` through a Postfix that wires its owned domains."""
    systems: dict[tuple[str, ...], MailSystem] = {}
    with ExitStack() as stack:

        def make(inside: Inside) -> LivePost:
            owned = tuple(sorted(inside.router.owned))
            if owned not in systems:
                systems[owned] = stack.enter_context(MailSystem(owned))
            return LivePost(inside, systems[owned])

        yield make if request.config.getoption("live") else MemoryPost


def _settings(request: pytest.FixtureRequest, database: Path) -> Settings:
    marker = request.node.get_closest_marker("penstock")
    given: dict[str, Any] = dict(marker.kwargs) if marker else {}
    store = {"url": f"sqlite:///{database}"}
    if not given.keys() & {"handlers", "milter"}:
        return _nearest(request.path, store)
    tables = {
        "filter": {"handlers": given.pop("handlers", []), **given.pop("filter", {})},
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
