"""Message under a fuzzer that is led by coverage: octets stay, views never raise, edits read back.

    python -m venv /tmp/fuzz && /tmp/fuzz/bin/pip install atheris ".[test]"
    nice -n 19 /tmp/fuzz/bin/python tests/message/fuzz.py FINDS GROWN CORPUS -max_total_time=1800

pytest does not collect this file. FINDS is made, and takes one input for each place where something broke; the run goes
on after it. GROWN receives inputs that lead to new code; CORPUS, and more folders if you like, holds mail to start
from. Words with a dash are options of libFuzzer. What is found becomes a test in the file of what it is about. The
installed package is under test: install anew after a change. atheris is no dependency of the project, since it has
wheels for few versions of Python.
"""

from __future__ import annotations

import random
import sys
import tempfile
import traceback
import zlib
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["penstock.filter"]):
    from penstock.filter.message import Edit, EditError, Message

from test_editing import change_something, shape
from test_faithful import SCRAP_LIST, assert_faithful


def main() -> None:
    finds, *folders = [word for word in sys.argv[1:] if not word.startswith("-")]
    options = [word for word in sys.argv[1:] if word.startswith("-")]
    Path(finds).mkdir(parents=True, exist_ok=True)
    Path(folders[0]).mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", suffix=".dict") as words:
        words.writelines(f'"{_escaped(scrap)}"\n' for scrap in SCRAP_LIST)
        words.flush()
        defaults = ["-max_len=4096", "-timeout=20", f"-dict={words.name}", f"-artifact_prefix={finds}/"]
        atheris.Setup([sys.argv[0], *defaults, *options, *folders], lambda raw: one_input(raw, Path(finds)))
        atheris.Fuzz()


def one_input(raw: bytes, finds: Path) -> None:
    """Check one input; where something breaks, keep the smallest that breaks there."""
    try:
        check(raw)
    except Exception as trouble:
        frames = traceback.extract_tb(trouble.__traceback__)
        place = "-".join(f"{Path(frame.filename).stem}.{frame.lineno}" for frame in frames[-2:])
        file = finds / f"{type(trouble).__name__}-{place}"
        if not file.exists() or file.stat().st_size > len(raw):
            file.write_bytes(raw)


def check(raw: bytes) -> None:
    """Everything that must hold for these octets, and for a few changes that they themselves choose."""
    assert_faithful(raw)
    dice = random.Random(zlib.crc32(raw))
    message = Message(raw)
    for _ in range(dice.randrange(1, 4)):
        with suppress(EditError):
            change_something(message, dice)
    result = bytes(message)
    assert message.size == len(result)
    again = Message.with_edits(raw, [Edit.from_dict(edit.as_dict()) for edit in message.edits])
    assert bytes(again) == result
    assert shape(Message(result)) == shape(message)


def _escaped(scrap: bytes) -> str:
    return "".join(rf"\x{octet:02x}" for octet in scrap)


if __name__ == "__main__":
    main()
