"""The types of settings: what more than text or a number a value must be.

Each is `Annotated` with its check, so that code sees a plain `str`, `int` or `timedelta`. A check returns
the value in its canonical form and raises ValueError with the reason and the right form; it never
repeats a value that may hold a password.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from typing import Annotated

import idna

from .quantities import Size
from .tables import Checked


def _host(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,253}[A-Za-z0-9])?", value):
        raise ValueError(f"{value!r} is not a host name; write it like mail.example.org")
    return value


def _domain(value: str) -> str:
    try:
        return idna.encode(value.rstrip("."), uts46=True).decode("ascii").lower()
    except idna.IDNAError as error:
        raise ValueError(f"{value!r} is not a domain ({error}); write it like lists.example.org") from error


def _endpoint(value: str) -> str:
    if value.startswith("unix:"):
        if not value.startswith("unix:/") or "\0" in value:
            raise ValueError(f"{value!r} needs an absolute path: unix:/run/penstock/filter.sock")
        return value
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9][A-Za-z0-9._-]*):([0-9]{1,5})", value)
    if not match or not 0 < int(match[2]) < 65536:
        raise ValueError(f"{value!r} is not an endpoint; write unix:/absolute/path, host:port or [v6]:port")
    if value.startswith("["):
        _ipv6(match[1][1:-1], value)
    return value


def _ipv6(literal: str, value: str) -> None:
    try:
        ipaddress.IPv6Address(literal)
    except ValueError as error:
        raise ValueError(f"{value!r} has no IPv6 address in its brackets: {error}") from error


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError as error:
        raise ValueError(f"{value!r} is not a network; write it like 192.0.2.0/24 or 2001:db8::/32") from error


def _url(value: str) -> str:
    if not re.match(r"(sqlite(\+pysqlite)?|postgresql(\+psycopg)?)://", value):
        raise ValueError(
            "not the address of a store; write sqlite:////absolute/path/of/a/file.db, "
            "or postgresql+psycopg://user@host/database"
        )
    return value


def _module(value: str) -> str:
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", value):
        raise ValueError(f"{value!r} is not the name of a module; write it like penstock.handlers.policy")
    return value


def _authserv_id(value: str) -> str:
    if not re.fullmatch(r"[!-~]+", value) or set(value) & set('()<>@,;:\\"/[]?='):
        raise ValueError(f"{value!r} is not an authserv-id (RFC 8601); write it as your Authentication-Results has it")
    return value.lower()


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta():
        raise ValueError("must be longer than nothing")
    return value


def _workers(value: int) -> int:
    if not 1 <= value <= 256:
        raise ValueError(f"{value} is not from 1 to 256")
    return value


def _one_or_more(value: int) -> int:
    if value < 1:
        raise ValueError(f"must be 1 or more, not {value}")
    return value


def _blank(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"{value!r} is not a regular expression: {error}") from error
    return value


Host = Annotated[str, Checked(_host, "a host name")]
Domain = Annotated[str, Checked(_domain, "a domain")]
Endpoint = Annotated[str, Checked(_endpoint, "an endpoint")]
Network = Annotated[str, Checked(_network, "a network")]
StoreUrl = Annotated[str, Checked(_url, "an SQLAlchemy URL")]
Module = Annotated[str, Checked(_module, "a module")]
AuthservId = Annotated[str, Checked(_authserv_id, "an authserv-id")]
Span = Annotated[timedelta, Checked(_positive, "a duration")]
WorkerCount = Annotated[int, Checked(_workers, "a whole number from 1 to 256")]
Count = Annotated[int, Checked(_one_or_more, "a whole number, at least 1")]
Octets = Annotated[Size, Checked(_one_or_more, "a size")]
Blank = Annotated[str, Checked(_blank, "a regular expression")]
