"""What can be configured: one frozen dataclass a table, and one for the whole file.

The fields are the documentation too: type, default and meaning of each are what docs/configuration.md shows.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal

from .spool import default_folder
from .tables import means
from .values import AuthservId, Count, Domain, Endpoint, Host, Module, Network, Octets, Span, StoreUrl, WorkerCount


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """`[service]`: the process itself."""

    hostname: Host = field(
        default_factory=lambda: os.uname().nodename or "localhost",
        metadata=means(
            "The name by which penstock speaks of itself: in EHLO, Message-IDs and reports.",
            default="the host's own name",
        ),
    )
    path: tuple[Path, ...] = field(
        default=(), metadata=means("Folders from which handlers are imported, before all others.")
    )
    templates: tuple[Path, ...] = field(
        default=(), metadata=means("Folders whose templates go before those of the handlers.")
    )
    handler_time_limit: Span = field(
        default=timedelta(seconds=60),
        metadata=means("How long one handler may take with one message; after it the door answers 451."),
    )
    max_attempts: Count = field(
        default=10, metadata=means("How often a handler may fail on a message before the message is held.")
    )
    log_level: Literal["debug", "info", "warning", "error"] = field(
        default="info", metadata=means("The least severe lines that are logged.")
    )
    user: str | None = field(
        default=None, metadata=means("The user to become, when root starts the service, once its sockets are bound.")
    )
    group: str | None = field(
        default=None, metadata=means("The group to become as well; without it, that of the user.")
    )
    workers: WorkerCount = field(
        default_factory=lambda: min(4, os.cpu_count() or 1),
        metadata=means("How many processes handle mail.", default="one for each processor, at most 4"),
    )
    drain: Span = field(
        default=timedelta(seconds=30),
        metadata=means("How long a worker that ends, or gives way to a new one, may finish what it has under way."),
    )
    stuck_after: Span = field(
        default=timedelta(seconds=30),
        metadata=means("How long a worker may give no sign of life until it is killed and replaced."),
    )
    abandoned_runs: Count = field(
        default=10,
        metadata=means("With how many runs that are over their time limit and do not end a worker is replaced."),
    )
    recycle_messages: Count | None = field(
        default=None, metadata=means("After how many messages a worker is replaced by a fresh one.")
    )
    recycle_memory: Octets | None = field(
        default=None, metadata=means("With how much memory of its own a worker is replaced by a fresh one.")
    )


@dataclass(frozen=True, slots=True)
class DomainSettings:
    """`[domains]`: which mail is ours."""

    owned: tuple[Domain, ...] = field(
        default=(), metadata=means("Domains whose mail ends here: no mailbox stands behind their addresses.")
    )
    max_hops: Count = field(
        default=10, metadata=means("How often our own mail may come back to us before it counts as a loop.")
    )


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """`[store]`: where conversations, receipts and letters are kept."""

    url: StoreUrl = field(
        default="sqlite:////var/lib/penstock/penstock.db",
        metadata=means("The database, SQLite or PostgreSQL, as SQLAlchemy writes it."),
    )
    connections: Count = field(
        default=20, metadata=means("The most connections of one worker to PostgreSQL; a quarter more go to the ledger.")
    )
    receipt_life: Span = field(
        default=timedelta(days=10),
        metadata=means("How long a receipt is kept; at least twice Postfix's `maximal_queue_lifetime`."),
    )


@dataclass(frozen=True, slots=True)
class FilterSettings:
    """`[filter]`: the door behind Postfix's queue."""

    listen: tuple[Endpoint, ...] = field(
        default=("unix:/var/spool/postfix/penstock/filter.sock",),
        metadata=means("Where Postfix reaches the filter, by LMTP or SMTP."),
    )
    reinject: Endpoint = field(default="127.0.0.1:10026", metadata=means("Where Postfix takes mail back, by SMTP."))
    handlers: tuple[Module, ...] = field(
        default=(), metadata=means("The handlers' modules, in the order in which they run.")
    )
    reject_unverified: Literal["hold", "discard"] = field(
        default="hold",
        metadata=means("What becomes of refused mail whose sender may be forged, and so must not be told."),
    )
    held_expiry: Span = field(default=timedelta(days=30), metadata=means("How long held mail waits for a person."))
    authserv_ids: tuple[AuthservId, ...] = field(
        default=(),
        metadata=means(
            "Whose Authentication-Results are believed. Name only ids whose forged fields are removed at your border."
        ),
    )
    xforward_from: tuple[Network, ...] = field(
        default=("127.0.0.0/8", "::1/128"),
        metadata=means("Networks whose XFORWARD is believed; that of a unix socket always is."),
    )
    message_size_limit: Octets = field(default=50 * 1024**2, metadata=means("The largest message, in octets."))
    spool: Path = field(
        default_factory=default_folder,
        metadata=means(
            "The folder, on a disk, where large messages lie while they are under way, in files without a name.",
            default="the service's state directory, else `/var/tmp`",
        ),
    )
    spool_above: Octets = field(default=8 * 1024**2, metadata=means("The most octets of a message in memory."))
    recipient_limit: Count = field(default=1000, metadata=means("The most recipients of one message."))
    line_length_limit: Octets = field(
        default=8192, metadata=means("The longest command line, in octets; lines of mail have no limit.")
    )
    connection_limit: Count = field(default=200, metadata=means("The most connections at a time."))
    timeout: Span = field(default=timedelta(seconds=300), metadata=means("How long a peer may be silent."))


@dataclass(frozen=True, slots=True)
class MilterSettings:
    """`[milter]`: the door before Postfix's queue."""

    listen: Endpoint = field(
        default="unix:/var/spool/postfix/penstock/milter.sock",
        metadata=means("Where Postfix reaches the milter, if it has handlers."),
    )
    handlers: tuple[Module, ...] = field(
        default=(),
        metadata=means(
            "The handlers' modules, in the order in which they run. Of those that `[filter]` names too, "
            "refusals are told here, and all else is done there."
        ),
    )
    connection_limit: Count = field(
        default=1000, metadata=means("The most connections at a time: Postfix makes one for each SMTP session.")
    )
    timeout: Span = field(
        default=timedelta(hours=2),
        metadata=means("How long Postfix may be silent: its own client may be slow to send a large message."),
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration.

    `routing` has the default patterns of blanks; `handlers` the raw tables of the handlers' options by
    short name (`greylist` for `penstock.handlers.greylist`), which `options` reads. `origin` is the file.
    """

    service: ServiceSettings = field(default_factory=ServiceSettings)
    domains: DomainSettings = field(default_factory=DomainSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    filter: FilterSettings = field(default_factory=FilterSettings)
    milter: MilterSettings = field(default_factory=MilterSettings)
    routing: Mapping[str, str] = field(default_factory=dict)
    handlers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    origin: Path | None = None


SECTIONS: Final[Mapping[str, type[Any]]] = {
    "service": ServiceSettings,
    "domains": DomainSettings,
    "store": StoreSettings,
    "filter": FilterSettings,
    "milter": MilterSettings,
}
