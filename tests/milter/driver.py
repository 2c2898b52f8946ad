"""A milter for the calibration: `driver.py SOCKET FOLDER`. It keeps what it sees, and says what it is told to.

A message from `NAME@…` is kept as NAME.seen; the operations are read from NAME.said, both pickled.
"""

import ctypes
import os
import pickle
import sys
from pathlib import Path
from typing import Any

from penstock.milter.operation import (
    AddHeader,
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    DeleteHeader,
    DeleteRecipient,
    InsertHeader,
    Operation,
    ReplaceBody,
)

import milter

LARGEST_PACKET = 4 << 20
EVERYTHING = 0x1FF
FOLDER = Path(sys.argv[2])


def negotiate(ctx: Any, options: list[int]) -> int:
    options[:] = [options[0] & EVERYTHING, options[1] & milter.P_HDR_LEADSPC, 0, 0]
    return milter.CONTINUE


def mail(ctx: Any, sender: bytes, *parameters: bytes) -> int:
    ctx.setpriv((sender.strip(b"<>").partition(b"@")[0].decode(), []))
    return milter.CONTINUE


def header(ctx: Any, name: str, value: bytes) -> int:
    ctx.getpriv()[1].append(name.encode() + b":" + value.replace(b"\n", b"\r\n") + b"\r\n")
    return milter.CONTINUE


def end_of_header(ctx: Any) -> int:
    ctx.getpriv()[1].append(b"\r\n")
    return milter.CONTINUE


def body(ctx: Any, chunk: bytes) -> int:
    ctx.getpriv()[1].append(chunk)
    return milter.CONTINUE


def end_of_message(ctx: Any) -> int:
    name, seen = ctx.getpriv()
    (FOLDER / f"{name}.seen").write_bytes(b"".join(seen))
    for operation in pickle.loads((FOLDER / f"{name}.said").read_bytes()):
        say(ctx, operation)
    return milter.CONTINUE


def say(ctx: Any, operation: Operation) -> None:
    match operation:
        case AddHeader(name, value):
            ctx.addheader(name, value)
        case InsertHeader(index, name, value):
            ctx.addheader(name, value, index)
        case ChangeHeader(name, occurrence, value):
            ctx.chgheader(name, occurrence, value)
        case DeleteHeader(name, occurrence):
            ctx.chgheader(name, occurrence, None)
        case ReplaceBody():
            for chunk in operation.chunks():
                ctx.replacebody(chunk)
        case AddRecipient(address, parameters):
            ctx.addrcpt(address, parameters or None)
        case DeleteRecipient(address):
            ctx.delrcpt(address)
        case ChangeSender(address, parameters):
            ctx.chgfrom(address, parameters or None)


milter.set_flags(EVERYTHING)
milter.set_envfrom_callback(mail)
milter.set_header_callback(header)
milter.set_eoh_callback(end_of_header)
milter.set_body_callback(body)
milter.set_eom_callback(end_of_message)
milter.set_exception_policy(milter.TEMPFAIL)
ctypes.CDLL("libmilter.so.1.0.1").smfi_setmaxdatasize(ctypes.c_size_t(LARGEST_PACKET))
milter.register("driver", negotiate=negotiate)
milter.setconn(f"unix:{sys.argv[1]}")
os.umask(0)
milter.opensocket(True)
milter.main()
