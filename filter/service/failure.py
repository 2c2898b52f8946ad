"""Failures that are nobody's fault here, in words: what is wrong, where, and how to mend it.

A mistake of an administrator, or of the system around, is told as a sentence, never as a traceback; a
traceback is a mistake of ours. The same words serve the person who starts the service and the log of a
reload that was refused.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from ..config import ConfigError
from ..loading import LoadError
from ..store import StoreError


class CannotStart(Exception):
    """The service cannot be started, or reloaded, as configured; the text says why and how to mend it."""


EXPECTED: Final = (CannotStart, ConfigError, LoadError, StoreError, SQLAlchemyError, OSError)


def words(error: Exception) -> str:
    """An expected failure in words: one sentence, or a heading and a line for each finding."""
    match error:
        case ConfigError():
            return several("The configuration cannot be used", [str(problem) for problem in error.problems])
        case LoadError():
            return several("The handlers cannot be loaded", error.findings)
        case SQLAlchemyError():
            return f"[store] url: the database failed: {reason(error)}"
        case OSError(filename=name) if name is not None:
            return f"{name}: {error.strerror}"
    return str(error)


def reason(error: BaseException) -> str:
    """Why, on one line: what the database driver says, without the statement, or else the error itself."""
    cause = getattr(error, "orig", None) or error
    return " ".join(str(cause).split()) or type(cause).__name__


def several(heading: str, findings: list[str]) -> str:
    """One finding as it is; more of them below a heading."""
    return findings[0] if len(findings) == 1 else "\n".join([f"{heading}:", *(f"  {finding}" for finding in findings)])
