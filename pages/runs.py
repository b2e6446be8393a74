"""The Runs page: the runs of this machine and their results."""

from __future__ import annotations

import streamlit as st

from kdcore.reports.selection import select
from pages.ui.frame import page_parts
from pages.ui.frame.shell import link, open_page, page_title
from pages.ui.run import controls
from pages.ui.runs import actions, comparison_panel, filter, list
from pages.ui.session.i18n import _

open_page("runs")
page_parts.style()
page_title(_("Past runs"))

opened = None
with page_parts.errors_as_sentences():
    actions.undo_bar()
    opened = list.opened_run()
    if opened is None:
        controls.show_refusal()

with page_parts.errors_as_sentences():
    runs = list.visible_runs()
    if runs or opened is not None:
        selection = filter.run_filter(runs)
        chosen = select(runs, selection)
        comparison_panel.draw_run_comparison(comparison_panel.chosen_runs())
        list.draw_run_list(chosen, selection, opened, sorted({tag for run in runs for tag in run.tags}))
        if runs and not chosen:
            st.html(page_parts.paragraph(_("No run matches these filters."), "kd-lead"))
            st.button(_("Show all"), key="kd-show-all", on_click=filter.clear_filter)
    else:
        st.html(page_parts.paragraph(_("No run yet. A first one takes about a minute."), "kd-lead"))
        link("distil", _("Train two students"), primary=True)
    actions.deleted_runs(list.visitor())
