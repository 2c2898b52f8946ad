"""A milter in a process of its own, since libmilter runs once in a process: `python served.py ADDRESS FOLDER WANTS`.

Its core does what mail asks for: the field `X-Do` says what becomes of a message, the local part of a recipient what
is said of it. Each arrival is kept in the folder. A line on stdin stops it; then a last line says whether it drained.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from penstock.filter.arrival import Arrival
from penstock.filter.envelope import Envelope, Recipient
from penstock.filter.judgement import Judgement, Wants
from penstock.filter.spool import Spool
from penstock.filter.verdict import Discard, Reply
from penstock.filter.watch import GivenUp
from penstock.milter.server import MilterServer
from penstock.milter.session import Door


class ObedientCore:
    def __init__(self, folder: Path, wants: Wants) -> None:
        self.wants = wants
        self._folder = folder
        self._arrivals = 0

    def at_rcpt(self, envelope: Envelope, recipient: Recipient) -> Reply | Discard | None:
        match recipient.address.partition("@")[0]:
            case "refused":
                return Reply(550, "5.1.1", "No such address here")
            case "later":
                return Reply(450, "4.2.0", "Come back in 5% of the time\nor so")
            case "dropped":
                return Discard()
            case "fault":
                raise LookupError("as asked")
            case "slow":
                time.sleep(3600)
        return None

    def judge(self, arrival: Arrival, give_up: Callable[[Reply], None]) -> Judgement:
        self._keep(arrival)
        message, envelope = arrival.message.copy(), arrival.envelope
        judgement = Judgement(message, envelope)
        match (message["X-Do"] or "").split(None, 1):
            case ["refuse", text]:
                return replace(judgement, reply=Reply(550, "5.7.1", text))
            case ["defer", text]:
                return replace(judgement, reply=Reply(451, "4.7.1", text))
            case ["discard"]:
                return replace(judgement, discard=True)
            case ["hold", reason]:
                return replace(judgement, hold=reason)
            case ["add", name]:
                message.add(name, "added")
            case ["footer", text]:
                message.append_text(text)
            case ["inexpressible"]:
                message.add("X-Long", "x " * 60_000)
            case ["sender", address]:
                return replace(judgement, envelope=replace(envelope, reverse_path=address))
            case ["sleep", seconds]:
                time.sleep(float(seconds))
            case ["late"]:
                give_up(Reply(451, "4.3.0", "Too slow"))
                raise GivenUp
            case ["raise"]:
                raise LookupError("as asked")
            case ["exit"]:
                sys.exit(1)
        return judgement

    def _keep(self, arrival: Arrival) -> None:
        self._arrivals += 1
        place = self._folder / f"{self._arrivals:05d}"
        place.with_suffix(".eml").write_bytes(bytes(arrival.message))
        about = {**arrival.envelope.as_dict(), "peer": arrival.peer, "listener": arrival.listener}
        place.with_suffix(".json").write_text(json.dumps(about))


def main(address: str, folder: str, wants: str) -> None:
    logging.basicConfig(level="DEBUG")
    server = MilterServer(address)
    server.open()
    core = ObedientCore(Path(folder), Wants(**{name: True for name in wants.split(",") if name}))
    door = Door(core, address, 4 << 20, Spool(Path(folder), 1 << 20), progress=0.05, rcpt_limit=0.2)
    server.start(door, connections=20)
    print(json.dumps(server.listening.name), flush=True)
    seconds = float(sys.stdin.readline() or 0)
    print(server.stop(seconds), flush=True)
    server.close()


main(*sys.argv[1:])
