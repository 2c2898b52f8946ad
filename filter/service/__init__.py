"""The service: a supervisor, and workers with door, handlers, outbox and timers, from start to an orderly stop."""

from .courier import Courier
from .failure import EXPECTED, CannotStart, reason, several, words
from .service import Service
from .supervisor import Supervisor

__all__ = ["EXPECTED", "CannotStart", "Courier", "Service", "Supervisor", "reason", "several", "words"]
