"""The static charts of runs: pure functions from view-models to Plotly figures; streamlit is not imported.

Drawings that change while the visitor watches are made elsewhere. Backgrounds are transparent, so that one figure suits
the light and the dark theme. Each arm has the same colour, marker and dash in every chart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

from kdcore.reports.arm_style import arms_in_order
from kdcore.reports.curves import Curve
from pages.ui.kit import look
from pages.ui.kit.chart_style import GRID, TEXT_STYLE, TextStyle, error_bar, style_figure, with_opacity, wrap_name
from pages.ui.kit.formats import arm_name, format_accuracy
from pages.ui.run.view import has_band
from pages.ui.session.i18n import _


def loss_chart(curves: Mapping[str, Curve], epochs: int, revision: str = "", text: TextStyle = TEXT_STYLE) -> go.Figure:
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
    style_figure(
        figure, text, revision, legend=True,
        xaxis={"title": _("epoch"), "range": [0, epochs + 0.4], "tickformat": "d"},
        yaxis={"title": _("training loss, nats"), "rangemode": "tozero"},
    )  # fmt: skip
    return figure


def accuracy_dots(result: Mapping[str, Any], text: TextStyle = TEXT_STYLE) -> go.Figure:
    """Draw the test accuracy of every arm that has one: the mean, its 95 % interval, and each seed as a faint dot.

    Args:
        result: of a finished run. Where it holds `bayes_accuracy`, that is drawn as a vertical line.
    """
    arms = {arm: row for arm, row in arms_in_order(result["arms"]).items() if row["accuracy"]["mean"] is not None}
    figure = go.Figure()
    for arm, row in arms.items():
        accuracy, colour, name = row["accuracy"], look.arm_colour(arm), wrap_name(arm_name(arm))
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
                error_x=error_bar(accuracy, colour), hovertemplate="%{x:.1f} %<extra></extra>",
            )
        )  # fmt: skip
    if (ceiling := result.get("bayes_accuracy")) is not None:
        figure.add_vline(x=100 * ceiling, line={"color": look.MUTE, "width": 1.6, "dash": "dot"})
        figure.add_annotation(
            x=100 * ceiling, y=1.0, yref="y domain", yanchor="bottom", showarrow=False,
            text=f"{_('ceiling')} {format_accuracy(ceiling)}", font=text.font,
        )  # fmt: skip
    names = [wrap_name(arm_name(arm)) for arm in arms]
    style_figure(
        figure, text, "dots", top=34, height=110 + 48 * len(arms),
        xaxis={"ticksuffix": " %", "showgrid": True, "gridcolor": GRID, "nticks": 5},
        yaxis={"categoryorder": "array", "categoryarray": names[::-1], "showgrid": False},
    )  # fmt: skip
    return figure


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
        if not has_band(curve):
            _add_seeds(figure, arm, curve)
            continue
        figure.add_trace(
            go.Scatter(
                x=[*curve.epochs, *curve.epochs[::-1]], y=[*curve.high, *curve.low[::-1]],
                fill="toself", fillcolor=with_opacity(look.arm_colour(arm), 0.16),
                line={"width": 0}, mode="lines", hoverinfo="skip", showlegend=False,
            )
        )  # fmt: skip


def _add_seeds(figure: go.Figure, arm: str, curve: Curve) -> None:
    """Add one thin line per seed, for an arm with too few seeds for a band."""
    for values in curve.per_seed:
        figure.add_trace(
            go.Scatter(
                x=list(curve.epochs), y=list(values), mode="lines", hoverinfo="skip", showlegend=False,
                line={"color": with_opacity(look.arm_colour(arm), 0.55), "width": 1.25},
            )
        )  # fmt: skip
