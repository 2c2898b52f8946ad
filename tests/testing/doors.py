"""A pytest plugin for tests of handlers: the very same tests, with their handlers at other doors.

`-p doors` and $DOORS: `both` lists what a test puts behind the queue before it too, `milter` before it alone.
"""

import os

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    for item in items:
        marker = item.get_closest_marker("penstock")
        if marker is not None:
            handlers = marker.kwargs["handlers"]
            behind = handlers if os.environ["DOORS"] == "both" else []
            moved = {**marker.kwargs, "handlers": behind, "milter": {"handlers": handlers}}
            item.add_marker(pytest.mark.penstock(**moved), append=False)
