"""Class names of any kind in the charts and tables of the Compare page."""

from __future__ import annotations

from html import escape

from markdown_it import MarkdownIt

from kdcore.settings.config import make_run_config
from pages.ui.compare.charts import class_differences, class_rows
from pages.ui.compare.heat_table import heat_cell, heat_table_html
from pages.ui.compare.trio import answer_of, trio_of_run
from pages.ui.kit.formats import as_markdown, short_names

NAMES = ("<b>bold</b>", "x" * 200, "x" * 199 + "y", "plain & simple")


def test_long_names_are_short_and_still_differ() -> None:
    short = short_names(NAMES)
    assert len(set(short)) == len(NAMES)
    assert max(len(name) for name in short) <= 28
    assert (short[0], short[3]) == (NAMES[0], NAMES[3])


def test_markdown_shows_signs_in_names_as_letters() -> None:
    assert as_markdown("from 12 ($1) to 20 ($5)") == r"from 12 (\$1) to 20 (\$5)"
    for name in ("**bold**", "_a_ `b`", "[red](there)", "~~out~~", "<b>", "a\\*"):
        shown = MarkdownIt("commonmark").enable("strikethrough").render(as_markdown(f"Really a {name}"))
        assert shown == f"<p>Really a {escape(name, quote=False)}</p>\n"


def test_a_chart_shows_marks_in_names_as_letters() -> None:
    difference = {"mean": 0.1, "ci95": [-0.1, 0.3], "n": 500}
    figure = class_differences(class_rows(NAMES, [difference] * 4))
    (trace,) = figure.data
    assert trace.y[0] == "&lt;b&gt;bold&lt;/b&gt;"
    assert trace.y[3] == "plain &amp; simple"
    assert len(set(trace.y)) == 4


def test_a_label_has_two_lines_at_most() -> None:
    """A third line would run into the label of the next class."""
    difference = {"mean": 0.1, "ci95": [-0.1, 0.3], "n": 49}
    (trace,) = class_differences(class_rows(NAMES, [difference] * 4)).data
    assert [label.count("<br>") for label in trace.y] == [1, 1, 1, 1]


def test_sentences_and_answers_have_short_names_too() -> None:
    arms = {arm: {"accuracy": {"mean": 0.5}} for arm in ("teacher", "distilled", "baseline")}
    config = make_run_config("digits").to_json()
    result = {"arms": arms, "config": config, "class_names": list(NAMES), "dataset_sha256": "0"}
    predicted = {"class_names": list(NAMES), "soft_labels": [0.1, 0.6, 0.2, 0.1], "latency_ms": 1.0}
    for names in (
        trio_of_run("run", result, "This run", {}).class_names,
        answer_of("teacher", [predicted]).class_names,
    ):
        assert names == tuple(short_names(NAMES))
    assert answer_of("teacher", [predicted]).chosen == "x" * 27 + "…"


def test_a_table_of_long_names_stays_narrow() -> None:
    html = heat_table_html(NAMES, NAMES, [[heat_cell("#000000", 0.1, "a", "1")] * 4] * 4, "caption", narrow=False)
    assert "<b>bold" not in html
    assert "x" * 29 not in html
