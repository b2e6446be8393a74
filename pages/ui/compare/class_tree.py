"""Which classes a network finds similar: a shaded table of similarities, and a tree of classes. Pure, no streamlit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from pages.ui.compare.heat_table import DEEPEST_SHADE, heat_cell, heat_table_html
from pages.ui.kit import look
from pages.ui.kit.chart_style import GRID, TEXT_STYLE, TextStyle, plain_text, style_figure
from pages.ui.kit.formats import arm_name, short_names
from pages.ui.session.i18n import _

if TYPE_CHECKING:
    from kdcore.metrics.class_similarity import ClassTree

MOST_IN_TABLE = 20  # classes; with more of them only the tree is drawn
MANY_CLASSES = 7  # with more classes than this the cells are narrow
NUM_NAMED_PAIRS = 3  # most similar pairs of classes that are named in words
MAX_FURTHEST = 6  # classes furthest from the rest that are named in words; more would not be read
LEAF_HEIGHT = 26  # pixels of height per class


def branches(tree: ClassTree) -> list[tuple[tuple[float, float, float, float], tuple[float, float, float, float]]]:
    """Return the drawing of each merge of the tree: the x and the y coordinates of the four corners of a bracket.

    x is the distance at which the branches join, y the row of the leaf: 0 for the first, which is on top, then -1, -2.
    """
    leaves = len(tree.order)
    ends = {leaf: (0.0, float(-index)) for index, leaf in enumerate(tree.order)}  # right end of each branch: x and y
    brackets = []
    for number, merge in enumerate(tree.merges):
        (left_x, left_y), (right_x, right_y) = ends[merge.left], ends[merge.right]
        brackets.append(((left_x, merge.distance, merge.distance, right_x), (left_y, left_y, right_y, right_y)))
        ends[leaves + number] = (merge.distance, (left_y + right_y) / 2)
    return brackets


def class_tree_chart(tree: ClassTree, class_names: Sequence[str], arm: str, text: TextStyle = TEXT_STYLE) -> go.Figure:
    """Draw the tree with its leaves in order from top to bottom; classes that join further left are more similar."""
    figure = go.Figure()
    colour = look.arm_colour(arm)
    xs: list[float | None] = []
    ys: list[float | None] = []
    for x, y in branches(tree):
        xs += [*x, None]  # None ends the line, so that the brackets are not joined
        ys += [*y, None]
    line = {"color": colour, "width": 2.2}
    figure.add_trace(go.Scatter(x=xs, y=ys, mode="lines", line=line, hoverinfo="skip"))
    furthest = max(merge.distance for merge in tree.merges)
    names = [plain_text(name) for name in short_names([class_names[leaf] for leaf in tree.order])]
    reach = [0, 1.04 * furthest or 1.0]
    places = [-index for index in range(len(names))]
    style_figure(
        figure, text, f"tree-{arm}", height=90 + LEAF_HEIGHT * len(tree.order), hovermode=False,
        xaxis={"title": _("distance of their soft labels"), "range": reach, "showgrid": True, "gridcolor": GRID},
        yaxis={"tickvals": places, "ticktext": names, "showgrid": False, "range": [0.6 - len(names), 0.6]},
    )  # fmt: skip
    return figure


def similarity_html(
    similarity: Sequence[Sequence[float]], tree: ClassTree, class_names: Sequence[str], arm: str, caption: str
) -> str:
    """Return the similarities as an HTML table in the order of the tree, so that similar classes form dark blocks.

    The lightest cell is the smallest similarity in the table, the darkest is 1. Every text is escaped.

    Args:
        similarity: of every two classes, [K][K], 0 to 1.
        arm: whose colour the cells have.
    """
    least = min(share for row in similarity for share in row)
    names = [class_names[leaf] for leaf in tree.order]
    cells = [
        [
            _cell(similarity[row][column], least, arm, f"{class_names[row]}, {class_names[column]}")
            for column in tree.order
        ]
        for row in tree.order
    ]
    return heat_table_html(names, names, cells, caption, narrow=len(names) > MANY_CLASSES)


def _cell(share: float, least: float, arm: str, pair: str) -> str:
    text = f"{100 * share:.0f}" if share >= 0.005 else ""
    above = (share - least) / (1 - least) if least < 1 else 1.0
    return heat_cell(look.arm_colour(arm), DEEPEST_SHADE * above, f"{pair}: {look.percent(share)}", text)


def most_similar_pairs(
    similarity: Sequence[Sequence[float]], class_names: Sequence[str]
) -> list[tuple[str, str, float]]:
    """Return the `NUM_NAMED_PAIRS` most similar pairs of classes with their similarity, the most similar first."""
    pairs = [(class_names[i], class_names[j], similarity[i][j]) for i in range(len(class_names)) for j in range(i)]
    return sorted(pairs, key=lambda pair: -pair[2])[:NUM_NAMED_PAIRS]


def similarity_words(
    similarity: Sequence[Sequence[float]], tree: ClassTree, class_names: Sequence[str], arm: str, temperature: float
) -> str:
    """Describe the tree in words: the most similar pairs, and the classes that join the rest last, if they are few."""
    text = _("For the {arm} at T = {t:g}, most alike: {pairs}.")
    pairs = ", ".join(
        _("{one} and {other} ({share})").format(one=earlier, other=later, share=look.percent(share))
        for later, earlier, share in most_similar_pairs(similarity, class_names)
    )
    words = text.format(arm=arm_name(arm), t=temperature, pairs=pairs)
    last = tree.merges[-1]
    smaller = min((_members(tree, branch) for branch in (last.left, last.right)), key=len)
    if len(class_names) > 2 and len(smaller) <= MAX_FURTHEST:
        names = ", ".join(class_names[leaf] for leaf in smaller)
        words += " " + _("Furthest from the rest: {names}.").format(names=names)
    return words


def _members(tree: ClassTree, branch: int) -> list[int]:
    leaves = len(tree.order)
    if branch < leaves:
        return [branch]
    merge = tree.merges[branch - leaves]
    return [*_members(tree, merge.left), *_members(tree, merge.right)]
