"""What handlers did to a message, read from the service's log and told in a few words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_PAIR: Final = re.compile(r"""(\w+)=("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|.*?)(?=\s\w+=|$)""")


def deeds(log: str) -> list[str]:
    """The deeds in these lines of the log, each with its handler: nothing for mail that just passed."""
    return [deed for line in log.splitlines() for deed in _deeds(_pairs(line))]


def _pairs(line: str) -> dict[str, str]:
    """The key=value pairs; of a name that comes twice (log, first) the first."""
    found: dict[str, str] = {}
    for name, value in _PAIR.findall(line):
        quoted = len(value) > 1 and value[0] in "\"'" and value[-1] == value[0]
        found.setdefault(name, value[1:-1] if quoted else value)
    return found


def _deeds(line: dict[str, str]) -> Iterator[str]:
    handler = line.get("handler", "penstock")
    if "level" in line and line["level"] not in ("info", "debug"):
        yield f"{line['level']}: {line.get('text', line)}"
    elif line.get("log") == "penstock" and "action" in line:
        yield f"{handler}: {line['action']} {line.get('file', '')} ({line.get('rule', '')})"
    elif line.get("log") == "penstock.outbox" and "letter" in line:
        yield f"{handler}: a letter to {line.get('recipient', '')}"
    elif line.get("log") == "penstock.journal":
        yield from _fate(handler, line)


def _fate(handler: str, line: dict[str, str]) -> Iterator[str]:
    match line.get("fate"):
        case "sent" | "passes":
            return
        case "rejected":
            where = ", before the queue" if line.get("door") == "milter" else ""
            yield f"{handler}: refused with {line.get('reply', '')}{where}"
        case "consumed":
            yield f"{handler}: {line.get('state', '').replace('>', ' → ')}"
        case fate:
            reason = line.get("reason", "").replace(f" {line.get('sender', '')}", "")
            yield f"{handler}: {fate}; {reason}"
