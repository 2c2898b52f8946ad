"""The memory of the milter over many messages of mixed kinds and sizes, through a real Postfix.

    python bench/soak.py [--messages 200000] [--svg FILE]

What `milter.toml` describes judges before the queue, Postfix discards what passes. The messages are of 1 kB to
200 kB, most of them small: plain text, several parts, files; in some there is a program, which is taken out, so that
the body is replaced; some are refused. Half of the senders make a connection for each message, the others keep theirs.
What Postfix logged is counted at the end.

RssAnon is what the process has for itself: its heap, and the pages that a fork left it once it wrote on them. It is
read between two batches, when nothing is under way. No worker is replaced (`recycle_messages` is not set), and the
script says so if one was. Needs root, as Postfix does.
"""

from __future__ import annotations

import argparse
import base64
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from penstock.postfix.private import PrivatePostfix, free_port
from processes import descendants

from milter import memory, service, site

BATCH = 2_000
SHOWN = 10_000
SETTLED = 20_000
TARGET = 1.0
SHARES = {1: 30, 2: 20, 4: 20, 8: 10, 16: 8, 32: 5, 64: 4, 100: 2, 200: 1}
"""How many in a hundred have so many kB."""

KINDS = {"plain": 60, "parts": 30, "program": 10}
REFUSED = 1
"""How many in a hundred are refused."""


@dataclass(frozen=True)
class Sample:
    """What there was after so many messages: octets of each worker, by process id."""

    messages: int
    seconds: float
    octets: dict[int, int]

    @property
    def total(self) -> int:
        return sum(self.octets.values())


def main() -> None:
    arguments = parsed()
    [port] = ports = [free_port()]
    with ExitStack() as stack:
        postfix, sockets = stack.enter_context(site(arguments.folder, ports, bare=0))
        letters = Letters(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        pid = service(stack, arguments.config, sockets[0], arguments.workers)
        samples = []
        for sample in sampled(postfix, port, pid, letters, arguments.messages):
            samples.append(sample)
            if sample.messages % SHOWN == 0 or sample.messages >= arguments.messages:
                show(sample, samples)
        print(told(postfix))
    conclude(samples, arguments.svg)


def told(postfix: PrivatePostfix) -> str:
    """How many Postfix says went through and were refused, and how many it was told to try later."""
    found = Counter[str]()
    with postfix.log_file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if outcome := re.search("status=sent|milter-reject: END-OF-MESSAGE .*?: [45]", line):
                found[outcome[0][-1]] += 1
    return f"delivered {found['t']:,}, refused {found['5']:,}, put off {found['4']:,}"


def sampled(postfix: PrivatePostfix, port: int, pid: int, letters: Letters, messages: int) -> Iterator[Sample]:
    began = time.perf_counter()
    yield Sample(0, 0.0, rss_anon(pid))
    for sent in range(BATCH, messages + BATCH, BATCH):
        letters.send(port, BATCH)
        postfix.wait_empty()
        yield Sample(sent, time.perf_counter() - began, rss_anon(pid))


def rss_anon(pid: int) -> dict[int, int]:
    """Octets of each worker."""
    found = {}
    for worker in descendants(pid):
        if worker != pid:
            status = dict(line.split(":\t", 1) for line in Path(f"/proc/{worker}/status").read_text().splitlines())
            found[worker] = int(status["RssAnon"].split()[0]) * 1024
    return found


class Letters:
    """The messages, in files for smtp-source, and how many of a hundred are like that."""

    def __init__(self, folder: Path) -> None:
        draw = random.Random(4)
        self._shares: dict[Path, float] = {}
        for size, share in SHARES.items():
            for kind, of_these in KINDS.items():
                path = folder / f"{kind}-{size}"
                path.write_bytes({"plain": plain, "parts": parts, "program": program}[kind](draw, size * 1024))
                self._shares[path] = share * of_these / 100

    def send(self, port: int, count: int) -> None:
        """So many in all, by ten senders."""
        counts = {path: max(1, int(count * share / 100)) for path, share in self._shares.items()}
        refused = count * REFUSED // 100
        often = max(counts, key=lambda path: counts[path])
        counts[often] += count - refused - sum(counts.values())
        commands = [
            _command(path, number, port, "ann@example.org", kept=bool(index % 2))
            for index, (path, number) in enumerate(counts.items())
        ]
        _together([*commands, _command(often, refused, port, "eve@spam.example", kept=False)], 5)


def plain(draw: random.Random, size: int) -> bytes:
    return _head("text/plain; charset=utf-8") + _text(draw, size)


def parts(draw: random.Random, size: int) -> bytes:
    text, file = _text(draw, size // 3), _file(draw, "report.pdf", b"%PDF-1.4\n", size // 3)
    bodies = _part("text/plain", text) + _part("text/html", b"<p>" + text)
    return _head('multipart/mixed; boundary="=_b"') + bodies + file + b"--=_b--\n"


def program(draw: random.Random, size: int) -> bytes:
    """With a file that the standard rules of attachments replace by a notice."""
    head = _head('multipart/mixed; boundary="=_b"')
    return head + _part("text/plain", b"See the file.\n") + _file(draw, "setup.exe", b"MZ", size) + b"--=_b--\n"


def _head(kind: str) -> bytes:
    return (
        "From: Ann <ann@example.org>\nTo: Bob <bob@example.net>\nSubject: Mixed mail\n"
        "Date: Tue, 1 Jul 2025 10:00:00 +0000\nMessage-ID: <soak@example.org>\nMIME-Version: 1.0\n"
        f"Content-Type: {kind}\n\n"
    ).encode()


def _text(draw: random.Random, size: int) -> bytes:
    words = ["river", "gate", "queue", "letter", "stone", "water", "mill", "wheel"]
    lines = (" ".join(draw.choices(words, k=10)) for _ in range(size // 58 + 1))
    return "\n".join(lines).encode() + b"\n"


def _part(kind: str, content: bytes) -> bytes:
    return f"--=_b\nContent-Type: {kind}; charset=utf-8\n\n".encode() + content


def _file(draw: random.Random, name: str, begins: bytes, size: int) -> bytes:
    content = base64.encodebytes(begins + draw.randbytes(size * 3 // 4))
    head = f'Content-Type: application/octet-stream; name="{name}"\nContent-Transfer-Encoding: base64\n'
    return f'--=_b\n{head}Content-Disposition: attachment; filename="{name}"\n\n'.encode() + content


def _command(path: Path, count: int, port: int, sender: str, *, kept: bool) -> list[str]:
    command = ["smtp-source", "-A", *(["-d"] if kept else []), "-F", str(path), "-m", str(count)]
    return [*command, "-s", str(min(2, count)), "-f", sender, "-t", "bob@example.net", f"127.0.0.1:{port}"]


def _together(commands: Sequence[Sequence[str]], at_once: int) -> None:
    """Run all, some at a time. Raises CalledProcessError."""
    waiting, under_way = list(commands), list[subprocess.Popen[bytes]]()
    while waiting or under_way:
        while waiting and len(under_way) < at_once:
            under_way.append(subprocess.Popen(waiting.pop(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        ended = under_way.pop(0)
        if ended.wait(300):
            raise subprocess.CalledProcessError(ended.returncode, ended.args)


def show(sample: Sample, samples: Sequence[Sample]) -> None:
    if sample.messages == 0:
        since = f"since {SETTLED:,}"
        print(f"{'messages':>10} {'seconds':>9} {'RssAnon, MB':>12} {since:>13}   of each worker")
    each = ", ".join(f"{octets / 2**20:.2f}" for octets in sample.octets.values())
    growth = f"{grown(samples):>+12.2f}%" if sample.messages > SETTLED else " " * 13
    print(f"{sample.messages:>10,} {sample.seconds:>9.0f} {sample.total / 2**20:>12.2f} {growth}   {each}", flush=True)


def grown(samples: Sequence[Sample]) -> float:
    """Percent, of the last sample since the one when all had settled."""
    settled = next(sample for sample in samples if sample.messages >= SETTLED)
    return (samples[-1].total / settled.total - 1) * 100


def conclude(samples: Sequence[Sample], svg: Path | None) -> None:
    if any(sample.octets.keys() != samples[0].octets.keys() for sample in samples):
        print("a worker was replaced under way: this says nothing", file=sys.stderr)
    if samples[-1].messages > SETTLED:
        print(f"grown by {grown(samples):.2f} % since message {SETTLED:,}; aimed at: less than {TARGET:g} %")
    if svg is not None:
        svg.write_text(drawn(samples), "utf-8")


def drawn(samples: Sequence[Sample]) -> str:
    """The curve: messages to the right, MB upwards from 0."""
    width, height, left, below = 720, 300, 60, 40
    most = samples[-1].messages or 1
    top = max(sample.total for sample in samples) * 1.1

    def at(sample: Sample) -> str:
        return f"{left + sample.messages / most * width:.1f},{height - sample.total / top * height:.1f}"

    steps = [top * part / 5 for part in range(6)]
    lines = "".join(
        f'<path d="M{left} {height - s / top * height:.1f}h{width}" stroke="#ddd"/>'
        f'<text x="{left - 6}" y="{height - s / top * height + 4:.1f}" text-anchor="end">{s / 2**20:.0f}</text>'
        for s in steps
    )
    marks = "".join(
        f'<text x="{left + part / 4 * width:.0f}" y="{height + 18}" text-anchor="middle">{most * part // 4:,}</text>'
        for part in range(5)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 30} {height + below}" '
        f'font-family="sans-serif" font-size="12">{lines}{marks}'
        f'<text x="{left + width / 2:.0f}" y="{height + 34}" text-anchor="middle">messages; RssAnon in MB</text>'
        f'<polyline points="{" ".join(map(at, samples))}" fill="none" stroke="#06c" stroke-width="2"/></svg>\n'
    )


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("milter.toml"), help="of the service")
    parser.add_argument("--workers", type=int, default=1, help="of penstock")
    parser.add_argument("--folder", type=Path, default=memory(), help="for Postfix's queue")
    parser.add_argument("--svg", type=Path, help="where to draw the curve")
    return parser.parse_args()


if __name__ == "__main__":
    main()
