"""`penstock check`: what is wrong, without starting anything."""

from __future__ import annotations

import click

from ..loading import load_router
from ..store import Store
from .program import config_option, settings


@click.command()
@config_option
def check() -> None:
    """Check configuration, handlers and store."""
    found = settings()
    router = load_router(found)
    store = Store(found.store.url)
    try:
        store.create(*(handler.metadata for handler in router.handlers if handler.metadata is not None))
    finally:
        store.close()
    click.echo("✓ all is well")
