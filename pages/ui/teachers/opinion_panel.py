"""Panels around the instrument: the warning that a picture shows none of the classes, and an ensemble's members."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from kdcore.teachers.ensemble_names import parse_name
from pages.ui.kit.formats import as_markdown, no_break_percent
from pages.ui.session.i18n import _
from pages.ui.teachers import members, none_of_these

if TYPE_CHECKING:
    from kdcore.teachers.card import ModelCard
    from pages.ui.components.instrument import SliderPositions
    from pages.ui.pictures.scenes import Scene


def show_none_of_these_warning(card: ModelCard, scene: Scene) -> None:
    """Draw the warning if the picture probably shows none of the teacher's classes; draw nothing otherwise."""
    if warning := none_of_these.none_of_these_warning(card, scene.logits[0].tolist()):
        st.info(no_break_percent(warning), icon=":material/help:")


def show_members(card: ModelCard, scene: Scene, positions: SliderPositions) -> None:
    """Draw the soft labels of an ensemble's members and their average; draw nothing for a single teacher.

    Args:
        card: the card of the ensemble.
        scene: the picture, or the frames of a morph, with the members' answers.
        positions: the temperature and the frame that the visitor has set.
    """
    if not scene.members:
        return
    member_logits = [(name, logits[positions.frame]) for name, logits in scene.members]
    average = scene.logits[positions.frame]
    table = members.member_answers(card.class_names, member_logits, average, positions.temperature)
    with st.container(key="kd_members"):
        st.html(members.style())
        st.subheader(_("The members, and their average"), anchor=False)
        st.html(members.html(table))
        st.caption(as_markdown(members.sentence(table)))
        averaged_at = parse_name(card.name).temperature
        if averaged_at is not None and abs(averaged_at - positions.temperature) > 0.005:
            text = _(
                "The average is taken at T = {averaged:g} and shown at T = {shown:g}, so it is not the mean of the "
                "rows above it."
            )
            st.caption(text.format(averaged=averaged_at, shown=positions.temperature))
