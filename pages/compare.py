"""Compare: teacher, distilled and baseline by quality, speed and size, and on the visitor's own picture."""

from __future__ import annotations

import streamlit as st

from pages.ui import compare_panels, run_panels
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
        compare_panels.figures(trio)
    with right:
        compare_panels.tradeoff(trio)
        measurement = st.container(key="kd-latency")
    st.subheader(_("One picture, three answers"))
    compare_panels.own_picture(trio)
    link("distil", _("Train two students of your own"))
    with measurement:  # last, because it takes a few seconds and the rest need not wait
        compare_panels.speed(trio)
