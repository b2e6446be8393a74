"""The drawn tree of classes: its brackets against coordinates worked out by hand, its leaves' order, its caption."""

from __future__ import annotations

import pytest

from kdcore.metrics.class_similarity import ClassTree, Merge
from pages.ui.compare import class_tree

TREE = ClassTree((3, 0, 2, 1), (Merge(0, 2, 0.1), Merge(3, 4, 0.4), Merge(5, 1, 0.7)))
NAMES = ("wolf", "<b>cat</b>", "dog", "fox")
SIMILARITY = [[1, 0.36, 0.99, 0.91], [0.36, 1, 0.64, 0.51], [0.99, 0.64, 1, 0.75], [0.91, 0.51, 0.75, 1]]


def test_brackets_join_where_their_branches_are() -> None:
    first, second, third = class_tree.branches(TREE)
    assert first == ((0.0, 0.1, 0.1, 0.0), (-1.0, -1.0, -2.0, -2.0))
    assert second == ((0.0, 0.4, 0.4, 0.1), (0.0, 0.0, -1.5, -1.5))
    assert third == ((0.4, 0.7, 0.7, 0.0), (-0.75, -0.75, -3.0, -3.0))


def test_the_chart_names_the_leaves_in_their_order() -> None:
    figure = class_tree.class_tree_chart(TREE, NAMES, "teacher")
    assert list(figure.layout.yaxis.ticktext) == ["fox", "wolf", "dog", "&lt;b&gt;cat&lt;/b&gt;"]
    assert list(figure.layout.yaxis.tickvals) == [0, -1, -2, -3]
    (line,) = figure.data
    assert [x for x in line.x if x is not None] == [x for xs, _ys in class_tree.branches(TREE) for x in xs]
    assert figure.layout.xaxis.range[0] == 0 and figure.layout.xaxis.range[1] > 0.7
    assert figure.layout.font.size >= 14


def test_the_table_and_the_words_hold_the_similarities() -> None:
    html = class_tree.similarity_html(SIMILARITY, TREE, NAMES, "teacher", "Like")
    assert "<b>cat" not in html and html.index("fox") < html.index("wolf") < html.index("dog")
    assert html.count("<td style") == 16 and "wolf, dog: 99.0 %" in html
    words = class_tree.similarity_words(SIMILARITY, TREE, NAMES, "teacher", 4.0)
    assert words.startswith("For the teacher at T = 4, most alike: wolf and dog (99.0 %), wolf and fox (91.0 %)")
    assert words.endswith("Furthest from the rest: <b>cat</b>.")
    pairs = class_tree.most_similar_pairs(SIMILARITY, NAMES)
    assert [share for _one, _other, share in pairs] == pytest.approx([0.99, 0.91, 0.75])
