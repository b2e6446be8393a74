"""The most memory that a process held."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

from kdcore.experiments.bench.memory import PeakMemory


def test_peak_memory_sees_what_was_held_for_a_moment() -> None:
    """Runs in a process of its own: this one may already hold enough memory from earlier tests."""
    code = """
import time
import numpy as np
from kdcore.experiments.bench import memory
memory.SAMPLE_SECONDS = 0.01
with memory.PeakMemory() as peak:
    before = peak.mb
    array = np.ones(256 * 2**20, np.uint8)
    while peak.mb < before + 200:  # wait until the watching thread takes a sample
        time.sleep(0.005)
    del array
print(before, peak.mb)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    before, most = (float(number) for number in found.stdout.split())
    assert before + 200 < most < before + 600


def test_memory_is_in_millions_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = SimpleNamespace(memory_info=lambda: SimpleNamespace(rss=7_000_000), children=lambda recursive: [worker])
    worker = SimpleNamespace(memory_full_info=lambda: SimpleNamespace(uss=1_500_000))
    monkeypatch.setattr(psutil, "Process", lambda: whole)
    with PeakMemory() as peak:
        assert peak.mb == pytest.approx(8.5)
