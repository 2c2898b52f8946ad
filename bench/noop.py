"""The peer of bench/milter.py: a milter on pymilter's `Milter.Base` that does nothing but add one field.

    python -P bench/noop.py unix:/path

Every callback is overridden, as a filter's would be that looks at all of a message: so all is sent to it, and
each step is answered. -P, since `milter` is pymilter's here, and not the file beside this one.
"""

from __future__ import annotations

import sys
from typing import Any

import Milter


class Noop(Milter.Base):  # type: ignore[misc]
    def connect(self, name: str, family: int, address: Any) -> int:
        return int(Milter.CONTINUE)

    def hello(self, name: str) -> int:
        return int(Milter.CONTINUE)

    def envfrom(self, path: str, *parameters: str) -> int:
        return int(Milter.CONTINUE)

    def envrcpt(self, path: str, *parameters: str) -> int:
        return int(Milter.CONTINUE)

    def data(self) -> int:
        return int(Milter.CONTINUE)

    def header(self, name: str, value: str) -> int:
        return int(Milter.CONTINUE)

    def eoh(self) -> int:
        return int(Milter.CONTINUE)

    def body(self, piece: bytes) -> int:
        return int(Milter.CONTINUE)

    def unknown(self, command: str) -> int:
        return int(Milter.CONTINUE)

    def eom(self) -> int:
        self.addheader("X-Noop", "was here")
        return int(Milter.CONTINUE)

    def abort(self) -> int:
        return int(Milter.CONTINUE)

    def close(self) -> int:
        return int(Milter.CONTINUE)


if __name__ == "__main__":
    Milter.factory = Noop
    Milter.runmilter("noop", sys.argv[1], timeout=600)
