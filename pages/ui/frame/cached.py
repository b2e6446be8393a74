"""What all visitors of the process share: the thread that collects garbage, the one that keeps a spare worker, and the
charts that were drawn before."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import streamlit as st

from pages.ui.frame import collector, spare_thread
from pages.ui.session.ended_sessions import forget_ended_sessions

if TYPE_CHECKING:
    import plotly.graph_objects as go


@st.cache_resource(show_spinner=False, on_release=collector.Collector.stop)
def start_collector() -> collector.Collector:
    """Start the collector of this process, at the first call only; clearing the cache ends its thread."""
    return collector.Collector(_tidy, busy=collector.script_runs, period=collector.PERIOD)


def _tidy() -> None:
    forget_ended_sessions()
    collector.collect()


def keep_spare_worker() -> None:
    """Note that a page is used, so that a spare worker is ready for the next run."""
    if not spare_thread.is_switched_off():
        _spare_thread().note_use()


@st.cache_resource(show_spinner=False, on_release=spare_thread.SpareThread.stop)
def _spare_thread() -> spare_thread.SpareThread:
    """Start the thread of this process, at the first call only; clearing the cache ends it, and the spare worker."""
    return spare_thread.SpareThread(spare_thread.keeper_of_home, busy=collector.script_runs)


def figure(build: Callable[..., go.Figure], arguments: tuple[object, ...], language: str) -> go.Figure:
    """Return the chart that `build` makes of `arguments`, which must not be changed.

    Plotly checks every property that it is given, which takes tens of milliseconds a chart, while all other visitors
    wait; so each chart is built once.
    """
    facts = repr((build.__module__, build.__qualname__, arguments, language))
    return _figure(hashlib.sha256(facts.encode()).hexdigest(), build, arguments)


@st.cache_resource(show_spinner=False, max_entries=256)
def _figure(key: str, _build: Callable[..., go.Figure], _arguments: tuple[object, ...]) -> go.Figure:
    # `key` tells the charts apart; arguments that begin with "_" are no part of Streamlit's key.
    return _build(*_arguments)
