"""What the milter costs: Postfix without one, with a no-op of pymilter, and with penstock, in the same run.

    smtp-source (10 senders, 4 kB)  →  smtpd  →  milter on a unix socket
                                         ↓
                                      cleanup  →  qmgr  →  discard

One private Postfix, with an smtpd for each way. They take turns, several rounds each, and the best round of each
counts: what else runs on the machine can only add. The time is smtp-source's own, from the first connection to
the last reply; the queue is empty before the next turn. What a milter takes is the processor time, user and system,
of its process and its children. The queue is in memory (--folder): to wait for a disk would hide what a milter costs.

    python bench/milter.py [--config FILE]

`penstock` is `penstock run` with `milter.toml`, the no-op `noop.py`. Needs root, as Postfix does.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from penstock.postfix.private import PrivatePostfix, free_port
from processes import PENSTOCK, cpu, cpu_alone, descendants, filled, listens_at, running

TARGETS = {"throughput": 0.9, "CPU": 1.3}
SERVICE = "{port}  inet  n  -  n  -  -  smtpd -o smtpd_milters={milter}\n"


@dataclass
class Way:
    """One way through Postfix: its port, and the process of its milter, if it has one."""

    name: str
    port: int = field(default_factory=free_port)
    pid: int | None = None
    rate: float = 0.0
    """Messages a second, in the best round."""
    spent: float = float("inf")
    """Milliseconds of processor time for a message in the milter, in the best round."""
    postfix: Counter[str] = field(default_factory=Counter)
    """The same in Postfix's programs, by name, in the round with the best rate."""


def main() -> None:
    arguments = parsed()
    names = ["no milter", "no-op", *(f"penstock, {n} worker{'s' * (n > 1)}" for n in arguments.workers)]
    ways = [Way(name) for name in names]
    with ExitStack() as stack:
        postfix, sockets = stack.enter_context(site(arguments.folder, [way.port for way in ways], bare=1))
        ways[1].pid = started(stack, sockets[0], [sys.executable, "-P", noop(), f"unix:{sockets[0]}"])
        for way, socket, workers in zip(ways[2:], sockets[1:], arguments.workers, strict=True):
            way.pid = service(stack, arguments.config, socket, workers)
        for kept in (False, True):
            for way in ways:
                way.rate, way.spent = 0.0, float("inf")
            measure(postfix, ways, arguments, kept=kept)
            show(ways, arguments, kept=kept)


def measure(postfix: PrivatePostfix, ways: Sequence[Way], arguments: argparse.Namespace, *, kept: bool) -> None:
    """Send by all ways in turn, and note what was best; round 0 warms up."""
    master = int((postfix.queue_directory / "pid" / "master.pid").read_text())
    for number in range(arguments.rounds + 1):
        count = arguments.messages if number else 200
        for way in ways:
            spent, programs, began = cpu(way.pid) if way.pid else 0.0, by_program(master), time.perf_counter()
            drive(way.port, count, arguments, kept=kept)
            rate = count / (time.perf_counter() - began)
            postfix.wait_empty()
            if not number:
                continue
            if way.pid:
                way.spent = min(way.spent, (cpu(way.pid) - spent) / count * 1000)
            if rate > way.rate:
                way.rate = rate
                way.postfix = Counter({n: s / count * 1000 for n, s in (by_program(master) - programs).items()})


def drive(port: int, count: int, arguments: argparse.Namespace, *, kept: bool) -> None:
    command = ["smtp-source", *(["-d"] if kept else []), "-l", str(arguments.size), "-m", str(count)]
    command += ["-s", str(arguments.senders), "-f", "ann@example.org", "-t", "bob@example.net", f"127.0.0.1:{port}"]
    subprocess.run(command, check=True, timeout=300, stdout=subprocess.DEVNULL)


def show(ways: Sequence[Way], arguments: argparse.Namespace, *, kept: bool) -> None:
    none, peer, *_ = ways
    how = "each sender keeps its connection" if kept else "a connection for each message"
    rounds = f"best of {arguments.rounds} rounds of {arguments.messages:,} messages"
    print(f"\n{how}; {arguments.senders} senders, {arguments.size:,} octets, {rounds}")
    print(f"{'':>20} {'messages/s':>11} {'/no-op':>7} {'/none':>7} {'CPU ms':>8} {'/no-op':>7}   Postfix's CPU, ms")
    for way in ways:
        spent = f"{way.spent:>8.3f} {way.spent / peer.spent:>6.2f}x" if way.pid else " " * 16
        programs = ", ".join(f"{name} {ms:.2f}" for name, ms in way.postfix.most_common(3))
        rates = f"{way.rate:>11.0f} {way.rate / peer.rate:>6.2f}x {way.rate / none.rate:>6.2f}x"
        print(f"{way.name:>20} {rates} {spent}   {way.postfix.total():.2f}: {programs}", flush=True)
    print(f"aimed at, beside the no-op: throughput {TARGETS['throughput']}x or more, CPU {TARGETS['CPU']}x or less")


def by_program(master: int) -> Counter[str]:
    """Processor seconds so far of Postfix's programs, by name."""
    seconds: Counter[str] = Counter()
    for pid in descendants(master):
        seconds[Path(f"/proc/{pid}/comm").read_text().strip()] += cpu_alone(pid)  # type: ignore[assignment]
    return seconds


@contextmanager
def site(folder: Path, ports: Sequence[int], *, bare: int) -> Iterator[tuple[PrivatePostfix, list[Path]]]:
    """A private Postfix that listens at the ports, and a socket for the milter of each; the first `bare` have none."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-", dir=folder) as name:
        Path(name).chmod(0o755)
        sockets = [Path(name) / "queue" / "penstock" / f"{port}.sock" for port in ports[bare:]]
        milters = [""] * bare + [f"unix:{path}" for path in sockets]
        services = (f"127.0.0.1:{SERVICE.format(port=port, milter=m)}" for port, m in zip(ports, milters, strict=True))
        settings = {
            "default_transport": "discard:",
            "milter_default_action": "tempfail",
            "max_use": "1000000",     # a process that ends takes its times along
            "max_idle": "1h",
        }  # fmt: skip
        with PrivatePostfix(
            Path(name), sink="127.0.0.1:9", filter=None, extra_main=settings, extra_master="".join(services)
        ) as postfix:
            yield postfix, sockets


def started(stack: ExitStack, socket: Path, command: Sequence[str]) -> int:
    """Start a milter, ended with `stack`; its process id."""
    return stack.enter_context(running(command, partial(listens_at, str(socket)), umask=0o007)).pid


def service(stack: ExitStack, config: Path, socket: Path, workers: int) -> int:
    """Start penstock with a store on the disk, where it would be; its process id."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    marks = {"folder": folder, "port": free_port(), "socket": socket, "workers": workers}
    return started(stack, socket, [*PENSTOCK, "run", "--config", str(filled(config, folder, marks))])


def memory() -> Path | None:
    """A folder in memory that Postfix can reach; None for where temporary files go."""
    shared = Path("/dev/shm")
    return shared if shared.is_dir() else None


def noop() -> str:
    return str(Path(__file__).with_name("noop.py"))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("milter.toml"), help="of the service")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=1000, help="in a turn")
    parser.add_argument("--senders", type=int, default=10, help="connections of smtp-source")
    parser.add_argument("--size", type=int, default=4096, help="of a message's body")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="of penstock, each a way of its own")
    parser.add_argument("--folder", type=Path, default=memory(), help="for Postfix's queue")
    return parser.parse_args()


if __name__ == "__main__":
    if shutil.which("smtp-source") is None:
        sys.exit("no smtp-source here: install the package postfix")
    main()
