"""Cached calls to kdcore about published teachers."""

from __future__ import annotations

import streamlit as st

from pages.ui.teachers import offers


@st.cache_resource(show_spinner=False)
def published_offers() -> tuple[offers.Offer, ...]:
    """Return all published teachers, those on this machine included; the first call imports torchvision."""
    return offers.published_offers()
