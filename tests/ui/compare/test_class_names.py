"""Class names of any kind in the charts and tables of the Compare page."""

from __future__ import annotations

from pages.ui.compare.charts import class_differences, class_rows
from pages.ui.compare.heat_table import heat_cell, heat_table_html
from pages.ui.kit.formats import short_names

NAMES = ("<b>bold</b>", "x" * 200, "x" * 199 + "y", "plain & simple")


def test_long_names_are_short_and_still_differ() -> None:
    short = short_names(NAMES)
    assert len(set(short)) == len(NAMES)
    assert max(len(name) for name in short) <= 28
    assert (short[0], short[3]) == (NAMES[0], NAMES[3])


def test_a_chart_shows_marks_in_names_as_letters() -> None:
    difference = {"mean": 0.1, "ci95": [-0.1, 0.3], "n": 500}
    figure = class_differences(class_rows(NAMES, [difference] * 4))
    (trace,) = figure.data
    assert trace.y[0] == "&lt;b&gt;bold&lt;/b&gt;"
    assert trace.y[3] == "plain &amp; simple"
    assert len(set(trace.y)) == 4


def test_a_table_of_long_names_stays_narrow() -> None:
    html = heat_table_html(NAMES, NAMES, [[heat_cell("#000000", 0.1, "a", "1")] * 4] * 4, "caption", narrow=False)
    assert "<b>bold" not in html
    assert "x" * 29 not in html
