"""The Compare page's section on which classes are similar according to a network's soft labels: a table and a tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.ui.compare import class_tree as compare_class_tree
from pages.ui.compare.trio import Trio
from pages.ui.frame.page_parts import draw_chart, paragraph
from pages.ui.kit import formats
from pages.ui.session.i18n import _

if TYPE_CHECKING:
    from kdcore.teachers.answers import PictureAnswers

MAX_TEMPERATURE = 20.0  # highest temperature on offer


def draw_similarity(trio: Trio, answers: PictureAnswers) -> None:
    """Draw the similarity of every two classes for a chosen network and temperature, and the tree of the classes.

    Args:
        answers: the answers of the three networks to the test pictures.

    Raises:
        ConfigError: a class has no test picture.
    """
    from kdcore.metrics.class_similarity import class_similarity, class_tree  # loads torch, which takes seconds

    arm_column, temperature_column = st.columns((1, 1), gap="large", vertical_alignment="bottom")
    with arm_column:
        arm = st.segmented_control(
            _("Whose answers"), list(trio.arms), default="teacher", required=True, key="likeness_arm",
            format_func=formats.arm_name, label_visibility="collapsed", persist_state="session",
        )  # fmt: skip
    with temperature_column:
        temperature = st.slider(
            _("Temperature"), 1.0, MAX_TEMPERATURE, min(MAX_TEMPERATURE, max(1.0, trio.temperature)), 0.5, format="%g",
            key="likeness_t", persist_state="session",
        )  # fmt: skip
    similarity = class_similarity(answers.logits[arm].float(), answers.hard_labels, temperature)
    tree, shares = class_tree(similarity), similarity.tolist()
    words = compare_class_tree.similarity_words(shares, tree, trio.class_names, arm, temperature)
    small = len(trio.class_names) <= compare_class_tree.MOST_IN_TABLE
    table, drawing = st.columns((1.25, 1), gap="large") if small else (None, st.container())
    if table is not None:
        caption = _("How alike the classes are, {arm}").format(arm=formats.arm_name(arm))
        with table:
            st.html(compare_class_tree.similarity_html(shares, tree, trio.class_names, arm, caption))
    with drawing:
        draw_chart(compare_class_tree.class_tree_chart, tree, trio.class_names, arm, key="kd-tree", alt=words)
    st.html(paragraph(words, "kd-lead"))
    st.caption(
        _("Two classes are as alike as the mean soft labels of their test pictures overlap (Bhattacharyya's "
          "coefficient, in percent; the lightest cell is the least alike). The tree joins the likest first, by the "
          "mean distance of their members.")
    )  # fmt: skip
