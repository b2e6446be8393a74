"""The Distil page: trains the same small student with and without its teacher and shows both live, side by side."""

from __future__ import annotations

import streamlit as st

from pages.ui.frame import page_parts
from pages.ui.frame.shell import link, open_page, page_title
from pages.ui.kit import settings_words
from pages.ui.run import panels
from pages.ui.session import browser
from pages.ui.session.i18n import _
from pages.ui.settings_form import explain_panel, run_form

open_page("distil")
page_parts.style()
page_title(_("Does the teacher help?"))
lead = st.container()

run = None
with page_parts.errors_as_sentences():
    run = panels.run_in_url()

shown_config = run.config if run else run_form.method_and_vary()
lead.html(page_parts.paragraph(settings_words.pair_sentence(shown_config), "kd-lead"))

with st.container(key="kd_with_run" if run else "kd_without_run"):
    form_column, run_column = st.columns((1, 2.7), gap="large")

config = None
with form_column, page_parts.errors_as_sentences():
    config = run_form.run_form()
    busy = run is not None and not run.done and run.visitor == browser.visitor_id()
    if st.button(_("Start"), type="primary", key="kd-start", disabled=busy, width="stretch"):
        panels.start(config)
        st.rerun()

with run_column, page_parts.errors_as_sentences():
    if run is not None:
        panels.show_run(run)
        if run.result is not None:
            link("compare", _("Compare speed, size and answers"), primary=True)
    elif config is not None:
        explain_panel.draw_explanation(config)
