"""The Own classes page: a visitor's own pictures teach a teacher, which teaches a student, on this machine."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pages.ui.frame import page_parts
from pages.ui.frame.shell import open_page, page_title
from pages.ui.kit import look
from pages.ui.own_classes import collect_panels, run_panels, teaching, words
from pages.ui.session import browser
from pages.ui.session.i18n import _

open_page("own_classes", uploads_kept=collect_panels.UPLOADS_KEPT)
page_parts.style()
st.html(look.style_html(Path(collect_panels.__file__).with_name("own_classes.css")))
page_title(_("Teach it your own classes"))

run = None
with page_parts.errors_as_sentences():
    run = run_panels.own_run()

with st.container(key="kd_own_lead"):
    st.html(page_parts.paragraph(" ".join(words.lesson_sentences()), "kd-lead"))
with page_parts.errors_as_sentences():
    if run is not None:
        run_panels.draw_run(run)
    elif browser.is_local():
        extra_place = collect_panels.draw_collection()
        teaching.draw_teaching(extra_place)
    else:
        st.info(words.not_local_sentence(), icon=":material/computer:")
