"""The charts and costs on the Compare page: each holds the numbers that it was given, and is described in words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pages.ui.compare import charts, costs, trio
from pages.ui.kit import look, reliability_chart

ROWS = charts.class_rows(
    ("wolf", "dog", "lynx", "none"),
    [
        {"mean": 0.2, "ci95": [0.1, 0.3], "n": 600},
        {"mean": -0.1, "ci95": [-0.18, -0.02], "n": 600},
        {"mean": 0.25, "ci95": [-0.2, 0.7], "n": 12},
        {"mean": 0.0, "ci95": [-1.0, 1.0], "n": 0},
    ],
)


def bin_(n: int, confidence: float, accuracy: float) -> Any:
    return SimpleNamespace(n=n, confidence=confidence, accuracy=accuracy, ci95=(accuracy - 0.05, accuracy + 0.04))


BINS = {
    "baseline": [bin_(100, 0.5, 0.3), bin_(100, 0.9, 0.7)],
    "teacher": [bin_(100, 0.45, 0.45), bin_(100, 0.95, 0.96)],
}


def times(*p50: float, p95: float = 1.5) -> list[dict[str, Any]]:
    sizes = (1, 8, 64, 256)[: len(p50)]
    return [
        {"batch_size": size, "p50": one, "p95": p95 * one, "threads": 1, "device": "a processor"}
        for size, one in zip(sizes, p50, strict=True)
    ]


LATENCY = {"baseline": times(0.3, 0.7, 2.56, 12.8), "teacher": times(0.5, 1.2, 6.4, 40.0)}
ARMS = {"baseline": {"macs": 800_000}, "teacher": {"macs": 10_300_000}}


def test_a_class_has_its_dot_its_interval_and_its_claim() -> None:
    assert [(row.name, row.claim) for row in ROWS] == [("wolf", "distilled"), ("dog", "baseline"), ("lynx", "none")]
    figure = charts.class_differences(ROWS)
    by_name = {trace.name: trace for trace in figure.data}
    assert by_name["distilled"].x == (20.0,) and by_name["distilled"].y == ("wolf",)
    assert by_name["distilled"].error_x.array[0] == pytest.approx(10.0)
    assert by_name["baseline"].error_x.arrayminus[0] == pytest.approx(8.0)
    assert by_name["distilled"].marker.color == look.DISTILLED and by_name["baseline"].marker.symbol == "square"
    assert by_name["none"].y == ("lynx (n\u00a0=\u00a012)",), "few pictures must be said"
    assert figure.layout.yaxis.categoryarray[::-1] == ("wolf", "dog", "lynx (n\u00a0=\u00a012)")
    assert charts.classes_caption(ROWS, 3, every_seed=True) == (
        "Of 3 classes, the distilled student is better at 1 and the baseline at 1; for the others nothing can be "
        "claimed. Most: lynx +25.0 points; least: dog −10.0."
    )
    one_pair = charts.classes_caption(ROWS, 3, every_seed=False)
    assert (
        one_pair.startswith("Of 3 classes, this distilled network has more pictures right in 1")
        and "better" not in one_pair
    )
    assert charts.few_pictures_note(ROWS).startswith("1 class has fewer than 50")
    assert charts.few_pictures_note(ROWS[:2]) == ""
    (rare,) = charts.class_rows(("lynx",), [{"mean": 1.0, "ci95": [0.02, 1.0], "n": 2}])
    assert rare.claim == "none" and "Nothing is claimed" in charts.few_pictures_note([rare])
    assert "Nothing is claimed" not in charts.few_pictures_note(ROWS)


def test_of_many_classes_the_largest_differences_are_shown_in_class_order_and_said_to_be() -> None:
    names = [f"class {n}" for n in range(30)]
    rows = charts.class_rows(names, [{"mean": n / 100, "ci95": [-1, 1], "n": 99} for n in range(30)])
    assert [row.name for row in rows] == names[10:]
    assert "the 20 largest differences of 30 classes" in charts.classes_caption(rows, 30, every_seed=True)


def test_reliability_is_share_right_against_confidence() -> None:
    figure = reliability_chart.reliability_diagram(BINS)
    diagonal, teacher, baseline = figure.data
    assert diagonal.x == diagonal.y == (0, 100)
    assert (teacher.marker.color, baseline.marker.symbol) == (look.TEACHER, "square")
    assert baseline.x == pytest.approx((50.0, 90.0)) and baseline.y == pytest.approx((30.0, 70.0))
    assert baseline.error_y.array == pytest.approx((4.0, 4.0))
    assert baseline.error_y.arrayminus == pytest.approx((5.0, 5.0))
    low, high = figure.layout.xaxis.range
    assert low < 45 and high > 95
    words = reliability_chart.reliability_caption(BINS, {"baseline": {"mean": 0.2}, "teacher": {"mean": 0.01}})
    assert words.endswith("Furthest off, baseline: 70.0 % sure on average, and right in 50.0 %.")
    unknown = reliability_chart.reliability_caption(BINS, {arm: {"mean": None} for arm in BINS})
    assert unknown == reliability_chart.reliability_caption(BINS, {}) and "Furthest" not in unknown


def test_the_diagram_says_how_many_groups_it_has() -> None:
    assert reliability_chart.groups_note(BINS["teacher"]).startswith("2 groups of equally many test pictures")
    few = reliability_chart.groups_note([bin_(12, 0.9, 0.5)])
    assert few.startswith("All 12 test pictures in one group") and "Fewer than 20 are too few" in few


def test_times_by_batch_size_are_log_log_with_whiskers_up_to_p95() -> None:
    figure = charts.latency_curve(LATENCY)
    assert (figure.layout.xaxis.type, figure.layout.yaxis.type) == ("log", "log")
    teacher = figure.data[0]
    assert teacher.x == (1, 8, 64, 256) and teacher.y == (0.5, 1.2, 6.4, 40.0)
    assert teacher.error_y.array == pytest.approx((0.25, 0.6, 3.2, 20.0)) and set(teacher.error_y.arrayminus) == {0}
    assert "Teacher: 0.50 ms for 1 picture, 40 ms for 256, that is 0.16 ms each" in costs.latency_caption(LATENCY)


def test_a_thousand_pictures_at_the_best_batch_size() -> None:
    cost = costs.cost_of(ARMS["baseline"], LATENCY["baseline"])
    assert (cost.batch_size, cost.seconds, cost.macs) == (64, pytest.approx(0.04), 8e8)
    assert cost.money(1.8) == pytest.approx(1.8 * 0.04 / 3600)
    assert costs.cost_of(ARMS["teacher"], LATENCY["teacher"]).seconds == pytest.approx(0.1)  # 64 again, 0.1 ms each


def test_there_is_no_money_without_the_visitors_price() -> None:
    without = costs.costs_table(ARMS, LATENCY, None)
    assert [row.label for row in without.rows] == ["Time", "MACs"]
    assert [cell.value for cell in without.rows[0].cells] == ["100 ms", "40 ms"]
    assert [cell.value for cell in without.rows[1].cells] == ["10.3 billion", "800.0 million"]
    priced = costs.costs_table(ARMS, LATENCY, 3.6).rows[-1]
    assert [cell.value for cell in priced.cells] == ["0.00010", "0.000040"]
    assert priced.cells[0].detail == "a million: 0.10"
    assert "on 1 thread." in costs.cost_note(LATENCY)


@pytest.mark.parametrize(
    ("amount", "written"), [(0, "0"), (0.00002, "0.000020"), (0.5, "0.50"), (1.26, "1.3"), (1234.5, "1,234")]
)
def test_money_is_written_without_an_exponent(amount: float, written: str) -> None:
    assert costs.format_money(amount) == written


def test_a_size_that_is_not_measured_yet_is_none() -> None:
    assert trio.at_batch_sizes(None, (1,)) is None
    assert trio.at_batch_sizes({"teacher": times(0.5)}, (1, 64)) is None
    shuffled = {"teacher": times(0.5, 1.2, 6.4)[::-1]}
    found = trio.at_batch_sizes(shuffled, (1, 64))
    assert found is not None and [one["batch_size"] for one in found["teacher"]] == [1, 64]
