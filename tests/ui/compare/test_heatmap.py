"""Confusion tables hold the shares of the counts that they were given, row by row."""

from __future__ import annotations

import re

import pytest

from pages.ui.compare import heatmap
from pages.ui.kit import look

NAMES = ("wolf", "dog", "cat")
CONFUSION = {
    "teacher": [[9, 1, 0], [2, 8, 0], [0, 0, 5]],
    "distilled": [[7, 3, 0], [2, 8, 0], [1, 0, 4]],
    "baseline": [[5, 4, 1], [2, 6, 2], [0, 3, 2]],
}


@pytest.mark.parametrize("arm", CONFUSION)
def test_rows_are_shares_and_the_diagonal_is_the_accuracy(arm: str) -> None:
    found = heatmap.heatmap(arm, CONFUSION, NAMES, NAMES)
    assert [sum(row) for row in found.shares] == pytest.approx([1.0] * 3)
    assert found.counts == (10, 10, 5)
    right = sum(found.shares[i][i] * found.counts[i] for i in range(3)) / sum(found.counts)
    assert right == pytest.approx(sum(CONFUSION[arm][i][i] for i in range(3)) / 25)
    assert (found.rows, found.columns, found.grouping) == (NAMES, NAMES, "")


def test_the_difference_is_distilled_minus_baseline() -> None:
    found = heatmap.heatmap(heatmap.DIFFERENCE, CONFUSION, NAMES, NAMES)
    assert found.shares[0] == pytest.approx((0.2, -0.1, -0.1))
    assert [sum(row) for row in found.shares] == pytest.approx([0.0] * 3)
    html = heatmap.heatmap_html(found, "words")
    cells = re.findall(r"<td style=.*?, (#\w+) ([0-9.]+)%.*?>([^<]*)</td>", html)
    assert cells[0] == (look.DISTILLED, "23.3", "+20")  # the largest difference, 60 points, has the deepest shade
    assert cells[1] == (look.BASELINE, "11.7", "−10")
    assert max(float(shade) for _colour, shade, _text in cells) == 70.0
    assert heatmap.caption(found) == "Most gained: cat taken for dog is rarer by 60.0 points."


def test_the_page_reads_as_a_table() -> None:
    html = heatmap.heatmap_html(heatmap.heatmap("baseline", CONFUSION, NAMES, NAMES), "Confusion: baseline")
    assert re.findall(r'scope="row">(\w+)', html) == list(NAMES)
    assert re.findall(r'scope="col"><span>(\w+)', html) == list(NAMES)
    assert re.findall(r'title=".*?">(\d*)</td>', html) == ["50", "40", "10", "20", "60", "20", "", "60", "40"]
    assert 'title="wolf → dog: 40.0 %"' in html and "<caption>Confusion: baseline</caption>" in html
    text = heatmap.caption(heatmap.heatmap("baseline", CONFUSION, NAMES, NAMES))
    assert text == "Most frequent mix-up, baseline: cat taken for dog, 60.0 % of the time."


def many(classes: int) -> dict[str, list[list[int]]]:
    """Each class is taken for the next one, the more often the higher its number; all else is right."""
    rows = [[0] * classes for _ in range(classes)]
    for true in range(classes):
        rows[true][(true + 1) % classes] = true
        rows[true][true] = 100 - true
    return {"distilled": rows, "baseline": rows}


def test_of_many_classes_it_shows_superclasses() -> None:
    names = [f"class {n}" for n in range(30)]
    found = heatmap.heatmap("distilled", many(30), names, ["low"] * 15 + ["high"] * 15)
    assert found.rows == found.columns == ("low", "high") and found.grouping == "superclasses"
    assert found.counts == (1500, 1500)
    assert found.shares[0] == pytest.approx((1486 / 1500, 14 / 1500))  # only class 14 is taken for class 15
    assert "30 classes are too many to read" in heatmap.how_to_read(found, 30)


def test_of_many_classes_without_superclasses_it_shows_those_mixed_up_most() -> None:
    names = [f"class {n}" for n in range(30)]
    found = heatmap.heatmap("distilled", many(30), names, names)
    assert found.rows == tuple(names[18:]) and found.columns == (*names[18:], "others")
    assert found.grouping == "confused"
    assert [sum(row) for row in found.shares] == pytest.approx([1.0] * 12)
    assert found.shares[-1][-1] == pytest.approx(0.29)  # class 29 is taken for class 0, which is not shown
    assert "Of 30 classes, these 12 are mixed up most" in heatmap.how_to_read(found, 30)


def test_an_empty_class_and_markup_do_no_harm() -> None:
    attack = "<img src=x onerror=alert(1)>"
    found = heatmap.heatmap("teacher", {"teacher": [[0, 0], [1, 1]]}, (attack, "b"), (attack, "b"))
    assert found.shares[0] == (0.0, 0.0)
    assert "<img" not in heatmap.heatmap_html(found, attack)
