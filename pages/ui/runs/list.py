"""The list of past runs: one row per run, and one of them opened in its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from kdcore.store import RunDeleted
from pages.ui.engine import cache
from pages.ui.frame import page_parts
from pages.ui.frame.shell import link
from pages.ui.kit import formats, settings_words, tables
from pages.ui.run import controls, panels, sentences
from pages.ui.runs import actions, comparison_panel
from pages.ui.session import browser, state
from pages.ui.session.i18n import _

if TYPE_CHECKING:
    from kdcore.reports.selection import Selection
    from kdcore.store import RunRow

# Runs shown at a time: each needs a dozen elements, and hundreds of runs would take seconds to draw.
RUNS_PER_SCREEN = 15
MAX_LISTED = 500  # newest runs that are read from the store and filtered
WIDTHS = (0.75, 1.15, 2.7, 3.1, 0.9)


def visitor() -> str | None:
    """Return whose runs are listed: this visitor's id, or None (all runs) for the person at the machine."""
    return None if browser.is_local() else browser.visitor_id()


def visible_runs() -> list[RunRow]:
    """Return the runs that this visitor may see without a link, newest first."""
    return cache.store().list_runs(visitor=visitor(), limit=MAX_LISTED, whole_results=False)


def opened_run() -> RunRow | None:
    """Return the run that the URL opens; None when it names none.

    For a deleted run the result is None too; an error message and, for its owner, a Restore button are drawn.

    Raises:
        RunNotFound: no run has this id.
    """
    try:
        return panels.run_in_url()
    except RunDeleted as error:
        st.error(str(error))
        actions.offer_restore(state.run_id() or "")
        return None


def draw_run_list(runs: Sequence[RunRow], selection: Selection, opened: RunRow | None, known_tags: list[str]) -> None:
    """Draw one row per run: date and status, settings, outcome. The opened run is drawn in full below its row.

    Args:
        runs: those that passed the filter, in the chosen order; at most `RUNS_PER_SCREEN` of them are drawn at a time.
        selection: the filter; when it changes, the list starts again at its first run.
        opened: the run that the URL opens. It is drawn even if it is not among the runs shown.
        known_tags: tags of other runs, offered as suggestions.
    """
    kept = state.kept("runs_first")
    first = kept[1] if isinstance(kept, tuple) and kept[0] == selection and kept[1] < len(runs) else 0
    state.keep("runs_first", (selection, first))  # a changed filter starts at the first run
    shown = list(runs[first : first + RUNS_PER_SCREEN])
    if opened is not None and opened.id not in {run.id for run in shown}:
        shown = [opened, *shown]  # the link opened another visitor's run, or one that is not among those shown
    compared = {run_id: index for index, run_id in enumerate(state.compared_runs()[: comparison_panel.MAX_COMPARED])}
    for run in shown:
        is_opened = opened is not None and run.id == opened.id
        with st.container(key=f"kd-run-{run.id}"):
            _draw_row(run, is_opened, compared)
            if opened is not None and is_opened:
                _draw_opened(opened, known_tags)  # unlike the rows of the list, it has its whole result
    if len(runs) > RUNS_PER_SCREEN:
        _screen_buttons(selection, first, len(runs))


def _screen_buttons(selection: Selection, first: int, count: int) -> None:
    """Draw which runs of the list are shown, and the buttons to the runs before and after them."""
    with st.container(horizontal=True, vertical_alignment="center", key="kd-turn"):
        for name, key, to in (
            (_("Back"), "kd-back", first - RUNS_PER_SCREEN),
            (_("More runs"), "kd-more", first + RUNS_PER_SCREEN),
        ):
            out = not 0 <= to < count
            st.button(name, key=key, on_click=state.keep, args=("runs_first", (selection, to)), disabled=out)
        text = _("{first} to {last} of {count} runs").format(
            first=first + 1, last=min(count, first + RUNS_PER_SCREEN), count=count
        )
        st.html(page_parts.paragraph(text, "kd-what"), width="content")


def _draw_row(run: RunRow, is_opened: bool, compared: dict[str, int]) -> None:
    choice, when, what, outcome, button = st.columns(WIDTHS, vertical_alignment="center", gap="small")
    with choice:
        comparison_panel.comparison_box(run, compared)
    when.html(tables.status_html(run.status, sentences.status_name(run.status), formats.format_when(run.created)))
    tags = "" if is_opened else actions.tag_html(run.tags)
    what.html(page_parts.paragraph(settings_words.config_sentence(run.config), "kd-what") + tags)
    outcome.html(page_parts.paragraph(sentences.short_outcome(run.status, run.result), "kd-what"))
    button.button(
        _("Close") if is_opened else _("Open"), key=f"kd-open-{run.id}", on_click=_toggle,
        args=(None if is_opened else run.id,), width="stretch",
    )  # fmt: skip


def _toggle(run_id: str | None) -> None:
    actions.forget_undo()
    state.set_run_id(run_id)


def _draw_opened(run: RunRow, known_tags: list[str]) -> None:
    """Draw the opened run in full: its actions, curves, result and settings, and links to other pages."""
    with st.container(key="kd-opened"):
        controls.show_refusal()
        actions.draw_actions(run, known_tags)
        panels.show_run(run, settings=False)
        st.html(tables.facts_html([*settings_words.config_facts(run.config), (_("Run"), run.id)]))
        with st.container(horizontal=True):
            link("distil", _("Open on the Distil page"), primary=True)
            if run.result is not None:
                link("compare", _("Compare speed, size and answers"))
            if run.parent is not None:
                parent = _("Repeats run {id} with a change").format(id=run.parent)
                st.button(parent, key="kd-parent", on_click=_toggle, args=(run.parent,), type="tertiary")
