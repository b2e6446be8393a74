"""Draws the Model cards page: the list of cards, and one card in full."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from kdcore.errors import KdError
from kdcore.teachers import card_facts
from pages.ui.engine import cache
from pages.ui.frame import page_parts
from pages.ui.frame.page_parts import paragraph
from pages.ui.frame.shell import link
from pages.ui.kit import look, reliability_chart
from pages.ui.kit.formats import no_break_percent
from pages.ui.model_cards import views
from pages.ui.model_cards import words as model_card_words
from pages.ui.pictures import pickers
from pages.ui.session import state
from pages.ui.session.i18n import _

if TYPE_CHECKING:
    from kdcore.teachers.card import ModelCard
    from kdcore.teachers.mistakes import MistakeSummary


def style() -> None:
    """Add the style sheet of this page, and the gallery's, which the wrong answers use."""
    st.html(look.style_html(look.GALLERY_CSS, Path(__file__).with_name("cards.css")))


def pick_card() -> ModelCard | None:
    """Draw the list of all cards and return the chosen one; the URL parameter is `model`. None if there is no card."""
    cards = {card.name: card for card in views.in_order(cache.model_cards())}
    for name in cache.damaged_card_files():
        st.warning(_("{name} is damaged and left out; train or fetch that model again.").format(name=name))
    if not cards:
        return None
    names = list(cards)
    if state.widget_value("model_pick") not in cards:
        state.set_widget("model_pick", state.choice(views.MODEL_KEY, names))
    chosen = st.radio(
        _("Model"),
        names,
        format_func=lambda name: f"**{name}**",
        captions=[views.row_caption(card) for card in cards.values()],
        label_visibility="collapsed",
        key="model_pick",
        on_change=state.on_choice,
        args=(views.MODEL_KEY, "model_pick", names),
    )
    state.set_choice(views.MODEL_KEY, chosen, names)
    return cards[chosen]


def show_card(card: ModelCard | None) -> None:
    """Draw one card in full, from what the network knows to how to train it again. What a card lacks is left out."""
    if card is None:
        st.info(_("No model card is on this machine yet; train a teacher: kdcore teachers train creatures"))
        return
    gain = card_facts.gain(card, cache.model_cards())
    st.subheader(card.name, anchor=False)
    st.html(paragraph(model_card_words.lead(card), "kd-lead"))
    st.html(views.readouts_html(views.readouts(card, gain)))
    if note := model_card_words.figures_note(card, gain):
        st.html(paragraph(note, "kd-what"))
    st.html(views.facts_html(card))
    with st.container(key="kd_card_next", horizontal=True, gap="small", vertical_alignment="center"):
        if card.role == "teacher":
            source = pickers.FITTING_SOURCE.get(card.dataset, "upload")
            link("soft_labels", _("Show it a picture"), source=source, teacher=card.name)
        st.download_button(
            _("Download this card (JSON)"), views.download(card), f"{card.name}.json", "application/json",
            key="card_download", icon=":material/download:",
        )  # fmt: skip
    _superclass_accuracies(card)
    mistakes = _weaknesses(card)
    _calibration(card, mistakes)
    _training_recipe(card)


def _superclass_accuracies(card: ModelCard) -> None:
    """Draw the accuracy for each superclass, and the mean soft labels of a chosen one."""
    shares, soft_labels = card_facts.by_superclass(card), card_facts.mean_soft_labels(card)
    if not shares:
        return
    st.subheader(_("What is it good at?"), anchor=False)
    left, right = st.columns((1.25, 1), gap="large") if soft_labels else (st.container(), None)
    with left:
        st.html(views.shares_html(shares, card.role, _("Test pictures right, by kind")))
        st.caption(_("Right: the kind with the largest sum of soft labels at T\u00a0=\u00a01 is the true one. "
                     "The line at the end of a bar is its 95\u00a0% interval (Wilson, n test pictures)."))  # fmt: skip
        if sizes := views.by_size(card):
            st.html(views.shares_html(sizes, card.role, _("Test pictures right, by the size of their class")))
            st.caption(_("Large classes have many training pictures, small ones few."))
    if right is None:
        return
    with right:
        names = sorted(soft_labels, key=lambda name: (name != "wolf", name))  # the wolf is the app's example
        name = st.selectbox(
            _("What it sees in the test pictures of"), names, key=f"card_sees_{card.name}", persist_state="session",
        )  # fmt: skip
        mean = soft_labels[name]
        st.html(views.mean_soft_label_html(mean, card.role))
        if mean.n:
            text = _("Mean soft label of {n} test pictures at T\u00a0=\u00a01, by kind.")
            st.caption(text.format(n=f"{mean.n:,}"))


def _weaknesses(card: ModelCard) -> MistakeSummary | None:
    """Draw what is known about the network's errors, with pictures if those of the dataset may be shown.

    Returns:
        The network's answers to the test pictures; None if they were not looked at.
    """
    with_pictures = card.dataset in views.DATASETS_WITH_PICTURES
    paragraphs = [card.notes, model_card_words.none_of_these(card)]
    if not with_pictures:
        paragraphs.append(model_card_words.weakest(card_facts.by_superclass(card)))
    if not with_pictures and not any(paragraphs):
        return None
    st.subheader(_("Which pictures does it get wrong?") if with_pictures else _("Where is it weak?"), anchor=False)
    for words in filter(None, paragraphs):
        st.html(paragraph(words, "kd-lead"))
    if not with_pictures:
        st.caption(_("The pictures of {dataset} belong to others, so none is shown here.").format(dataset=card.dataset))
        return None
    try:
        with st.spinner(_("{name} looks at the test pictures…").format(name=card.name)):
            mistakes = cache.test_mistakes(card.name)
    except KdError as error:
        st.error(str(error))
        return None
    weakest = model_card_words.weakest(views.by_class(mistakes)) if mistakes.wrong > 1 else ""
    st.html(paragraph(f"{model_card_words.mistakes_sentence(mistakes)} {weakest}", "kd-lead"))
    if mistakes.most_confident:
        st.html(paragraph(model_card_words.surest_sentence(mistakes), "kd-lead"))
        st.html(views.mistakes_html(mistakes, card.role))
    return mistakes


def _calibration(card: ModelCard, mistakes: MistakeSummary | None) -> None:
    st.subheader(_("Does it know how sure to be?"), anchor=False)
    st.html(paragraph(model_card_words.calibration(card), "kd-lead"))
    if mistakes is not None:
        words = model_card_words.reliability_caption(mistakes)
        bins = {card.role: mistakes.bins}
        page_parts.draw_chart(reliability_chart.reliability_diagram, bins, key="kd-card-reliability", alt=words)
        st.caption(no_break_percent(f"{words} {reliability_chart.groups_note(mistakes.bins)}"))


def _training_recipe(card: ModelCard) -> None:
    st.subheader(_("How is it made again?"), anchor=False)
    words = model_card_words.recipe(card)
    if words:
        st.html(paragraph(words, "kd-lead"))
    if card.command:
        st.code(card.command, language="bash")
    if card.recipe:
        with st.expander(_("All settings"), expanded=not words, key="card_settings"):
            st.html(views.settings_html(card.recipe))
