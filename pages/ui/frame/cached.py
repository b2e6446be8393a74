"""What all visitors of the process share: the thread that collects garbage, and the charts that were drawn before."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import streamlit as st

from pages.ui.frame import collector
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
