"""The Model cards page: for each network of this machine its classes, its quality, its mistakes and its recipe."""

from __future__ import annotations

import streamlit as st

from pages.ui import card_panels, run_panels, teacher_fetch
from pages.ui.i18n import _
from pages.ui.shell import open_page, page_title

open_page("models")
run_panels.style()
card_panels.style()
page_title(_("What does each network know?"))

with run_panels.one_sentence():
    choices, whole = st.columns((1, 3), gap="large")
    with choices:
        chosen = card_panels.pick_card()
    with whole, st.container(key="kd_card"):
        card_panels.show_card(chosen)
    with choices:  # run last, because nothing after it is drawn while a download runs
        teacher_fetch.offer_published()
