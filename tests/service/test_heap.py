"""Threads that allocate at once have one heap, as malloc_info(3) tells it."""

import os
import re
import subprocess
import sys

import pytest

THREADS = """
import ctypes, sys, threading
from penstock.filter.service.heap import share_one_heap

if sys.argv[1] == "one":
    assert share_one_heap()
libc = ctypes.CDLL(None)
together = threading.Barrier(6)

def allocate():
    kept = []
    for number in range(200):
        together.wait()
        kept.append(bytes(20_000))

threads = [threading.Thread(target=allocate) for _ in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc.fdopen.restype = ctypes.c_void_p
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""


@pytest.mark.skipif("glibc" not in os.confstr("CS_GNU_LIBC_VERSION"), reason="another C library")
@pytest.mark.parametrize(("how", "several"), [("one", False), ("each", True)])
def test_threads_share_one_heap(how: str, several: bool) -> None:
    told = subprocess.run([sys.executable, "-c", THREADS, how], capture_output=True, text=True, timeout=60, check=True)
    assert (len(re.findall("<heap nr", told.stdout)) > 1) is several
