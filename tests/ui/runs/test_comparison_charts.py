"""Several runs on one chart and in one table: the right numbers, letters that do not overlap, and escaped text."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import Any

import pytest

from kdcore.reports import charts
from kdcore.reports.arm_style import ARM_ORDER
from kdcore.reports.comparison import compare
from kdcore.reports.curves import Curve
from kdcore.store import RunRow
from pages.ui.kit import look
from pages.ui.runs import comparison_charts, comparison_table

CURVES = {
    "distilled": Curve((1, 2), (0.5, 0.7), None, None),
    "baseline": Curve((1, 2), (0.4, 0.6), None, None),
}


def row(number: int, result: dict[str, Any] | None = None, **settings: Any) -> RunRow:
    config = {"dataset": "digits", "temperature": 4.0, "seeds": [0, 1], "recipe": {"learning_rate": 0.03}, **settings}
    return RunRow(
        number=number, id=f"run{number}", visitor="v", kind="run", status="finished", config=config, result=result,
        error=None, created=1.7e9, started=None, finished=None, heartbeat=None, host=None, worker_pid=None,
        worker_started=None, attempts=1, setbacks=0, cancel_requested=False,
    )  # fmt: skip


def result(accuracy: float, half: float | None) -> dict[str, Any]:
    interval = None if half is None else [accuracy - half, accuracy + half]
    figure = {"mean": accuracy, "ci95": interval}
    arms = {arm: {"accuracy": figure, "ece": {"mean": None, "ci95": None}} for arm in ("baseline", "distilled")}
    return {"arms": arms, "paired_difference": {"mean": 0.0, "ci95": None}, "dataset_sha256": "a", "seconds": 61.0}


def test_an_arm_keeps_its_colour_and_a_run_its_line() -> None:
    figure = comparison_charts.overlaid_curves([CURVES, {}, CURVES], "a-b-c")
    lines = [trace for trace in figure.data if trace.mode == "lines"]
    assert [(line.line.color, line.line.dash) for line in lines] == [
        (look.DISTILLED, "solid"), (look.BASELINE, "solid"), (look.DISTILLED, "dot"), (look.BASELINE, "dot"),
    ]  # fmt: skip
    assert list(lines[0].y) == pytest.approx([50.0, 70.0]) and list(lines[1].x) == [1, 2]
    assert [note.text for note in figure.layout.annotations] == ["<b>A</b>", "<b>A</b>", "<b>C</b>", "<b>C</b>"]
    low, high = figure.layout.yaxis.range
    assert low < 40.0 and high > 70.0 and figure.layout.font.size >= 14
    assert len(set(comparison_charts.DASHES)) == len(comparison_charts.LETTERS) == 6
    words = comparison_charts.overlay_words([CURVES, {}])
    assert "A: distilled 70.0 %, baseline 60.0 %" in words and "B: nothing measured yet" in words


def test_a_chart_without_a_curve_can_be_drawn() -> None:
    assert comparison_charts.overlaid_curves([{}, {"distilled": Curve((), (), None, None)}], "").data == ()


@pytest.mark.parametrize("values", [[], [3.0], [1, 1, 1], [0, 10], [5, 4.5, 1, 1.2, 5.1], [1, 1.5, 2.4, 3.3, 9]])
def test_letters_are_moved_apart_and_no_further(values: list[float]) -> None:
    places = comparison_charts.spread_apart(values, 1.0)
    assert all(high - low >= 1.0 - 1e-9 for low, high in itertools.pairwise(sorted(places)))
    order = sorted(range(len(values)), key=lambda index: (values[index], index))
    assert order == sorted(range(len(values)), key=lambda index: places[index])
    assert sum(places) == pytest.approx(sum(values))  # around the same middle
    if all(abs(a - b) >= 1 for a, b in itertools.combinations(values, 2)):
        assert places == values


def test_the_table_holds_what_differs_and_what_came_out() -> None:
    runs = [row(1, result(0.60, 0.03)), row(2, result(0.70, 0.04), temperature=8.0, seeds=[4, 5]), row(3, None)]
    found = compare(runs)
    settings = {one.label: [cell.value for cell in one.cells] for one in comparison_table.setting_rows(found)}
    assert settings == {"Temperature": ["4", "8", "4"], "Seeds": ["2", "4, 5", "2"]}
    rows = {one.label: one.cells for _arm, one in comparison_table.result_rows(found)}
    assert [cell.value for cell in rows["distilled"]] == ["60.0 %", "70.0 %", "–"]
    assert rows["distilled"][0].detail == "57.0 to 63.0 %"
    assert rows["distilled, minus A"][1] == comparison_table.Cell("+10.0", "+5.0 to +15.0")  # half width √(3² + 4²) = 5
    assert [cell.value for cell in rows["Distilled minus baseline"]] == ["+0.0", "+0.0", "–"]
    assert [cell.value for cell in rows["Time"]] == ["1 min 1 s", "1 min 1 s", "–"]
    assert "too wide rather than too narrow" in comparison_table.comparison_notes(found)[0]


def test_one_seed_gives_no_interval_and_other_pictures_no_difference() -> None:
    found = compare([row(1, result(0.6, 0.03)), row(2, result(0.7, None))])
    rows = {one.label: one.cells for _arm, one in comparison_table.result_rows(found)}
    assert rows["baseline, minus A"][1] == comparison_table.Cell("+10.0", "no interval")
    other = compare([row(1, result(0.6, 0.03)), row(2, {**result(0.7, 0.03), "dataset_sha256": "b"})])
    assert not any("minus A" in one.label for _arm, one in comparison_table.result_rows(other))
    assert "different pictures" in comparison_table.comparison_notes(other)[0]


def test_what_others_wrote_is_escaped() -> None:
    attack = "<img src=x onerror=alert(1)>"
    runs = [row(1, result(0.6, 0.1), dataset=attack), row(2, {"arms": {attack: {}}}, **{attack: attack})]
    runs = [replace(run, tags=(attack,), status=attack) for run in runs]
    html = comparison_table.comparison_html(compare(runs), attack)
    assert "<img" not in html and html.count("&lt;img") >= 6


def test_reports_use_the_colours_and_the_order_of_the_pages() -> None:
    accuracy = {arm: {"mean": 0.5, "ci95": None, "per_seed": [0.5]} for arm in sorted(ARM_ORDER)}
    svg = charts.accuracy_chart(accuracy)
    assert re.findall(r'text-anchor="end">([a-z]+)<', svg) == list(ARM_ORDER)
    assert re.findall(r'fill="(#[0-9A-F]{6})"', svg) == [look.ARM_COLOURS[arm] for arm in ARM_ORDER]
    assert set(look.ARM_COLOURS) == set(ARM_ORDER)
