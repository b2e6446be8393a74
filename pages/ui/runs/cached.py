"""Cached curves of runs."""

from __future__ import annotations

import streamlit as st

from kdcore.reports.curves import Curve
from pages.ui.engine.cache import store
from pages.ui.run.view import run_view


@st.cache_resource(show_spinner=False, max_entries=24)
def finished_curves(run_id: str, attempts: int, status: str) -> dict[str, Curve]:
    """Return the validation accuracy of each arm of a finished run.

    `attempts` and `status` only distinguish cache entries: they change when a run is resumed.
    """
    return latest_curves(run_id)


def latest_curves(run_id: str) -> dict[str, Curve]:
    """Return the validation accuracy so far of each arm of a run."""
    return dict(run_view([stored.event for stored in store().events(run_id)]).accuracy)
