"""The service: door, handlers, outbox and timers in one process, from start to an orderly stop."""

from .courier import Courier
from .service import Service

__all__ = ["Courier", "Service"]
