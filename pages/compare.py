"""The Compare page: teacher, distilled and baseline by quality, speed and size, and one further topic at a time."""

from __future__ import annotations

import streamlit as st

from pages.ui.compare import panels, sections, speed
from pages.ui.frame import page_parts
from pages.ui.frame.shell import link, open_page, page_title
from pages.ui.session.i18n import _

open_page("compare")
page_parts.style()
page_title(_("How good is the small one?"))

with page_parts.errors_as_sentences():
    trio = panels.choose_trio()
    st.html(page_parts.paragraph(trio.source, "kd-lead"))
    left, right = st.columns((1.15, 1), gap="large")
    with left:
        speed.draw_figures(trio)
    with right:
        speed.draw_tradeoff(trio)
        measurement = st.container(key="kd-latency")
    section = sections.pick_section()
    with st.container(key="kd-section"):
        sections.draw_section(section, trio)
    link("distil", _("Train two students of your own"))
    with measurement:  # run last: the measurement takes seconds, and the rest should not wait for it
        speed.draw_or_measure(trio, sections.batch_sizes(section))
