"""The charts of a report."""

from __future__ import annotations

import re

import pytest

from kdcore.reports.charts import accuracy_chart, curves_chart
from kdcore.reports.curves import Curve
from tests.engine.reports.finished_run import RESULT, Page


def numbers(svg: str, name: str) -> list[float]:
    return [float(value) for value in re.findall(rf' {name}="([-0-9.]+)"', svg)]


def test_charts_put_larger_values_further() -> None:
    svg = accuracy_chart({name: row["accuracy"] for name, row in RESULT["arms"].items()}, 0.991)
    squares, diamonds = re.findall(r'<rect x="([0-9.]+)"', svg), re.findall(r'<polygon points="([0-9.]+),', svg)
    circles = re.findall(r'<circle cx="([0-9.]+)" cy="\d+\.\d" r="7', svg)
    assert float(squares[0]) < float(diamonds[0]) < float(circles[-1])  # 64.2, 72.3, 98.7 %
    assert all(0 <= value <= 720 for key in ("x1", "x2", "cx", "x") for value in numbers(svg, key))
    assert "baseline 64.2 % (61.3 to 67.1 %)" in svg  # in the label for screen readers
    Page(svg)


@pytest.mark.parametrize("values", [(0.5,), (0.0, 0.0), (1.0, 1.0), (0.123, 0.1231), (0.0, 1.0)])
def test_charts_hold_any_values(values: tuple[float, ...]) -> None:
    epochs = tuple(range(1, len(values) + 1))
    svg = curves_chart({"distilled": Curve(epochs, values, None, None), "baseline": Curve((), (), None, None)}, 1000)
    ((points),) = re.findall(r'<polyline points="([^"]+)"', svg)
    assert all(0 <= float(y) <= 320 for y in re.findall(r",([-0-9.]+)", points))
    Page(svg)
    Page(accuracy_chart({"baseline": {"mean": values[0], "ci95": None, "per_seed": list(values)}}))
