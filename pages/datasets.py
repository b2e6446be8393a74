"""The Datasets page: the datasets of this machine, those that can be downloaded, and the visitor's own pictures."""

from __future__ import annotations

import streamlit as st

from pages.ui.datasets import panels
from pages.ui.frame import page_parts
from pages.ui.frame.shell import open_page, page_title
from pages.ui.session.i18n import _

open_page("datasets")
page_parts.style()
panels.style()
page_title(_("What is there to learn from?"))

with page_parts.errors_as_sentences():
    list_column, detail_column = st.columns((1, 2.6), gap="large")
    with list_column:
        chosen = panels.pick_dataset()
        panels.own_data_form()
    with detail_column, st.container(key="kd_dataset"):
        panels.show_dataset(chosen)
