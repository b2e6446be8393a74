"""The app under several visitors at once, and while sessions come and go: no error, and bounded memory.

Nothing here asserts a time, because the machine may be busy; the times are printed (`pytest -s`).
"""

from __future__ import annotations

import asyncio
import json
import os
import time
import tomllib
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import ROOT, Server, running_app
from tests.e2e.soak import resident
from tests.load.counted_server import living
from tests.load.visitor import PAGES, PageView, visit
from tests.load.visitors import change_pages, come_and_go, crowd, figures, in_own_thread, quantile

CHANGES = int(os.environ.get("KDCORE_SOAK_CHANGES", "24"))  # 400 and 200 sessions: the long form, with every page
SESSIONS = int(os.environ.get("KDCORE_SOAK_SESSIONS", "16"))
# The short form leaves out the pages that take longest to draw for the first time.
TRIED = PAGES if CHANGES >= 100 else ("soft_labels", "distil", "runs", "models")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app, which forgets a visitor two seconds after they left and prints when a session's memory is freed."""
    options = ("--server.disconnectedSessionTTL", "2")
    with running_app(tmp_path_factory.mktemp("load"), module="tests.load.counted_server", options=options) as running:
        yield running
        assert not running.tracebacks()


@pytest.fixture(scope="module")
def first(server: Server) -> list[PageView]:
    """Every page twice, so that the caches are warm."""
    return in_own_thread(change_pages(server.url, 2 * len(TRIED), pages=TRIED))


def test_several_visitors_at_once_see_no_error(server: Server, first: list[PageView]) -> None:
    assert not [view.errors for view in first if view.errors]
    before = resident(server)
    seen = figures(in_own_thread(crowd(server.url, visitors=4, seconds=5, thought=0.5, pages=TRIED)))
    after = resident(server)
    print(json.dumps({**seen, "mib": [before, after]}))
    assert seen["all"]["views"] >= 4
    assert seen["errors"] == {}
    assert after <= 1.1 * before + 40, (before, after)  # four sessions of at most 10 MiB each


def test_memory_stays_and_every_ended_session_is_freed(server: Server, first: list[PageView]) -> None:
    in_own_thread(come_and_go(server.url, 8, pages=TRIED))  # the memory that a crowd takes once
    before = resident(server)
    views = in_own_thread(change_pages(server.url, CHANGES, pages=TRIED))
    views += in_own_thread(come_and_go(server.url, SESSIONS, first=100, pages=TRIED))
    left = in_own_thread(_left_beside_one_visitor(server))
    after = resident(server)
    print(json.dumps({**figures(views), "mib": [before, after], "left": left}))
    assert len(views) == CHANGES + SESSIONS
    assert not [view.errors for view in views if view.errors]
    assert left == 1, "only the session of the visitor who is still there"
    assert after <= 1.1 * before, (before, after)


async def _left_beside_one_visitor(server: Server, seconds: float = 60.0) -> int:
    """Return how many sessions are in memory once all visitors but one have left, at the latest after `seconds`.

    The one visitor is needed: Streamlit's main loop remembers the last session to which it sent anything.
    """
    end = time.monotonic() + seconds
    async with visit(server.url, 1) as visitor:
        await visitor.open("runs")
        while living(server.printed()) > 1 and time.monotonic() < end:
            await asyncio.sleep(0.5)
        return living(server.printed())


def test_streamlit_collects_no_garbage_after_a_script() -> None:
    settings = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert settings["runner"]["postScriptGC"] is False


def test_a_page_that_does_not_exist_is_an_error(server: Server) -> None:
    async def lost() -> PageView:
        async with visit(server.url, 1) as visitor:
            return await visitor.open("nowhere")

    assert in_own_thread(lost()).errors


def test_a_server_that_is_gone_is_an_error() -> None:
    seen = figures(in_own_thread(crowd("http://127.0.0.1:9", visitors=2, seconds=1, thought=0)))
    assert sum(seen["errors"].values()) == 2


@pytest.mark.parametrize(("share", "wanted"), [(0.5, 10), (0.95, 19), (1.0, 20), (0.0, 1)])
def test_a_quantile_is_the_smallest_value_that_covers_the_share(share: float, wanted: float) -> None:
    assert quantile([float(value) for value in range(1, 21)], share) == wanted
