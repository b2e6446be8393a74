"""Runs: what was trained on this machine, and what came out."""

from __future__ import annotations

import streamlit as st

from pages.ui import run_list, run_panels
from pages.ui.i18n import _
from pages.ui.shell import link, open_page, page_title

open_page("runs")
run_panels.style()
page_title(_("Past runs"))

opened = None
with run_panels.one_sentence():
    opened = run_panels.run_in_url()

with run_panels.one_sentence():
    runs = run_list.visible_runs()
    if runs or opened is not None:
        lead = _("Newest first. Open one to see its curves, its result and its settings.")
        st.html(run_panels.paragraph(lead, "kd-lead"))
        run_list.run_list(runs, opened)
    else:
        st.html(run_panels.paragraph(_("No run yet. A first one takes about a minute."), "kd-lead"))
        link("distil", _("Train two students"), primary=True)
