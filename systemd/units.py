"""The units, with a site's values in them.

`penstock.service` and `penstock.socket` in this folder are whole as they are; where a site differs from what they
say, the words that differ are put in their place. The template for several instances is the same service under
another name, with `%i` in it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

FOLDER: Final = Path("/etc/systemd/system")
"""Where an administrator's units are."""

NAMES: Final = ("penstock.service", "penstock.socket", "penstock@.service")


@dataclass(frozen=True, slots=True)
class Place:
    """Where and as whom the service runs; `listen` is `[filter] listen` of its configuration."""

    executable: str = "/opt/penstock/bin/penstock"
    config: str = "/etc/penstock/penstock.toml"
    user: str = "penstock"
    queue_directory: str = "/var/spool/postfix"
    listen: tuple[str, ...] = ("unix:/var/spool/postfix/penstock/filter.sock",)

    def unit(self, name: str) -> str:
        """The text of a unit, one of NAMES. ValueError for another name."""
        match name:
            case "penstock.service":
                return self._filled(_text(name))
            case "penstock.socket":
                return self._socket(self._filled(_text(name)))
            case "penstock@.service":
                return self._filled(_template(_text("penstock.service")))
        raise ValueError(f"{name} is no unit of penstock's; there are {', '.join(NAMES)}")

    def _filled(self, text: str) -> str:
        usual = Place()
        words = {
            usual.executable: self.executable,
            usual.config: self.config,
            usual.queue_directory: self.queue_directory,
            "-o penstock": f"-o {self.user}",
            "User=penstock": f"User={self.user}",
        }
        return re.sub("|".join(map(re.escape, words)), lambda word: words[word[0]], text)

    def _socket(self, text: str) -> str:
        streams = "".join(f"ListenStream={address.removeprefix('unix:')}\n" for address in self.listen)
        return re.sub(r"(?m)^ListenStream=.*\n", lambda line: streams, text)


def install(units: Mapping[str, str], folder: Path = FOLDER) -> list[Path]:
    """Write units into a folder; returns the files that were not as they should be. Raises OSError."""
    written = []
    for name, text in units.items():
        path = folder / name
        if not path.exists() or path.read_text("utf-8") != text:
            new = path.with_name(f"{name}.new")
            new.write_text(text, "utf-8")
            new.chmod(0o644)
            os.replace(new, path)
            written.append(path)
    return written


def _template(text: str) -> str:
    """The service as one of several: its configuration, state and folder of sockets have the name of the instance."""
    for word, instance in (
        ("Description=penstock,", "Description=penstock (%i),"),
        ("penstock/penstock.toml", "penstock/%i.toml"),
        ("/var/spool/postfix/penstock", "/var/spool/postfix/penstock-%i"),
        ("StateDirectory=penstock", "StateDirectory=penstock-%i"),
        ("RuntimeDirectory=penstock", "RuntimeDirectory=penstock-%i"),
    ):
        text = text.replace(word, instance)
    return text


def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")
