"""CPU per message of the filter port, beside a relay of aiosmtpd and aiosmtplib, measured in the same run.

    smtp-source -d  →  the relay under test  →  smtp-sink

Each relay is a process of its own; what is counted is the processor time (user and system) of that
process and its children, divided by the messages, so that source and sink do not matter. The two
take turns, several rounds each, and the best round of each counts: what else runs on the machine can
only add. `smtp-source` keeps its connections open (-d), and so does the way to the sink.

    python bench/port.py [--config FILE]

`service` is the whole of it, `penstock run` with `port.toml` (in which {port}, {sink} and {folder} are
filled in), `port` the filter port alone with a pipeline that passes everything.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from processes import PENSTOCK, cpu, filled, listens_at, running

TARGETS = {4_096: 0.5, 102_400: None, 1_048_576: 0.15}
MESSAGES = {4_096: 2000, 102_400: 300, 1_048_576: 40}


@dataclass(frozen=True)
class Relay:
    """A relay under test: its process, and the port that it takes mail on."""

    name: str
    pid: int
    port: int

    def cpu(self) -> float:
        """Processor seconds so far, of the process and its living descendants."""
        return cpu(self.pid)


def main() -> None:
    arguments = parsed()
    if arguments.relay:
        {"port": pass_through, "peer": peer}[arguments.relay](*arguments.ports)
        return
    with ExitStack() as stack:
        sink = free_port()
        user = ["-u", "postfix"] if os.geteuid() == 0 else []
        stack.enter_context(running(["smtp-sink", *user, f"127.0.0.1:{sink}", "200"], partial(listens_at, sink)))
        relays = [started(stack, name, sink, arguments.config) for name in ("service", "port", "peer")]
        print(f"CPU per message, best of {arguments.rounds} rounds, {arguments.sessions} connections")
        print(f"{'octets':>10} {'service':>12} {'port':>12} {'peer':>12} {'service/peer':>13} {'target':>8}")
        for size, count in MESSAGES.items():
            service, port, other = measured(relays, size, count, arguments)
            figures = " ".join(f"{milliseconds:>9.3f} ms" for milliseconds in (service, port, other))
            target = f"{TARGETS[size]:>7}x" if TARGETS[size] else ""
            print(f"{size:>10,} {figures} {service / other:>12.2f}x {target}", flush=True)


def measured(relays: Sequence[Relay], size: int, count: int, arguments: argparse.Namespace) -> list[float]:
    """Milliseconds per message of each relay."""
    best = {relay: float("inf") for relay in relays}
    for round_number in range(arguments.rounds + 1):
        for relay in relays:
            before = relay.cpu()
            drive(relay.port, size, count if round_number else 20, arguments.sessions)
            spent = (relay.cpu() - before) / count * 1000
            if round_number:  # round 0 warms up
                best[relay] = min(best[relay], spent)
    return list(best.values())


def drive(port: int, size: int, count: int, sessions: int) -> None:
    command = ["smtp-source", "-d", "-l", str(size), "-m", str(count), "-s", str(sessions)]
    command += ["-f", "ann@example.org", "-t", "bob@example.net", f"127.0.0.1:{port}"]
    subprocess.run(command, check=True, timeout=300, stdout=subprocess.DEVNULL)


def started(stack: ExitStack, name: str, sink: int, config: Path) -> Relay:
    """Start a relay, ended with `stack`."""
    port = free_port()
    command = [sys.executable, __file__, "--relay", name, str(port), str(sink)]
    if name == "service":
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = filled(config, folder, {"port": port, "sink": sink, "folder": folder})
        command = [*PENSTOCK, "run", "--config", str(settings)]
    process = stack.enter_context(running(command, partial(listens_at, port)))
    return Relay(name, process.pid, port)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def pass_through(port: int, sink: int) -> None:
    """The port alone: a pipeline that passes everything."""
    from penstock.filter.arrival import Arrival
    from penstock.filter.envelope import Envelope, Recipient
    from penstock.filter.port import Reinjector, Server
    from penstock.filter.submission import Submission
    from penstock.filter.verdict import Reply

    @dataclass(frozen=True)
    class Passed:
        groups: tuple[Submission, ...]
        each: bool

    class PassThrough:
        def recipient(self, envelope: Envelope, recipient: Recipient) -> Reply | None:
            return None

        def decide(self, arrival: Arrival, give_up: object) -> Passed:
            return Passed((Submission(arrival.envelope, arrival.message),), arrival.replies_each)

        def settle(self, decision: Passed, results: Sequence[Sequence[Reply]]) -> Sequence[Reply]:
            return results[0] if decision.each else results[0][:1]

    server = Server([f"127.0.0.1:{port}"], PassThrough(), Reinjector(f"127.0.0.1:{sink}"))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    server.start()
    signal.sigwait({signal.SIGTERM})
    server.stop(5)


def peer(port: int, sink: int) -> None:
    """What one would write with aiosmtpd and aiosmtplib: connections kept open on both sides."""
    import aiosmtplib
    from aiosmtpd.smtp import SMTP

    resting: list[aiosmtplib.SMTP] = []

    class Handler:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            if resting:
                client = resting.pop()
            else:
                client = aiosmtplib.SMTP(hostname="127.0.0.1", port=sink, start_tls=False)
                await client.connect()
            await client.sendmail(envelope.mail_from, envelope.rcpt_tos, envelope.original_content)
            resting.append(client)
            return "250 2.0.0 Ok"

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, done.set)
        await loop.create_server(lambda: SMTP(Handler(), data_size_limit=0, loop=loop), "127.0.0.1", port)
        await done.wait()

    asyncio.run(serve())


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("port.toml"), help="of the service")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sessions", type=int, default=1, help="connections of smtp-source, by default one as its own")
    parser.add_argument("--relay", choices=["port", "peer"], help=argparse.SUPPRESS)
    parser.add_argument("ports", type=int, nargs="*", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
