"""Draws the gallery of differing test pictures, with the choice of group, temperature and number of cards."""

from __future__ import annotations

import streamlit as st

from kdcore.teachers.answers import MOST_PICTURES, PICTURE_GROUPS, PictureAnswers
from pages.ui.compare import gallery as compare_gallery
from pages.ui.compare.trio import Trio
from pages.ui.frame.page_parts import paragraph
from pages.ui.kit.formats import format_count
from pages.ui.session import state
from pages.ui.session.i18n import _

CARDS_PER_PAGE = 12
TEMPERATURES = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 20.0)


@st.fragment
def draw_gallery(trio: Trio, answers: PictureAnswers) -> None:
    """Draw the cards of the chosen group, and above them the number of pictures of every group."""
    st.html(paragraph(compare_gallery.counts_sentence(answers), "kd-lead"))
    groups = {group.key: group for group in compare_gallery.difference_groups(answers)}
    chosen = st.segmented_control(
        _("Show"), PICTURE_GROUPS, default=PICTURE_GROUPS[0], required=True,
        format_func=lambda key: f"{groups[key].title} ({format_count(groups[key].count)})",
        key="gallery_group", persist_state="session",
    )  # fmt: skip
    offered = sorted({*TEMPERATURES, trio.temperature})
    temperature = st.select_slider(
        _("Temperature of the soft labels"), offered, value=trio.temperature, key=f"gallery_t_{trio.key}",
        format_func=lambda value: f"T = {value:g}", width=360,
    )  # fmt: skip
    slot = f"gallery_{trio.key}_{chosen}"
    kept = state.kept(slot)
    count = kept if isinstance(kept, int) else CARDS_PER_PAGE
    cards = compare_gallery.picture_cards(answers, chosen, count, temperature)
    if not cards:
        st.info(_("There is no such picture among the test pictures."))
        return
    st.html(compare_gallery.cards_html(cards))
    total = groups[chosen].count
    st.caption(_("{n} of {all}, the most telling first: by the probability of the true class.").format(
        n=len(cards), all=format_count(total)
    ))  # fmt: skip
    if count < min(total, MOST_PICTURES):
        st.button(_("Show more"), key="kd-more", on_click=state.keep, args=(slot, count + CARDS_PER_PAGE))
