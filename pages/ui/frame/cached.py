"""The one thread of the process that collects garbage."""

from __future__ import annotations

import streamlit as st

from pages.ui.frame import collector
from pages.ui.session.ended_sessions import forget_ended_sessions


@st.cache_resource(show_spinner=False, on_release=collector.Collector.stop)
def start_collector() -> collector.Collector:
    """Start the collector of this process, at the first call only; clearing the cache ends its thread."""
    return collector.Collector(_tidy, busy=collector.script_runs, period=collector.PERIOD)


def _tidy() -> None:
    forget_ended_sessions()
    collector.collect()
