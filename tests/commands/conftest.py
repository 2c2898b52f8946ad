"""A penstock in a folder: a configuration, handlers, a store; and the commands as a person calls them."""

import itertools
import json
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from penstock.filter.clock import Clock
from penstock.filter.commands import main
from penstock.filter.commands.kept import person
from penstock.filter.effects import Conversation, Held, Key
from penstock.filter.envelope import Envelope, Recipient
from penstock.filter.letters import Letter
from penstock.filter.message import Message
from penstock.filter.store import Store, Which

CONFIGURATION = """\
[service]
hostname = "mx.test"
path = ["{folder}"]
[store]
url = "{url}"
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

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.folder = folder
        self.url = url or f"sqlite:///{folder}/store/penstock.db"
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
        text = CONFIGURATION.format(
            folder=self.folder, url=self.url, handlers=names, filter=filter, owned=owned, milter=before
        )
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


class Keeper:
    """A store, of whichever kind, with things in it, and the commands that deal with them."""

    def __init__(self, folder: Path, url: str) -> None:
        self.installed = Installation(folder, url)
        self.clock = Clock()
        self.store = Store(url)
        self.store.create()

    def __call__(self, command: str, *arguments: str, **extra: Any) -> Result:
        return self.installed(command, *arguments, **extra)

    def json(self, command: str, *arguments: str) -> Any:
        return self.installed.json(command, *arguments)

    def handler(self, source: str, owned: str = "") -> str:
        """Configure a handler with this source; returns its name."""
        return self.installed.handler("from penstock import *\n" + textwrap.dedent(source), owned)

    def hold(self, *to: str | Recipient, raw: bytes = LETTER, sender: str = "ann@example.org", **more: Any) -> int:
        """Keep a message as held; returns its number."""
        given = {"handler": "policy", "reason": "a stranger", **more}
        mail = Held(Envelope(sender).to(*(to or ("bob@example.net",))), Message(raw), **given)
        self.store.settle("", "", [], now=self.clock.now(), held_=[mail])
        return self.store.held()[-1].number

    def write(self, *to: str, sender: str = "list@lists.test", raw: bytes = LETTER, verp: bool = False) -> int:
        """Put a letter of the handler `tea` into the outbox; returns its number."""
        letter = Letter(Message(raw), sender, to or ("bob@example.net",), verp, handler="tea")
        self.store.settle("", "", [], now=self.clock.now(), letters=[letter])
        return self.store.waiting()[-1].number

    def converse(
        self, state: str, handler: str = "tea", sender: str = "ann@example.org", resource: str = "tea",
        deadline: datetime | None = None, blanks: Mapping[str, str] | None = None,
    ) -> Key:  # fmt: skip
        """Put a conversation into a state."""
        key = Key(handler, sender, resource)
        work = self.store.work(self.clock.now())
        work.effects.moves[key] = Conversation(key, state, deadline=deadline, blanks=blanks or {})
        work.keep()
        work.commit([], [], "", "")
        return key

    @property
    def audit(self) -> list[tuple[str, str, str]]:
        """What was done: deed, kind and subject."""
        entries = self.store.custody("", self.clock.now()).audit(Which())
        assert {entry.who for entry in entries} <= {person()}
        return [(entry.done.deed, entry.done.kind, entry.done.subject) for entry in entries]


@pytest.fixture
def keeper(tmp_path: Path, database: Callable[[], str]) -> Iterator[Keeper]:
    """A store with things in it, on each database that the module asks for."""
    keeper = Keeper(tmp_path, database())
    yield keeper
    keeper.store.close()


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
