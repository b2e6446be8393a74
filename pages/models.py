"""The Model cards page: for each network of this machine its classes, its quality, its mistakes and its recipe."""

from __future__ import annotations

import streamlit as st

from pages.ui.frame import page_parts
from pages.ui.frame.shell import open_page, page_title
from pages.ui.model_cards import panels
from pages.ui.session.i18n import _
from pages.ui.teachers import fetch_panel

open_page("models")
page_parts.style()
panels.style()
page_title(_("What does each network know?"))

with page_parts.errors_as_sentences():
    list_column, detail_column = st.columns((1, 3), gap="large")
    with list_column:
        chosen = panels.pick_card()
    with detail_column, st.container(key="kd_card"):
        panels.show_card(chosen)
    with list_column:  # run last, because nothing after it is drawn while a download runs
        fetch_panel.offer_published()
