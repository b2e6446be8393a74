"""Draws, when the visitor asks for it, which places of a picture speak for the chosen class and for the runner-up."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import streamlit as st

from pages.ui.kit import look
from pages.ui.pictures import cached, occlusion_view
from pages.ui.pictures.instrument_model import MAX_UNDIVIDED_ROWS
from pages.ui.session.i18n import _, language

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamlit.delta_generator import DeltaGenerator

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
    by_kind = len(card.class_names) > MAX_UNDIVIDED_ROWS
    with st.spinner(_("Covering one place after another, and asking the teacher each time…")):
        maps = cached.occlusion(card.name, png, by_kind=by_kind)
    with st.container(key="kd_where"):
        st.html(occlusion_view.style())
        columns = st.columns(min(NUM_MAPS, len(maps.groups)), gap="medium", width=820)
        chosen = _pick_groups(maps, columns, f"{card.name}_{hashlib.sha256(png).hexdigest()[:16]}")
        scale = occlusion_view.common_scale(maps, chosen)
        for column, name in zip(columns, chosen, strict=True):
            view = cached.occlusion_map(card.name, png, name, scale, language(), by_kind=by_kind)
            column.html(occlusion_view.map_html(view))
        st.html(occlusion_view.legend_html(scale))
        st.caption(occlusion_view.limits_text())


def _pick_groups(maps: OcclusionMaps, columns: Sequence[DeltaGenerator], key: str) -> list[str]:
    """Let the visitor choose a class, or kind, in each column, and return the choices.

    Args:
        key: belongs to this picture and teacher, so that another picture starts with its own likeliest classes.
    """
    shares = dict(occlusion_view.ranked_groups(maps))
    labels = [_("What speaks for"), *[_("And what speaks for")] * (len(columns) - 1)]
    return [
        column.selectbox(
            label, list(shares), number, key=f"where_{number}_{key}",
            format_func=lambda name: f"{name}, {look.percent(shares[name])}",
        )
        for number, (column, label) in enumerate(zip(columns, labels, strict=True))
    ]  # fmt: skip
