"""The log of the service: to stderr, one record a line, as key=value.

The service manager keeps the log; penstock opens no file. What a record has beyond its first line, such as a
traceback, is indented, so that no text that a stranger sent can pass for a record of its own.
"""

from __future__ import annotations

import logging
import re
import sys
from time import gmtime, strftime
from typing import Final

_PAIRS: Final = re.compile(r"[a-z_]+=")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")


class Lines(logging.Formatter):
    """Records as lines; a message that is no key=value itself becomes the value of `text`."""

    def format(self, record: logging.LogRecord) -> str:
        head, *more = record.getMessage().split("\n")
        at = strftime("%Y-%m-%dT%H:%M:%S", gmtime(record.created))
        text = head if _PAIRS.match(head) else 'text="{}"'.format(head.replace('"', "'"))
        first = f"time={at}.{int(record.msecs):03}Z level={record.levelname.lower()} log={record.name} {text}"
        if record.exc_info:
            more += self.formatException(record.exc_info).split("\n")
        if not more and first.isascii() and first.isprintable():
            return first
        return "\n    ".join(_CONTROL.sub("?", line) for line in [first, *more])


def log_to_stderr(level: str) -> None:
    """Log to stderr from `level` (`debug`, `info`, `warning`, `error`) on."""
    # What no line shows need not be found out for each: https://docs.python.org/3/howto/logging.html#optimization
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
