"""The static charts of runs: pure functions from view-models to Plotly figures; streamlit is not imported.

Drawings that change while the visitor watches are made elsewhere. Backgrounds are transparent, so that one figure suits
the light and the dark theme. Each arm has the same colour, marker and dash in every chart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import plotly.graph_objects as go

from pages.ui import look
from pages.ui.i18n import _
from pages.ui.viewmodels import Curve, arm_name, format_accuracy, in_order

CONFIG = {"displayModeBar": False, "scrollZoom": False, "doubleClick": False, "responsive": True}
GRID = "rgba(128,132,145,0.22)"


@dataclass(frozen=True)
class Type:
    """The text style of a chart: size in pixels, and a colour that is readable on the page's background."""

    size: int = 15
    colour: str = "#40444e"

    @property
    def font(self) -> dict[str, Any]:
        """The style as a `font` argument of Plotly."""
        return {"size": self.size, "color": self.colour}


TYPE = Type()


def loss_curves(curves: Mapping[str, Curve], epochs: int, revision: str = "", text: Type = TYPE) -> go.Figure:
    """Draw the training loss (nats) of each arm over the epochs.

    The arms minimise different losses, so only the shapes can be compared.

    Args:
        epochs: of the whole run; the axis reaches to the last one from the start.
        revision: Plotly's `uirevision`: figures with the same one keep the visitor's zoom and legend choices.
    """
    figure = go.Figure()
    _add_bands(figure, curves)
    for arm, curve in curves.items():
        figure.add_trace(_line(arm, curve))
    _style(figure, text, revision, legend=True)
    figure.update_xaxes(title_text=_("epoch"), range=[0, epochs + 0.4], tickformat="d")
    figure.update_yaxes(title_text=_("training loss, nats"), rangemode="tozero")
    return figure


def accuracy_dots(result: Mapping[str, Any], text: Type = TYPE) -> go.Figure:
    """Draw the test accuracy of every arm: the mean, its 95 % interval, and each seed as a faint dot.

    Args:
        result: of a finished run. Where it holds `bayes_accuracy`, that is drawn as a vertical line.
    """
    arms = in_order(result["arms"])
    figure = go.Figure()
    for arm, row in arms.items():
        accuracy, colour, name = row["accuracy"], look.arm_colour(arm), _broken(arm_name(arm))
        if len(accuracy["per_seed"]) > 1:
            figure.add_trace(
                go.Scatter(
                    x=[100 * value for value in accuracy["per_seed"]], y=[name] * len(accuracy["per_seed"]),
                    mode="markers", marker={"color": colour, "size": 8, "opacity": 0.35}, hoverinfo="skip",
                )
            )  # fmt: skip
        figure.add_trace(
            go.Scatter(
                x=[100 * accuracy["mean"]], y=[name], mode="markers",
                marker={"color": colour, "size": 15, "symbol": look.arm_marker(arm)},
                error_x=_error(accuracy, colour), hovertemplate="%{x:.1f} %<extra></extra>",
            )
        )  # fmt: skip
    if (ceiling := result.get("bayes_accuracy")) is not None:
        figure.add_vline(x=100 * ceiling, line={"color": look.MUTE, "width": 1.6, "dash": "dot"})
        figure.add_annotation(
            x=100 * ceiling, y=1.0, yref="y domain", yanchor="bottom", showarrow=False,
            text=f"{_('ceiling')} {format_accuracy(ceiling)}", font=text.font,
        )  # fmt: skip
    _style(figure, text, "dots", top=34)
    figure.update_layout(height=110 + 48 * len(arms))
    figure.update_xaxes(ticksuffix=" %", showgrid=True, gridcolor=GRID, nticks=5)
    names = [_broken(arm_name(arm)) for arm in arms]
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1], showgrid=False, automargin=True)
    return figure


def tradeoff(points: Sequence[TradeoffPoint], text: Type = TYPE) -> go.Figure:
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
                error_y=_error(point.accuracy, colour),
                error_x={"type": "data", "array": [point.p95 - point.p50], "arrayminus": [0], "color": colour},
                hovertemplate="%{x:.2g} ms, %{y:.1f} %<extra></extra>",
            )
        )  # fmt: skip
    _style(figure, text, "tradeoff")
    figure.update_xaxes(
        title_text=_("milliseconds for one picture (log scale)"), type="log", showgrid=True, gridcolor=GRID
    )
    if points:
        low = math.log10(min(point.p50 for point in points)) - 0.15
        high = math.log10(max(point.p95 for point in points)) + 0.35  # room for the name beside the rightmost marker
        ticks = [step * 10.0**power for power in range(-4, 6) for step in (1, 2, 5)]
        figure.update_xaxes(range=[low, high], tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])
        ends = [end for point in points for end in (point.accuracy.get("ci95") or [point.accuracy["mean"]])]
        room = 0.1 * (max(ends) - min(ends)) + 0.005
        figure.update_yaxes(range=[100 * (min(ends) - room), 100 * (max(ends) + room)])
    figure.update_yaxes(ticksuffix=" %", title_text=_("accuracy on test"))
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


def _line(arm: str, curve: Curve) -> go.Scatter:
    colour = look.arm_colour(arm)
    return go.Scatter(
        x=list(curve.epochs), y=list(curve.mean), name=arm_name(arm), mode="lines", hovertemplate="%{y:.3f}",
        line={"color": colour, "width": 3, "dash": look.arm_dash(arm)},
    )  # fmt: skip


def _add_bands(figure: go.Figure, curves: Mapping[str, Curve]) -> None:
    """Add each arm's interval over the seeds as a band, or its seeds as thin lines.

    Call it first, so that the mean lines are drawn on top.
    """
    for arm, curve in curves.items():
        if curve.low is None or curve.high is None:
            continue
        if not curve.has_band:
            _add_seeds(figure, arm, curve)
            continue
        figure.add_trace(
            go.Scatter(
                x=[*curve.epochs, *curve.epochs[::-1]], y=[*curve.high, *curve.low[::-1]],
                fill="toself", fillcolor=_faint(look.arm_colour(arm), 0.16),
                line={"width": 0}, mode="lines", hoverinfo="skip", showlegend=False,
            )
        )  # fmt: skip


def _add_seeds(figure: go.Figure, arm: str, curve: Curve) -> None:
    """Add one thin line per seed, for an arm with too few seeds for a band."""
    for values in curve.per_seed:
        figure.add_trace(
            go.Scatter(
                x=list(curve.epochs), y=list(values), mode="lines", hoverinfo="skip", showlegend=False,
                line={"color": _faint(look.arm_colour(arm), 0.55), "width": 1.25},
            )
        )  # fmt: skip


def _error(accuracy: Mapping[str, Any], colour: str) -> dict[str, Any]:
    interval = accuracy.get("ci95")
    if not interval:
        return {"visible": False}
    low, high = interval
    return {
        "type": "data", "array": [100 * (high - accuracy["mean"])], "arrayminus": [100 * (accuracy["mean"] - low)],
        "color": colour, "thickness": 2.5, "width": 7,
    }  # fmt: skip


def _style(figure: go.Figure, text: Type, revision: str, legend: bool = False, top: int = 12) -> None:
    figure.update_layout(
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", font=text.font,
        margin={"l": 8, "r": 12, "t": 44 if legend else top, "b": 8}, showlegend=legend, hovermode="x unified",
        hoverlabel={"font": {"size": text.size}}, uirevision=revision, dragmode=False, height=400,
        legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom", "font": text.font},
    )  # fmt: skip
    axis = {"title_font": text.font, "tickfont": text.font, "zeroline": False, "fixedrange": True}
    figure.update_xaxes(showgrid=False, automargin=True, **axis)
    figure.update_yaxes(gridcolor=GRID, automargin=True, **axis)


def _broken(name: str) -> str:
    """Break a name into lines of at most 16 characters, so that on a phone the labels leave room for the chart."""
    return "<br>".join(wrap(name, 16))


def _faint(colour: str, opacity: float) -> str:
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"
