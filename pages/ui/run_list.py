"""The list of past runs, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.ui import cache, run_panels, state, tables
from pages.ui import sentences as say
from pages.ui import viewmodels as vm
from pages.ui.i18n import _, ngettext
from pages.ui.shell import link

if TYPE_CHECKING:
    from kdcore.store import RunRow

FEW = 12  # runs before "Show more"
WIDTHS = (1.1, 2.6, 3.2, 0.9)


def visible_runs() -> list[RunRow]:
    """This visitor's runs; all of them for the person at the machine."""
    visitor = None if state.is_local() else state.visitor_id()
    return cache.store().list_runs(visitor=visitor)


def run_list(runs: list[RunRow], opened: RunRow | None) -> None:
    """A row a run: when and how it is, what was trained, what came out; an opened one is whole, in its place."""
    shown = runs if state.kept("all_runs") else runs[:FEW]
    if opened is not None and opened.id not in {run.id for run in shown}:
        shown = [opened, *shown]  # a link to another visitor's run, or to an old one
    for run in shown:
        whole = opened is not None and run.id == opened.id
        with st.container(key=f"kd-run-{run.id}"):
            _row(run, whole)
            if whole:
                _open(run)
    left = len(runs) - len(shown)
    if left > 0:
        more = ngettext("Show {n} more", "Show {n} more", left).format(n=left)
        st.button(more, key="kd-more", on_click=state.keep, args=("all_runs", True))


def _row(run: RunRow, whole: bool) -> None:
    when, what, outcome, button = st.columns(WIDTHS, vertical_alignment="center", gap="medium")
    when.html(tables.status_html(run.status, say.status_name(run.status), vm.format_when(run.created)))
    what.html(run_panels.paragraph(say.config_sentence(run.config), "kd-what"))
    outcome.html(run_panels.paragraph(say.short_outcome(run.status, run.result), "kd-what"))
    button.button(
        _("Close") if whole else _("Open"), key=f"kd-open-{run.id}", on_click=state.set_run_id,
        args=(None if whole else run.id,), width="stretch",
    )  # fmt: skip


def _open(run: RunRow) -> None:
    """How it ended, its curves, its settings, and where to go with it."""
    with st.container(key="kd-opened"):
        run_panels.show_run(run, settings=False)
        st.html(tables.facts_html([*say.config_facts(run.config), (_("Run"), run.id)]))
        with st.container(horizontal=True):
            link("distil", _("Open on the Distil page"), primary=True)
            if run.result is not None:
                link("compare", _("Compare speed, size and answers"))
