"""`penstock systemd`: the units of the service, for this installation."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import click

from ...systemd.units import FOLDER, NAMES, Place, install
from ..config import DEFAULT_FILE, ConfigError, load
from .program import Program, config_file, config_option

_units = click.argument("names", metavar="[UNIT]...", nargs=-1, type=click.Choice(NAMES))
_user = click.option("--user", default="penstock", show_default=True, help="The user that the service runs as.")


@click.group("systemd", cls=Program)
def systemd() -> None:
    """Show or install the units for systemd.

    There are penstock.service, which is what is meant where no UNIT is named; penstock.socket, which holds the
    sockets of the filter port while the service restarts; and penstock@.service, a template for several instances,
    each with /etc/penstock/NAME.toml. They have this installation's paths in them, and Postfix's queue directory.
    """


@systemd.command("show")
@config_option
@_user
@_units
def show(names: tuple[str, ...], user: str) -> None:
    """Print units."""
    place = _place(user)
    click.echo("\n".join(place.unit(name) for name in names or NAMES[:1]), nl=False)


@systemd.command("install")
@config_option
@_user
@click.option("--directory", type=click.Path(path_type=Path), default=FOLDER, show_default=True, help="Where to.")
@_units
def install_(names: tuple[str, ...], user: str, directory: Path) -> None:
    """Write units, and say how to go on. A unit that is there already is written anew where it differs.

    What a site wants otherwise belongs beside it: `systemctl edit penstock`.
    """
    place = _place(user)
    wanted = names or NAMES[:1]
    written = install({name: place.unit(name) for name in wanted}, directory)
    for name in wanted:
        click.echo(f"{directory / name}: {'written' if directory / name in written else 'is as it should be'}")
    click.echo("Go on with: systemctl daemon-reload && systemctl enable --now " + " ".join(map(_example, wanted)))


def _place(user: str) -> Place:
    """What is known of this installation; where the configuration cannot be read, what is usual."""
    usual = Place()
    queue = _queue_directory() or usual.queue_directory
    try:
        path = config_file().absolute()
        listen = load(path).filter.listen
    except ConfigError:
        path, listen = DEFAULT_FILE, (f"unix:{queue}/penstock/filter.sock",)
    return Place(str(Path(sys.executable).with_name("penstock")), str(path), user, queue, listen)


def _queue_directory() -> str:
    """Where Postfix has its queue; "" where it does not say."""
    postconf = shutil.which("postconf", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if postconf is None:
        return ""
    said = subprocess.run([postconf, "-h", "queue_directory"], capture_output=True, text=True, timeout=30, check=False)
    return said.stdout.strip()


def _example(name: str) -> str:
    return name.replace("@.", "@NAME.")
