"""A penstock in a folder: a configuration, handlers, a store; and the commands as a person calls them."""

import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from penstock.filter.clock import Clock
from penstock.filter.commands import main
from penstock.filter.effects import Conversation, Key
from penstock.filter.store import Store

CONFIGURATION = """\
[service]
hostname = "mx.test"
path = ["{folder}"]
[store]
url = "sqlite:///{folder}/store/penstock.db"
[domains]
owned = [{owned}]
[filter]
listen = ["unix:{folder}/filter.sock"]
reinject = "127.0.0.1:1"
handlers = [{handlers}]
{filter}
[milter]
listen = "unix:{folder}/milter.sock"
handlers = [{milter}]
[routing]
host = 'lists\\.test'
"""

LETTER = (
    b"From: Ann <ann@example.org>\r\nTo: tea-join@lists.test\r\nSubject: hello\r\n"
    b"Message-ID: <1@example.org>\r\n\r\nlet me in\r\n"
)

_numbers = itertools.count()


class Installation:
    """The folder and what stands in it. Calling it runs a command with its configuration."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.configuration = folder / "penstock.toml"
        self.mail = folder / "mail.eml"
        self.mail.write_bytes(LETTER)
        self.configure("penstock.handlers.tea")

    def configure(
        self, *handlers: str, filter: str = "", owned: str = '"lists.test"', milter: Sequence[str] = ()
    ) -> None:
        """Write the configuration; `filter` goes on in table `[filter]`, `owned` is in the brackets of that key.

        `milter` are the handlers before the queue.
        """
        names, before = (", ".join(f'"{name}"' for name in door) for door in (handlers, milter))
        text = CONFIGURATION.format(folder=self.folder, handlers=names, filter=filter, owned=owned, milter=before)
        self.configuration.write_text(text, "utf-8")

    def handler(self, source: str, owned: str = "") -> str:
        """Write a handler's module, and configure it alone; returns its name, which no other has."""
        name = self.module(source)
        self.configure(name, owned=owned)
        return name

    def module(self, source: str) -> str:
        """Write a handler's module; returns its name, which no other has."""
        name = f"handler_{next(_numbers)}"
        (self.folder / f"{name}.py").write_text(source, "utf-8")
        return name

    def __call__(self, command: str, *arguments: str, input: bytes | None = None, **extra: Any) -> Result:
        runner = CliRunner(env={"COLUMNS": "100"})
        return runner.invoke(main, ["--config", str(self.configuration), command, *arguments], input=input, **extra)

    def json(self, command: str, *arguments: str, input: bytes | None = None) -> Any:
        result = self(command, *arguments, "--json", input=input)
        return json.loads(result.stdout)

    @property
    def store_file(self) -> Path:
        return self.folder / "store" / "penstock.db"


@pytest.fixture
def penstock_in(tmp_path: Path) -> Installation:
    """An installation with the handler `tea`."""
    return Installation(tmp_path)


@pytest.fixture
def in_store(penstock_in: Installation) -> Callable[..., None]:
    """Put a conversation into the store, which is made for it."""
    def put(handler: str, state: str, sender: str = "ann@example.org", resource: str = "tea") -> None:
        store = Store(f"sqlite:///{penstock_in.store_file}")
        store.create()
        work = store.work(Clock().now())
        key = Key(handler, sender, resource)
        work.effects.moves[key] = Conversation(key, state)
        work.keep()
        work.commit([], [], "", "")
        store.close()

    return put
