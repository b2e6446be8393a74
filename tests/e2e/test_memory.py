"""The server's memory: bounded by the session, and level while pages change."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e import soak
from tests.e2e.conftest import SLOW, Server, running_app

CHANGES = int(os.environ.get("KDCORE_SOAK_CHANGES", "48"))  # 224 for 200 after the warm-up
WARM_UP = 24  # by then every page was drawn, and the caches hold what they may hold
STEP = 12


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An app whose process nobody else's pages grow."""
    expect.set_options(timeout=SLOW)
    with running_app(tmp_path_factory.mktemp("memory")) as running:
        yield running
        assert not running.tracebacks()


def test_memory_does_not_grow_while_pages_change(browser: Browser, server: Server) -> None:
    soak.finished_run(browser, server)
    levels = {int(each["changes"]): each["mib"] for each in soak.soak(browser, server, CHANGES, every=STEP)}
    print(levels)
    after = min(level for changes, level in levels.items() if changes > CHANGES - 2 * STEP)
    assert after <= 1.1 * levels[WARM_UP], levels  # one picture that is being looked at is no growth


def mib_of_torch() -> float:
    """MiB of a process that only imports PyTorch, of which builds with CUDA take hundreds more."""
    code = "import psutil, torch; print(psutil.Process().memory_info().rss / 2**20)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=300).stdout)


def test_a_session_costs_little_beside_the_models_that_all_share(browser: Browser, server: Server) -> None:
    before, after = (each["mib"] for each in soak.sessions(browser, server, [4]))
    print(before, after)
    assert after < mib_of_torch() + 680  # streamlit, the teachers, the caches at their bounds
    assert (after - before) / 4 < 40, (before, after)
