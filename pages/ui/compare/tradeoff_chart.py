"""The chart of accuracy against cost. Pure, no streamlit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from pages.ui.kit import look
from pages.ui.kit.chart_style import GRID, TEXT_STYLE, TextStyle, error_bar, style_figure
from pages.ui.kit.formats import arm_name
from pages.ui.session.i18n import _


def tradeoff(points: Sequence[TradeoffPoint], text: TextStyle = TEXT_STYLE) -> go.Figure:
    """Draw test accuracy against the time for one picture.

    Vertical bars are the 95 % interval of the accuracy; horizontal bars reach from the p50 to the p95 of the time.
    """
    figure = go.Figure()
    for point in points:
        colour = look.arm_colour(point.arm)
        figure.add_trace(
            go.Scatter(
                x=[point.p50], y=[100 * point.accuracy["mean"]], mode="markers+text", text=[arm_name(point.arm)],
                # Both students take the same time, so their markers are one above the other: place the names apart.
                textposition="bottom right" if point.arm == "baseline" else "top right", textfont=text.font,
                marker={"color": colour, "size": 16, "symbol": look.arm_marker(point.arm)},
                error_y=error_bar(point.accuracy, colour),
                error_x={"type": "data", "array": [point.p95 - point.p50], "arrayminus": [0], "color": colour},
                hovertemplate="%{x:.2g} ms, %{y:.1f} %<extra></extra>",
            )
        )  # fmt: skip
    xaxis = {
        "title": _("milliseconds for one picture (log scale)"), "type": "log", "showgrid": True, "gridcolor": GRID,
    }  # fmt: skip
    yaxis = {"ticksuffix": " %", "title": _("accuracy on test")}
    if points:
        low = math.log10(min(point.p50 for point in points)) - 0.15
        high = math.log10(max(point.p95 for point in points)) + 0.35  # room for the name beside the rightmost marker
        ticks = [step * 10.0**power for power in range(-4, 6) for step in (1, 2, 5)]
        xaxis |= {"range": [low, high], "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}
        ends = [end for point in points for end in (point.accuracy.get("ci95") or [point.accuracy["mean"]])]
        room = 0.1 * (max(ends) - min(ends)) + 0.005
        yaxis |= {"range": [100 * (min(ends) - room), 100 * (max(ends) + room)]}
    style_figure(figure, text, "tradeoff", xaxis, yaxis)
    return figure


@dataclass(frozen=True)
class TradeoffPoint:
    """One arm of the trade-off chart.

    Attributes:
        p50, p95: milliseconds for a batch of one picture.
        accuracy: as in a run's result, with `mean` and `ci95`.
    """

    arm: str
    p50: float
    p95: float
    accuracy: Mapping[str, Any]
