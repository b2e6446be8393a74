"""The explanation on the Distil page before the first run: one picture, and the labels that each student gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.ui.frame.page_parts import TeacherMissing, paragraph
from pages.ui.kit import bars, formats, settings_words, tables
from pages.ui.pictures import cached
from pages.ui.pictures.example import Example
from pages.ui.session.i18n import _

if TYPE_CHECKING:
    from kdcore.settings.config import RunConfig


def draw_explanation(config: RunConfig) -> None:
    """Draw what the Start button does, and how the two students of a pair differ, shown on one example picture."""
    lead = _(
        "Start trains {seeds} pairs of students. Both students of a pair begin with the same weights, see the same "
        "{labels} pictures in the same order, and learn for {epochs} epochs. Only what they are told differs:"
    ).format(seeds=len(config.seeds), labels=formats.format_count(config.labels), epochs=config.epochs)
    st.html(paragraph(lead, "kd-lead"))
    try:
        with st.spinner(_("Reading the pictures of {name}").format(name=config.dataset)):
            example = cached.hesitant_example(config.dataset, config.teacher)
        _draw_labels(config, example)
    except TeacherMissing as error:
        st.info(str(error), icon=":material/school:")
    if more := settings_words.extra_arms_sentence(config.to_json()):
        st.html(paragraph(more, "kd-lead"))
    st.html(paragraph(explanation(config.dataset == "creatures"), "kd-lead"))


def _draw_labels(config: RunConfig, example: Example) -> None:
    """Draw the example picture and, beside it, the labels that the baseline and the distilled student learn from."""
    settings = config.to_json()
    picture, hard, soft = st.columns((0.66, 1, 1), gap="medium")
    name = example.class_names[example.hard_label]
    with picture, st.container(key="kd-picture"):
        caption = formats.as_markdown(_("Really a {name}").format(name=name))
        st.image(example.picture, caption=caption, width="stretch")
    with hard:
        _draw_bars("baseline", _("is told the hard label"), example, example.hard_label_shares())
    with soft:
        if words := settings_words.label_note(settings):
            _draw_bars("distilled", words, example, _distilled_labels(config, example))
        else:
            st.html(f'<p class="kd-told">{tables.arm_mark("distilled")}<b>{formats.arm_name("distilled")}</b></p>')
            st.html(paragraph(settings_words.method_sentence(config.method), "kd-lead"))
    if note := settings_words.weight_note(settings):
        st.caption(formats.no_break_percent(note))


def _distilled_labels(config: RunConfig, example: Example) -> list[float]:
    """Return the probabilities that the distilled student learns for this picture, one per row of the example; they sum
    to 1.

    They are smoothed hard labels for a method that learns without a teacher, else the teacher's soft labels.
    """
    from kdcore.methods.registry import find_method  # loads torch, which takes seconds

    method = find_method(config.method)
    if method.smoothing:
        return example.smoothed(float(dict(config.parameters)[method.smoothing]))
    return example.soft_labels(config.temperature, standardised=method.standardised)


def _draw_bars(arm: str, label_source: str, example: Example, shares: list[float]) -> None:
    st.html(f'<p class="kd-told">{tables.arm_mark(arm)}<b>{formats.arm_name(arm)}</b> {label_source}</p>')
    words = formats.probabilities_caption(example.class_names, shares)
    st.html(bars.bars(arm, example.class_names, shares, words, others=example.has_others))


def explanation(has_posterior: bool) -> str:
    """Say what the visitor will see after pressing Start.

    Args:
        has_posterior: whether the dataset's true posterior is known, from which a third student then learns.
    """
    text = _(
        "You watch both learn, live on this machine. At the end all of them face test pictures that none has seen, "
        "and one sentence says which is better, by how much, and how sure that is."
    )
    if has_posterior:
        text += " " + _("A third student is taught by the true posterior: the best teacher there can be.")
    return text
