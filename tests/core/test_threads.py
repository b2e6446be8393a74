"""Threads that wait sleep: decided before PyTorch is there, and never against the environment's word."""

from __future__ import annotations

import subprocess
import sys

from kdcore.threads import wait_asleep


def test_what_the_environment_says_stands() -> None:
    empty: dict[str, str] = {}
    wait_asleep(empty)
    assert empty == {"OMP_WAIT_POLICY": "PASSIVE"}
    decided = {"OMP_WAIT_POLICY": "ACTIVE"}
    wait_asleep(decided)
    assert decided == {"OMP_WAIT_POLICY": "ACTIVE"}


def test_the_pages_decide_it_before_pytorch_is_imported() -> None:
    code = "import os, sys, pages.ui; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert told.stdout.split()[-2:] == ["PASSIVE", "False"]
