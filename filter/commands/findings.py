"""What can be wrong with an installation, seen from this process: each finding with how to mend it.

An *error* keeps the service from starting, or mail from being handled. A *warning* is something that the
administrator may want otherwise. Nothing here changes anything: no socket is bound, and no store is made.
"""

from __future__ import annotations

import os
import re
import socket
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy.exc import SQLAlchemyError

from ..config import Settings
from ..handler import START, Handler
from ..pattern import Pattern
from ..port.endpoint import Endpoint
from ..routing import Router, Routers
from ..service import reason
from ..store import Store, StoreError
from .refusing import decides, refuses
from .stores import missing_file, opened

Level = Literal["ok", "warning", "error"]

_PATIENCE = 3.0  # seconds for the reinjection port to greet


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: `area` is what was looked at, `mend` what to do about it ("" where there is nothing to do)."""

    level: Level
    area: str
    text: str
    mend: str = ""


def in_handlers(settings: Settings, routers: Routers) -> Iterator[Finding]:
    """Handlers that are loaded, but will not do all that they say."""
    yield Finding("ok", "handlers", f"loaded: {_names(routers.filter.handlers)}")
    if routers.alone.handlers:
        yield Finding("ok", "handlers", f"before the queue: {_names(routers.alone.handlers)}")
    if routers.previews.handlers:
        told = "what they refuse for all of a message's recipients is told there"
        yield Finding("ok", "handlers", f"previewed before the queue: {_names(routers.previews.handlers)}; {told}")
    behind = [handler for handler in routers.filter.handlers if handler not in routers.previews.handlers]
    yield from _previewed_without(routers, behind)
    for handler in behind:
        for function in handler.at_rcpt:
            yield Finding(
                "warning", "handlers", f"{handler.name}.{function.__name__} (@at_rcpt) never runs behind the queue",
                f"name {handler.path} in [milter] handlers",
            )  # fmt: skip
    if refusing := [handler for handler in behind if refuses(handler)]:
        others = "held" if settings.filter.reject_unverified == "hold" else "discarded"
        yield Finding(
            "warning", "handlers",
            f"{_names(refusing)} may refuse mail: behind the queue only verified senders are told of it, "
            f"other refused mail is {others}",
            "name it in [milter] handlers too, and senders are told before the queue"
            + ("" if settings.filter.authserv_ids else "; or name in [filter] authserv_ids who verifies senders"),
        )  # fmt: skip


def _previewed_without(routers: Routers, behind: Sequence[Handler]) -> Iterator[Finding]:
    """Previews that do not know all: stateless functions of the port run before them, and may decide."""
    order = routers.filter.handlers
    for handler in routers.previews.handlers:
        earlier = behind if handler.routes else [each for each in behind if order.index(each) < order.index(handler)]
        if unseen := [each for each in earlier if each.stateless and decides(each)]:
            yield Finding(
                "warning", "handlers",
                f"{handler.name} is previewed before the queue without what {_names(unseen)} does before it behind "
                "the queue: it may refuse there what it would not refuse here",
                f"name {', '.join(each.path for each in unseen)} in [milter] handlers too",
            )  # fmt: skip


def _names(handlers: Iterable[Handler]) -> str:
    return ", ".join(handler.name for handler in handlers) or "none"


def in_domains(settings: Settings, router: Router) -> Iterator[Finding]:
    """Domains of ours that no stateful handler takes mail for."""
    patterns = [route.pattern for handler in router.handlers for route in handler.routes]
    for domain in settings.domains.owned:
        if any(_reaches(pattern, domain) for pattern in patterns):
            yield Finding("ok", "domains", f"{domain} has routes")
        else:
            yield Finding(
                "warning", "domains", f"{domain} is owned, but no route takes mail for it: all is refused (550 5.1.1)",
                "add a handler that does, or take the domain out of [domains] owned",
            )  # fmt: skip


def in_store(settings: Settings, routers: Routers) -> Iterator[Finding]:
    """Whether the store can be used, and whether all that is stored there can still be handled."""
    url = settings.store.url
    try:
        if path := missing_file(url):
            yield _place_for(path)
            return
        with opened(url, routers) as store:
            yield Finding("ok", "store", "opens")
            yield from _stranded(store, routers.filter)
    except (StoreError, SQLAlchemyError) as error:
        yield Finding("error", "store", f"cannot be used: {reason(error)}", "see [store] url, and the rights on it")
    except OSError as error:
        yield _out_of_reach("store", error)


def in_listeners(settings: Settings) -> Iterator[Finding]:
    """Whether the sockets could be bound."""
    for address in (*settings.filter.listen, *([settings.milter.listen] if settings.milter.handlers else [])):
        endpoint = Endpoint.parse(address)
        if endpoint.path is not None:
            try:
                yield _unix(address, Path(endpoint.path))
            except OSError as error:
                yield _out_of_reach("listen", error)
        elif endpoint.port < 1024 and os.geteuid() != 0:
            yield Finding("warning", "listen", f"{address} is a port for root alone", "take a port above 1023")
        else:
            yield _tcp(address, endpoint)


def in_reinjection(settings: Settings) -> Iterator[Finding]:
    """Whether Postfix takes mail back."""
    address = settings.filter.reinject
    mend = "start Postfix, and see that its master.cf has this port"
    try:
        with Endpoint.parse(address).connect(_PATIENCE) as connection:
            connection.settimeout(_PATIENCE)
            banner = connection.recv(512).decode("utf-8", "replace").strip()
            connection.sendall(b"QUIT\r\n")
    except OSError as error:
        yield Finding("warning", "reinject", f"{address} does not answer: {error.strerror or error}", mend)
        return
    if banner.startswith("220"):
        yield Finding("ok", "reinject", f"{address} answers: {banner.splitlines()[0]}")
    else:
        yield Finding("warning", "reinject", f"{address} greets with {banner!r}, not with 220", mend)


def _stranded(store: Store, router: Router) -> Iterator[Finding]:
    """Conversations that no function answers any more."""
    handlers = {handler.name: handler for handler in router.handlers}
    counted = Counter((c.key.handler, c.state) for c in store.conversations())
    for (name, state), count in sorted(counted.items()):
        handler = handlers.get(name)
        conversations = f"{count} conversation{'s' if count > 1 else ''}"
        if handler is None:
            yield Finding(
                "warning", "store", f"{conversations} of {name}, which is no handler now, will sleep in {state}",
                f"add {name} to [filter] handlers again",
            )  # fmt: skip
        elif state != START and state not in handler.states:
            yield Finding(
                "error", "store",
                f"{conversations} of {name} in state {state}, which has no function any more: their mail is deferred",
                f"define {state} in {handler.module.__file__} again",
            )  # fmt: skip


def _place_for(path: Path) -> Finding:
    """What becomes of a database that does not exist yet."""
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not os.access(folder, os.W_OK | os.X_OK):
        return Finding("error", "store", f"{path} cannot be made: no right to write in {folder}", "see [store] url")
    return Finding("ok", "store", f"{path} is not there yet; the service makes it at its first start")


def _unix(address: str, path: Path) -> Finding:
    if not path.parent.is_dir():
        mend = f"mkdir {path.parent}, and let group postfix in"
        return Finding("error", "listen", f"{address}: there is no folder {path.parent}", mend)
    if not os.access(path.parent, os.W_OK | os.X_OK):
        mend = f"chown {path.parent} to the user of the service"
        return Finding("error", "listen", f"{address}: no right to write in {path.parent}", mend)
    if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
        return Finding("error", "listen", f"{address}: a file that is no socket is in the way", f"move {path} away")
    return Finding("ok", "listen", address)


def _out_of_reach(area: str, error: OSError) -> Finding:
    """A path that this process may not even look at."""
    return Finding("error", area, f"{error.filename}: {error.strerror}", "let the user of the service in")


def _tcp(address: str, endpoint: Endpoint) -> Finding:
    try:
        socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        mend = "give a numeric address, or a name of this host"
        return Finding("error", "listen", f"{address}: {error.strerror or error}", mend)
    return Finding("ok", "listen", address)


def _reaches(pattern: Pattern, domain: str) -> bool:
    """Whether a pattern can match any address of a domain (an A-label)."""
    at = next(number for number, part in enumerate(pattern.parts) if isinstance(part, str) and "@" in part)
    literal = str(pattern.parts[at]).partition("@")[2]
    parts = (literal, *pattern.parts[at + 1 :])
    source = "".join(re.escape(part) if isinstance(part, str) else f"(?:{part.regex})" for part in parts)
    return re.fullmatch(source, domain) is not None
