"""The comparison of several chosen runs: their curves on one chart, and one table of what differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import streamlit as st

from kdcore.errors import RunNotFound
from kdcore.reports.comparison import compare
from pages.ui.engine import cache
from pages.ui.frame import page_parts
from pages.ui.kit import formats, tables
from pages.ui.runs import cached, comparison_charts, comparison_table
from pages.ui.session import state
from pages.ui.session.i18n import _, ngettext

if TYPE_CHECKING:
    from kdcore.reports.curves import Curve
    from kdcore.store import RunRow

MAX_COMPARED = len(comparison_charts.LETTERS)


def chosen_runs() -> list[RunRow]:
    """Return the runs that the URL compares. Anyone with the link may read them, whoever started them.

    Runs that no longer exist are taken out of the URL, and a note says how many.
    """
    runs, missing = [], 0
    for run_id in state.compared_runs()[:MAX_COMPARED]:
        try:
            runs.append(cache.store().run(run_id))
        except RunNotFound:
            missing += 1
    if missing:
        state.set_compared_runs([run.id for run in runs])
        text = ngettext(
            "{n} run of the comparison is not there any more.",
            "{n} runs of the comparison are not there any more.",
            missing,
        )
        st.info(text.format(n=missing))
    return runs


def draw_run_comparison(runs: list[RunRow]) -> None:
    """Draw how many runs are chosen and, if there are at least two, their comparison; nothing without runs."""
    if not runs:
        return
    with st.container(key="kd-comparing"):
        with st.container(horizontal=True, vertical_alignment="center", key="kd-compare-head"):
            count = ngettext("{n} run chosen", "{n} runs chosen", len(runs)).format(n=len(runs))
            hint = "" if len(runs) > 1 else ". " + _("Choose another one to compare them.")
            st.html(f'<p class="kd-what"><b>{count}</b>{hint}</p>', width="content")
            st.button(_("Choose none"), key="kd-compare-none", on_click=state.set_compared_runs, args=((),))
        if len(runs) > 1:
            _draw_comparison(runs)


def comparison_box(run: RunRow, indices: Mapping[str, int]) -> None:
    """Draw the check box that puts a run into the comparison.

    Args:
        indices: run id -> index, for the runs that are compared already; the index selects the letter.
    """
    key = f"kd-pick-{run.id}"
    state.set_widget(key, run.id in indices)  # the URL decides, after a reload or "Choose none" too
    full = len(indices) >= MAX_COMPARED and run.id not in indices
    help_text = _("{n} runs are the most that a chart can hold.").format(n=MAX_COMPARED) if full else None
    label = _("compare")
    if run.id in indices and len(indices) > 1:
        label = f"**{comparison_charts.LETTERS[indices[run.id]]}**"
    st.checkbox(label, key=key, on_change=_toggle, args=(run.id,), disabled=full, help=help_text)


def _toggle(run_id: str) -> None:
    others = [other for other in state.compared_runs() if other != run_id]
    state.set_compared_runs([*others, run_id] if state.widget_value(f"kd-pick-{run_id}") else others)


def _draw_comparison(runs: list[RunRow]) -> None:
    curves = [_curves(run) for run in runs]
    shown = [by_arm[arm] for by_arm in curves for arm in comparison_charts.SHOWN_ARMS if arm in by_arm]
    if any(curve.mean for curve in shown):
        arms = "".join(
            f"<span>{tables.arm_mark(arm)}{formats.arm_name(arm)}</span>" for arm in comparison_charts.SHOWN_ARMS
        )
        lines = "".join(
            f"<span>{comparison_charts.letter_html(index)}{comparison_charts.dash_html(index)}</span>"
            for index in range(len(runs))
        )
        st.html(f'<div class="kd-legend">{arms}{lines}</div>')
        words = comparison_charts.overlay_words(curves)
        ids = "-".join(run.id for run in runs)
        page_parts.draw_chart(comparison_charts.overlaid_curves, curves, ids, key="kd-overlay", alt=words)
        st.caption(_("Accuracy on the validation pictures, mean over the seeds."))
    comparison = compare(runs)
    st.html(comparison_table.comparison_html(comparison, _("What differs between the chosen runs")))
    for note in comparison_table.comparison_notes(comparison):
        st.caption(note)


def _curves(run: RunRow) -> dict[str, Curve]:
    if run.done:
        return cached.finished_curves(run.id, run.attempts, run.status)
    return cached.latest_curves(run.id)
