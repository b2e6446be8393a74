"""The Distil page: trains the same small student with and without its teacher and shows both live, side by side."""

from __future__ import annotations

import streamlit as st

from pages.ui import config_words, explain_panel, run_form, run_panels, state
from pages.ui.i18n import _
from pages.ui.shell import link, open_page, page_title

open_page("distil")
run_panels.style()
page_title(_("Does the teacher help?"))
lead = st.container()

run = None
with run_panels.one_sentence():
    run = run_panels.run_in_url()

lead.html(run_panels.paragraph(config_words.lead(run.config if run else run_form.asked()), "kd-lead"))

with st.container(key="kd_with_run" if run else "kd_without_run"):
    settings, stage = st.columns((1, 2.7), gap="large")

config = None
with settings, run_panels.one_sentence():
    config = run_form.run_form()
    busy = run is not None and not run.done and run.visitor == state.visitor_id()
    if st.button(_("Start"), type="primary", key="kd-start", disabled=busy, width="stretch"):
        run_panels.start(config)
        st.rerun()

with stage, run_panels.one_sentence():
    if run is not None:
        run_panels.show_run(run)
        if run.result is not None:
            link("compare", _("Compare speed, size and answers"), primary=True)
    elif config is not None:
        explain_panel.explain(config)
