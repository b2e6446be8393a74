"""Runs compared with the first, against values worked out by hand."""

from __future__ import annotations

import math

import pytest

from kdcore.reports.comparison import compare, difference_of
from tests.engine.reports.listed_runs import RUNS, result, run


def test_a_difference_joins_both_intervals() -> None:
    step = difference_of(
        {"mean": 0.60, "ci95": [0.57, 0.64]},  # 3 below, 4 above
        {"mean": 0.70, "ci95": [0.66, 0.73]},  # 4 below, 3 above
    )
    assert step.mean == pytest.approx(0.10) and step.ci95 is not None
    assert step.ci95[0] == pytest.approx(0.10 - math.sqrt(0.04**2 + 0.04**2))
    assert step.ci95[1] == pytest.approx(0.10 + math.sqrt(0.03**2 + 0.03**2))
    assert difference_of({"mean": 0.6, "ci95": None}, {"mean": 0.7, "ci95": [0.6, 0.8]}).ci95 is None  # one seed


def test_runs_are_compared_with_the_first() -> None:
    found = compare([run(1, result(0.70, 0.60)), run(2, result(0.73, 0.61)), run(3, None, "failed"), RUNS[5]])
    assert found.arms == ("baseline", "distilled") and not found.settings
    first, second, failed, empty = found.differences["distilled"]
    assert (first.mean, first.ci95, failed.mean, empty.mean) == (0.0, None, None, None)
    assert second.mean == pytest.approx(0.03)
    assert second.ci95 == pytest.approx((0.03 - 0.03 * math.sqrt(2), 0.03 + 0.03 * math.sqrt(2)))
    data = found.to_json()
    assert [one["run_id"] for one in data["runs"]] == ["run1", "run2", "run3", "run6"]
    assert data["results"][2] is None and data["results"][0]["arms"]["distilled"]["accuracy"]["mean"] == 0.70


def test_accuracies_on_other_pictures_are_not_subtracted() -> None:
    found = compare([run(1, result(0.7, 0.6)), run(2, result(0.7, 0.6, sha="b"))])
    assert not found.same_pictures
    assert all(step.mean is None for steps in found.differences.values() for step in steps)


def test_without_any_result_there_are_still_the_settings() -> None:
    found = compare([run(1, None, "failed"), run(2, None, "queued", temperature=1.0)])
    assert [one.name for one in found.settings] == ["temperature"] and found.arms == () and found.differences == {}
