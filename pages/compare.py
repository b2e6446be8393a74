"""The Compare page: teacher, distilled and baseline by quality, speed and size, and one further topic at a time."""

from __future__ import annotations

import streamlit as st

from pages.ui import compare_panels, compare_sections, compare_speed, run_panels
from pages.ui.i18n import _
from pages.ui.shell import link, open_page, page_title

open_page("compare")
run_panels.style()
page_title(_("How good is the small one?"))

with run_panels.one_sentence():
    trio = compare_panels.choose_trio()
    st.html(run_panels.paragraph(trio.source, "kd-lead"))
    left, right = st.columns((1.15, 1), gap="large")
    with left:
        compare_speed.figures(trio)
    with right:
        compare_speed.tradeoff(trio)
        measurement = st.container(key="kd-latency")
    section = compare_sections.pick()
    with st.container(key="kd-section"):
        compare_sections.show(section, trio)
    link("distil", _("Train two students of your own"))
    with measurement:  # run last: the measurement takes seconds, and the rest should not wait for it
        compare_speed.speed(trio, compare_sections.batch_sizes(section))
