"""A milter for the calibration: `driver.py SOCKET FOLDER`. It keeps what it sees, and says what it is told to.

A message from `NAME@…` is kept as NAME.seen; the operations are read from NAME.said, pickled.
"""

import os
import pickle
import sys
from pathlib import Path
from typing import Any

from penstock.filter.spool import Spool
from penstock.milter.answers import say
from penstock.milter.content import Content

import milter

LARGEST = 4 << 20
EVERYTHING = 0x1FF
FOLDER = Path(sys.argv[2])


def negotiate(ctx: Any, options: list[int]) -> int:
    options[:] = [options[0] & EVERYTHING, options[1] & milter.P_HDR_LEADSPC, 0, 0]
    return milter.CONTINUE


def mail(ctx: Any, sender: bytes, *parameters: bytes) -> int:
    ctx.setpriv((sender.strip(b"<>").partition(b"@")[0].decode(), Content(LARGEST, Spool(), spaced=True)))
    return milter.CONTINUE


def header(ctx: Any, name: str, value: bytes) -> int:
    ctx.getpriv()[1].field(name, value)
    return milter.CONTINUE


def body(ctx: Any, chunk: bytes) -> int:
    ctx.getpriv()[1].piece(chunk)
    return milter.CONTINUE


def end_of_message(ctx: Any) -> int:
    name, content = ctx.getpriv()
    (FOLDER / f"{name}.seen").write_bytes(content.whole())
    for operation in pickle.loads((FOLDER / f"{name}.said").read_bytes()):
        say(ctx, operation)
    return milter.CONTINUE


milter.set_flags(EVERYTHING)
milter.set_envfrom_callback(mail)
milter.set_header_callback(header)
milter.set_body_callback(body)
milter.set_eom_callback(end_of_message)
milter.set_exception_policy(milter.TEMPFAIL)
milter.register("driver", negotiate=negotiate)
milter.setconn(f"unix:{sys.argv[1]}")
os.umask(0)
milter.opensocket(True)
milter.main()
