"""Charts of a run, bars and tables hold exactly the numbers that they were given."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest

from kdcore.reports.curves import Curve
from pages.ui.compare import tradeoff_chart
from pages.ui.kit import bars, chart_style, look, tables
from pages.ui.kit.formats import Readout
from pages.ui.run import charts, curves_data

CURVES = {
    "distilled": Curve((2, 4), (0.5, 0.7), (0.45, 0.66), (0.55, 0.74)),
    "baseline": Curve((2, 4), (0.4, 0.6), None, None),
}


def estimate(mean: float, half: float | None, seeds: int = 3) -> dict[str, Any]:
    interval = None if half is None else [mean - half, mean + half]
    return {"mean": mean, "ci95": interval, "per_seed": [mean] * seeds}


def arm(accuracy: float, half: float | None = 0.02) -> dict[str, Any]:
    return {
        "accuracy": estimate(accuracy, half), "ece": estimate(0.03, half and 0.01), "agreement": estimate(0.85, half),
        "num_params": 24_234, "macs": 1_900_000, "size_bytes": 99_000,
        "latency_ms": [
            {"batch_size": 1, "p50": 0.24, "p95": 0.31, "threads": 2, "device": "cpu"},
            {"batch_size": 64, "p50": 4.4, "p95": 5.1, "threads": 2, "device": "cpu"},
        ],
    }  # fmt: skip


ARMS = {"teacher": arm(0.75), "baseline": arm(0.63), "distilled": arm(0.72)}


def test_series_carry_the_means_in_percent() -> None:
    data = curves_data.curves_data(CURVES, 10, words="in words")
    distilled, baseline = data["series"]
    assert distilled["epochs"] == [2, 4]
    assert distilled["mean"] == pytest.approx([50.0, 70.0])
    assert (distilled["low"], distilled["high"]) == (pytest.approx([45.0, 66.0]), pytest.approx([55.0, 74.0]))
    assert (distilled["colour"], distilled["marker"]) == (look.DISTILLED, look.ARM_MARKERS["distilled"])
    assert (baseline["low"], baseline["high"]) == (None, None)  # one seed has no band
    assert distilled["says"][1] == "epoch 4: distilled 70.0 % (66.0 to 74.0 %)"
    assert data["words"] == "in words"
    json.dumps(data, allow_nan=False)


def test_the_axis_is_there_from_the_start_and_moves_in_tens() -> None:
    empty = curves_data.curves_data({}, 40, [curves_data.teacher_reference(0.752)])
    assert empty["last"] > 40 and empty["ticks"][0] == 0 and empty["series"] == []
    ranges = []
    for top in (0.22, 0.4, 0.55, 0.7):
        curve = {"baseline": Curve((1, 2), (0.21, top), None, None)}
        ranges.append(curves_data.accuracy_range(curve, [curves_data.teacher_reference(0.752)]))
    assert set(ranges) == {(0.1, 0.8)}, "a growing curve moved the axis"
    assert curves_data.accuracy_range({}, []) == (0.0, 1.0)


def test_every_point_lies_inside_the_axis() -> None:
    for low, high in itertools.combinations((0.0, 0.05, 0.3, 0.62, 0.97, 1.0), 2):
        bottom, top = curves_data.accuracy_range({"a": Curve((1, 2), (low, high), None, None)}, [])
        assert bottom <= low and high <= top


@pytest.mark.parametrize("epochs", [1, 2, 5, 6, 7, 30, 40, 99, 250, 1000])
def test_epochs_on_the_axis_are_round_and_few(epochs: int) -> None:
    ticks = curves_data.ticks(epochs)
    assert 2 <= len(ticks) <= 7 and ticks[0] == 0 and ticks[-1] <= epochs
    assert all(b - a == ticks[1] for a, b in itertools.pairwise(ticks))


def test_references_stand_at_their_value_and_say_it() -> None:
    lines = [curves_data.teacher_reference(0.752), curves_data.ceiling_reference(0.766)]
    drawn = curves_data.curves_data(CURVES, 10, lines)["references"]
    assert [line["value"] for line in drawn] == pytest.approx([75.2, 76.6])
    assert [line["words"] for line in drawn] == ["teacher 75.2 %", "ceiling 76.6 %"]


def test_type_is_readable_and_the_view_stays_while_the_run_does() -> None:
    figures = [
        charts.loss_chart(CURVES, 10, revision="run1"),
        charts.accuracy_dots({"arms": ARMS}),
        tradeoff_chart.tradeoff([tradeoff_chart.TradeoffPoint("teacher", 1.0, 1.2, ARMS["teacher"]["accuracy"])]),
    ]
    for figure in figures:
        assert figure.layout.font.size >= 14
        assert figure.layout.xaxis.tickfont.size >= 14
        assert figure.layout.paper_bgcolor == "rgba(0,0,0,0)"
        assert figure.layout.title.text is None
    assert figures[0].layout.uirevision == "run1"
    assert chart_style.CONFIG["displayModeBar"] is False


def test_dots_carry_mean_interval_seeds_and_ceiling() -> None:
    figure = charts.accuracy_dots({"arms": ARMS, "bayes_accuracy": 0.77})
    means = [trace for trace in figure.data if trace.error_x.array is not None]
    assert [trace.x[0] for trace in means] == pytest.approx([75.0, 72.0, 63.0])
    assert means[1].error_x.array[0] == pytest.approx(2.0)
    assert figure.layout.shapes[0].x0 == pytest.approx(77.0)
    alone = charts.accuracy_dots({"arms": {"baseline": arm(0.6, None)}})
    assert all(trace.error_x.visible in (None, False) for trace in alone.data)


def test_the_tradeoff_is_milliseconds_against_percent() -> None:
    points = [tradeoff_chart.TradeoffPoint(name, 0.24, 0.31, row["accuracy"]) for name, row in ARMS.items()]
    figure = tradeoff_chart.tradeoff(points)
    assert figure.layout.xaxis.type == "log"
    assert figure.data[1].x[0] == 0.24 and figure.data[1].y[0] == pytest.approx(63.0)
    assert figure.data[1].error_x.array[0] == pytest.approx(0.07)
    assert tradeoff_chart.tradeoff([]).data == ()


def test_answers_are_bars_in_the_order_given() -> None:
    html = bars.bars("baseline", ["wolf", "dog", "cat"], [0.2, 0.7996, 0.0004], "in words")
    assert re.findall(r"<b>(.*?)</b>", html) == ["wolf", "dog", "cat"]
    assert re.findall(r"width:([0-9.]+)%", html) == ["20.00", "79.96", "0.04"]
    assert re.findall(r"<span>(.*?)</span>", html) == ["20.0 %", "80.0 %", "&lt; 0.1 %"]
    assert html.count(look.BASELINE) == 3
    assert re.findall(r'class="kd-bar( kd-won)?"', html) == ["", " kd-won", ""]
    assert 'aria-label="in words"' in html


def test_tables_hold_the_results_numbers() -> None:
    table = tables.quality_table(ARMS, "chooses its class")
    assert table.arms == ("teacher", "distilled", "baseline")
    accuracy, ece, agreement = table.rows
    assert accuracy.cells[1] == tables.Cell("72.0 %", "70.0 to 74.0 %")
    assert ece.cells[0] == tables.Cell("3.0 %", "2.0 to 4.0 %")
    assert agreement.note == "chooses its class"
    assert [cell.value for cell in agreement.cells] == ["–", "85.0 %", "85.0 %"]
    assert tables.quality_table({"baseline": arm(0.6, None)}, "").rows[0].cells[0] == tables.Cell("60.0 %", "")


def test_costs_wait_for_their_measurement() -> None:
    waiting = tables.cost_table(ARMS, None)
    assert [row.label for row in waiting.rows][:2] == ["Time, 1 picture", "Time, 64 pictures"]
    assert waiting.rows[0].cells[0].value == "…"
    measured = tables.cost_table(ARMS, {name: row["latency_ms"] for name, row in ARMS.items()})
    assert measured.rows[1].cells[2] == tables.Cell("4.4 ms", "p95 5.1 ms")
    assert [row.cells[0].value for row in measured.rows[2:]] == ["24,234", "1.9 million", "99 kB"]


def test_html_escapes_what_others_wrote() -> None:
    """Visitors name folders and files, and these names can become the name of an arm or a dataset."""
    attack = "<img src=x onerror=alert(1)>"
    row = tables.Row(attack, attack, (tables.Cell(attack, attack),))
    html = "".join(
        (
            tables.table_html(tables.Table((attack,), (row,)), attack),
            tables.facts_html([(attack, attack)]),
            bars.bars(attack, [attack], [1.0], attack),
            tables.status_html(attack, attack, attack),
            tables.readouts_html([Readout(attack, attack, attack, attack)]),
        )
    )
    assert "<img" not in html and "&lt;img" in html
