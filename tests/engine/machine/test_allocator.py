"""Memory that a process keeps for its next step."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux's C library is told to keep memory")
def test_a_process_that_keeps_what_it_frees_asks_the_system_for_no_more() -> None:
    code = """
import resource, torch
from kdcore.machine.allocator import keep_freed_memory
def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(2**24)  # 64 MiB, more than glibc ever learns to keep by itself
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
first = pages()
print(keep_freed_memory(), first, pages(), pages())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    kept_memory, by_default, once, kept = done.stdout.split()
    if kept_memory == "False":  # another C library, whose settings are not changed
        return
    assert int(kept) < 100 < int(by_default) / 10, (by_default, once, kept)
