"""Rules for the whole suite: in CI nothing may be missing, so a test or a module that skips itself fails there."""

import itertools
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from penstock.filter.testing.cluster import Cluster

_numbers = itertools.count(1)

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A private PostgreSQL, started when the first test asks for it, for all tests that do not stop it."""
    try:
        cluster = Cluster()
    except (FileNotFoundError, ImportError) as error:
        pytest.skip(str(error))
    yield cluster
    cluster.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What asks for a `database` runs on SQLite, or on all that its module names in DATABASES."""
    given = [marker.args[0] for marker in metafunc.definition.iter_markers("parametrize")]
    if "database" in metafunc.fixturenames and "database" not in given:
        metafunc.parametrize("database", getattr(metafunc.module, "DATABASES", ["sqlite"]), indirect=True)


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Make an empty database of the kind that is asked for; returns its URL."""
    if request.param == "postgresql":
        cluster: Cluster = request.getfixturevalue("cluster")
        return cluster.place
    return lambda: f"sqlite:///{tmp_path}/store-{next(_numbers)}.db"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _strict((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _strict((yield))


def _strict(report: Report) -> Report:
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which in CI is a failure: {report.longrepr}"
    return report
