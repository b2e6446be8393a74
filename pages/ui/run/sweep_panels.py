"""Draws a sweep on a page: its points while it trains, and its chart and table when it is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.ui.components.curves import curves
from pages.ui.frame.page_parts import draw_chart
from pages.ui.kit import formats
from pages.ui.run import sweep_charts, sweep_views
from pages.ui.session.i18n import _

if TYPE_CHECKING:
    from kdcore.events import Event


def draw_growing_sweep(run_id: str, config: Mapping[str, Any], events: Sequence[Event]) -> None:
    """Draw the latest validation accuracy of every point of a sweep that still trains; nothing for a plain run."""
    sweep = sweep_views.growing_sweep(config, events)
    if sweep is None:
        return
    words = sweep_views.sweep_caption(sweep, _("Accuracy on the validation pictures so far, by point."))
    with st.container(key="kd-chart"):
        curves(sweep_charts.growing_data(sweep, words), key=f"sweep_{run_id}")
    st.html(sweep_views.sweep_html(sweep, _("The points of the sweep so far, on the validation pictures")))
    st.caption(
        _(
            "On the validation pictures, at the latest epoch that was checked. The test pictures, which count, come at "
            "the end."
        )
    )


def draw_finished_sweep(result: Mapping[str, Any]) -> None:
    """Draw the chart and the table of a finished sweep; nothing for a plain run."""
    sweep = sweep_views.finished_sweep(result)
    if sweep is None:
        return
    words = sweep_views.sweep_caption(sweep, _("Accuracy on the test pictures with 95 % intervals, by point."))
    draw_chart(sweep_charts.sweep_chart, sweep, key="kd-sweep", alt=words)
    st.html(sweep_views.sweep_html(sweep, _("Every point of the sweep, on the test pictures")))
    st.caption(formats.no_break_percent(sweep_views.table_note(sweep)))
