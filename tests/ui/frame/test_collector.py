"""The thread that collects garbage between scripts: when it works, when it waits, and how it ends."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator

import pytest
from streamlit.testing.v1 import AppTest

from pages.ui.frame.collector import Collector, collect, script_runs


class Node:
    """Part of a circle, which only the collector can free."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def thawed() -> Iterator[None]:
    """Leave nothing frozen, and collect only when the test says so."""
    gc.disable()
    yield
    gc.unfreeze()
    gc.enable()


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def collectors() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "kd-collector"}


def test_what_lives_is_frozen_and_freed_later_when_it_has_become_garbage(thawed: None) -> None:
    node = Node()
    freed = weakref.ref(node)
    collect()
    assert gc.get_freeze_count() > 0
    assert not any(isinstance(one, Node) for one in gc.get_objects()), "an automatic collection would look at it again"
    del node
    gc.collect()
    assert freed() is not None, "frozen garbage is left by an ordinary collection"
    collect()
    assert freed() is None


def test_it_waits_for_a_quiet_moment_and_goes_on_after_it() -> None:
    busy, done = threading.Event(), []
    busy.set()
    collector = Collector(lambda: done.append(busy.is_set()), busy=busy.is_set, period=0.01)
    try:
        time.sleep(0.3)
        assert done == []
        busy.clear()
        assert within(10, lambda: len(done) >= 3)
        assert not any(done)
    finally:
        collector.stop()


def test_it_ends_when_it_is_stopped_even_while_it_waits() -> None:
    before = collectors()
    for busy in (True, False):
        collector = Collector(lambda: None, busy=lambda answer=busy: answer, period=0.01)
        time.sleep(0.1)
        assert len(collectors() - before) == 1
        collector.stop()
        assert within(10, lambda: not collectors() - before)


def test_a_script_of_streamlit_is_recognised() -> None:
    def script() -> None:
        import streamlit as st

        from pages.ui.frame.collector import script_runs

        st.text(str(script_runs()))

    assert AppTest.from_function(script, default_timeout=60).run().text[0].value == "True"
    assert within(10, lambda: not script_runs())


def test_many_pages_share_one_collector_and_clearing_the_caches_ends_it() -> None:
    def script() -> None:
        import streamlit as st

        from pages.ui.frame.cached import start_collector

        st.text(str(id(start_collector())))

    import streamlit as st

    st.cache_resource.clear()
    assert within(10, lambda: not collectors())
    seen = {AppTest.from_function(script, default_timeout=60).run().text[0].value for _ in range(3)}
    assert len(seen) == 1 and len(collectors()) == 1
    st.cache_resource.clear()
    assert within(10, lambda: not collectors())
