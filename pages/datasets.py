"""The Datasets page: the datasets of this machine, those that can be downloaded, and the visitor's own pictures."""

from __future__ import annotations

import streamlit as st

from pages.ui import dataset_panels, run_panels
from pages.ui.i18n import _
from pages.ui.shell import open_page, page_title

open_page("datasets")
run_panels.style()
dataset_panels.style()
page_title(_("What is there to learn from?"))

with run_panels.one_sentence():
    choices, whole = st.columns((1, 2.6), gap="large")
    with choices:
        chosen = dataset_panels.pick_dataset()
        dataset_panels.own_data()
    with whole, st.container(key="kd_dataset"):
        dataset_panels.show_dataset(chosen)
