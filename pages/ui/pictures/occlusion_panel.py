"""Draws, when the visitor asks for it, which places of a picture speak for the chosen class and for the runner-up."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import streamlit as st

from pages.ui.kit import look
from pages.ui.pictures import cached, occlusion_view
from pages.ui.pictures.instrument_model import MAX_UNDIVIDED_ROWS
from pages.ui.session.i18n import _

if TYPE_CHECKING:
    from kdcore.teachers.card import ModelCard
    from kdcore.teachers.occlusion import OcclusionMaps

ASKED_KEY = "where"  # key in the URL
NUM_MAPS = 2


def show_where_it_looks(card: ModelCard, png: bytes) -> None:
    """Draw the switch, and below it the maps of two classes, or kinds, once it is on; nothing is computed before.

    Args:
        card: of the teacher.
        png: the picture.
    """
    if not st.toggle(_("Where does it look?"), key=ASKED_KEY, bind="query-params"):
        return
    with st.spinner(_("Covering one place after another, and asking the teacher each time…")):
        maps = cached.occlusion(card.name, png, by_kind=len(card.class_names) > MAX_UNDIVIDED_ROWS)
    with st.container(key="kd_where"):
        st.html(occlusion_view.style())
        _draw_maps(maps, f"{card.name}_{hashlib.sha256(png).hexdigest()[:16]}")
        st.caption(occlusion_view.limits_text())


def _draw_maps(maps: OcclusionMaps, key: str) -> None:
    """Draw the maps side by side, each below the choice of its class, and their common scale.

    Args:
        key: belongs to this picture and teacher, so that another picture starts with its own two likeliest classes.
    """
    shares = dict(occlusion_view.ranked_groups(maps))
    names = list(shares)
    columns = st.columns(min(NUM_MAPS, len(names)), gap="medium", width=820)
    chosen = []
    for number, column in enumerate(columns):
        with column:
            label = _("What speaks for") if number == 0 else _("And what speaks for")
            name = st.selectbox(
                label, names, number, key=f"where_{number}_{key}",
                format_func=lambda name: f"{name}, {look.percent(shares[name])}",
            )  # fmt: skip
            chosen.append(name)
    scale = occlusion_view.common_scale(maps, chosen)
    for column, name in zip(columns, chosen, strict=True):
        with column:
            st.html(occlusion_view.map_html(occlusion_view.map_view(maps, name, scale)))
    st.html(occlusion_view.legend_html(scale))
