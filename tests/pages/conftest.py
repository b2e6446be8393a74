"""Shared by the tests of pages: a home folder with a store, a run that was really trained, and opened pages."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from kdcore import jobs
from kdcore.settings.config import make_run_config
from kdcore.store import RunRow, Store

APP = Path(__file__).parents[2] / "app.py"
VISITOR, OTHER = "a" * 32, "b" * 32

OpenPage = Callable[..., AppTest]


@pytest.fixture(scope="session")
def trained_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one finished run on `digits`, trained for real; tests only read it."""
    from kdcore.jobs import worker

    home = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDCORE_HOME", str(home))
        with Store() as store:
            config = make_run_config("digits", labels=60, epochs=4, seeds=3, student="mlp-8", device="cpu")
            run_id = jobs.submit(store, config, VISITOR)
        assert worker.main([run_id]) == 0
    return home


@pytest.fixture
def trained_store(trained_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The store of `trained_home`, which the app uses during this test."""
    yield from _store(trained_home, monkeypatch)


@pytest.fixture
def empty_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store without a run, which the app uses during this test."""
    yield from _store(tmp_path, monkeypatch)


def _store(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("KDCORE_HOME", str(home))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # for the workers
    st.cache_resource.clear()  # another home, another store
    with Store() as store:
        yield store
        for row in store.list_runs():  # no worker outlives its test
            jobs.cancel(store, row.id)
        wait_until(lambda: all(row.done for row in store.list_runs()), step=lambda: jobs.advance(store))
    st.cache_resource.clear()


@pytest.fixture
def open_page() -> OpenPage:
    """`open_page("runs", run="…")` opens a page with a query in its URL, for the visitor who started the runs."""

    def opened(name: str, visitor: str = VISITOR, **query: str) -> AppTest:
        app = AppTest.from_file(str(APP), default_timeout=240)
        app.session_state["_visitor_id"] = visitor
        app.run().switch_page(f"pages/{name}.py")
        for key, value in query.items():
            app.query_params[key] = value
        return app.run()

    return opened


def wait_until(condition: Callable[[], bool], step: Callable[[], object] = lambda: None, seconds: float = 240) -> None:
    """Call `step` until `condition` holds; fail after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        step()
        time.sleep(0.05)


def only_run(store: Store) -> RunRow:
    (row,) = store.list_runs()
    return row


def html_of(app: AppTest) -> str:
    """All of the page's own HTML, with ordinary spaces."""
    return "\n".join(element.proto.body for element in app.get("html")).replace("\u00a0", " ")


def charts_of(app: AppTest) -> list[Any]:
    """All charts as the browser gets them."""
    return list(app.get("plotly_chart"))


def chart_of(app: AppTest, key: str) -> dict[str, Any]:
    """The figure of the chart with this key."""
    found = next(chart.proto for chart in charts_of(app) if chart.proto.id.endswith(f"-{key}"))
    figure: dict[str, Any] = json.loads(found.spec)
    return figure


def curves_of(app: AppTest) -> dict[str, Any]:
    """The data that the component of the growing curves was given."""
    found = next(part.proto for part in app.get("bidi_component") if part.proto.component_name == "kd_curves")
    data: dict[str, Any] = json.loads(found.json)
    return data


def bars_of(app: AppTest) -> list[dict[str, float]]:
    """Every group of bars on the page: percent by class, in the order drawn."""
    return [
        {name: float(width) for name, width in re.findall(r"<b>(.*?)</b>.*?width:([0-9.]+)%", html)}
        for html in re.findall(r'<div class="kd-bars".*', html_of(app))
    ]


def in_address(app: AppTest, key: str) -> str | None:
    """The value of `key` in the URL after a run of the page; None if it is missing."""
    found = app.query_params.get(key)
    return found[0] if isinstance(found, list) else found
