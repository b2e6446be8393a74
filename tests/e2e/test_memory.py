"""The server's memory: bounded by the session, and level while pages change."""

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.e2e import soak
from tests.e2e.conftest import SLOW, running_app


def test_memory_does_not_grow_while_pages_change(browser: Browser, tmp_path: Path) -> None:
    """`KDCORE_SOAK_CHANGES=240` for 200 changes after the warm-up; by default a fifth of that."""
    changes = int(os.environ.get("KDCORE_SOAK_CHANGES", "72"))
    warm_up = 36  # by then every page was drawn and every cache is filled
    expect.set_options(timeout=SLOW)
    with running_app(tmp_path) as server:
        soak.finished_run(browser, server)
        levels = {int(each["changes"]): each["mib"] for each in soak.soak(browser, server, changes, every=12)}
        assert "Traceback" not in server.printed()
    print(levels)
    before = levels[warm_up]
    after = min(levels[changes], levels[changes - 12])  # one picture being looked at is no growth
    assert after <= 1.1 * before, levels


def test_a_session_costs_little_beside_the_models_that_all_share(browser: Browser, tmp_path: Path) -> None:
    with running_app(tmp_path) as server:
        figures = list(soak.sessions(browser, server, [1, 5]))
    one, five = figures[1]["mib"], figures[2]["mib"]
    assert one < 700, figures  # torch, streamlit and two teachers
    assert (five - one) / 4 < 40, figures
