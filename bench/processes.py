"""The processes that are measured: started, waited for, ended, and the processor time that they take."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

PENSTOCK = (sys.executable, "-P", "-c", "from penstock.filter.commands import main; main()")


def cpu(pid: int) -> float:
    """Processor seconds so far, user and system, of a process and its living descendants."""
    return sum(map(cpu_alone, descendants(pid)))


def cpu_alone(pid: int) -> float:
    """Processor seconds so far of one process."""
    return time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3)


def descendants(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from descendants(int(child))


@contextmanager
def running(command: Sequence[str], listens: Callable[[], bool], umask: int = -1) -> Iterator[subprocess.Popen[bytes]]:
    """A process, once it listens; its log is written, as it would be, and shown if it does not."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stderr=log, umask=umask)
        try:
            if not _until(listens, process):
                log.seek(0)
                sys.exit(f"{process.args!r} does not listen\n{log.read().decode()}")
            yield process
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


def listens_at(address: int | str) -> bool:
    """Whether somebody listens at a port of 127.0.0.1, or at the path of a unix socket."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as caller:
        return caller.connect_ex(address if isinstance(address, str) else ("127.0.0.1", address)) == 0


def filled(config: Path, into: Path, marks: Mapping[str, object]) -> Path:
    """The configuration with what the script chose in place of its marks (`{port}`), written into a folder."""
    words = {f"{{{name}}}": str(value) for name, value in marks.items()}
    path = into / "penstock.toml"
    path.write_text(re.sub("|".join(map(re.escape, words)), lambda mark: words[mark[0]], config.read_text("utf-8")))
    return path


def _until(listens: Callable[[], bool], process: subprocess.Popen[bytes]) -> bool:
    for _ in range(150):
        if process.poll() is not None:
            return False
        if listens():
            return True
        time.sleep(0.1)
    return False
