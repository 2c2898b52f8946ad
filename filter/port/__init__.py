"""The content-filter port: the door behind the queue (SMTP and LMTP server), and reinjection (SMTP client)."""

from __future__ import annotations

from .core import Decision, Pipeline
from .limits import Limits
from .listener import Listener, listen
from .reinject import Reinjector, Timeouts
from .server import Server

__all__ = ["Decision", "Limits", "Listener", "Pipeline", "Reinjector", "Server", "Timeouts", "listen"]
