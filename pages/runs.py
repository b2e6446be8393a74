"""The Runs page: the runs of this machine and their results."""

from __future__ import annotations

import streamlit as st

from kdcore.reports.selection import select
from pages.ui import run_actions, run_compare, run_filter, run_list, run_panels
from pages.ui.i18n import _
from pages.ui.shell import link, open_page, page_title

open_page("runs")
run_panels.style()
page_title(_("Past runs"))

opened = None
with run_panels.one_sentence():
    run_actions.undo_bar()
    opened = run_list.opened_run()
    if opened is None:
        run_actions.say_refusal()

with run_panels.one_sentence():
    runs = run_list.visible_runs()
    if runs or opened is not None:
        selection = run_filter.run_filter(runs)
        chosen = select(runs, selection)
        run_compare.comparison(run_compare.chosen_runs())
        run_list.run_list(chosen, selection, opened, sorted({tag for run in runs for tag in run.tags}))
        if runs and not chosen:
            st.html(run_panels.paragraph(_("No run matches these filters."), "kd-lead"))
            st.button(_("Show all"), key="kd-show-all", on_click=run_filter.show_all)
    else:
        st.html(run_panels.paragraph(_("No run yet. A first one takes about a minute."), "kd-lead"))
        link("distil", _("Train two students"), primary=True)
    run_actions.deleted_runs(run_list.visitor())
