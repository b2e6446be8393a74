"""Cached calls to kdcore about published teachers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from pages.ui.teachers.offers import Offer


@st.cache_resource(show_spinner=False)
def published_offers() -> tuple[Offer, ...]:
    """Return the published teachers that can be downloaded, those already here included; imports torchvision."""
    from pages.ui.teachers import offers

    return offers.published_offers()
