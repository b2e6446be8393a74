"""The reliability diagram: confidence against accuracy, with its caption; the functions here only return them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from kdcore.metrics.few_pictures import PICTURES_A_BIN, ece_bins
from kdcore.reports.arm_style import arms_in_order
from pages.ui.kit import look
from pages.ui.kit.chart_style import TEXT_STYLE, TextStyle, style_figure
from pages.ui.kit.formats import arm_name, format_accuracy
from pages.ui.session.i18n import _, ngettext

if TYPE_CHECKING:
    from kdcore.metrics.reliability import ReliabilityBin


def reliability_diagram(bins: Mapping[str, Sequence[ReliabilityBin]], text: TextStyle = TEXT_STYLE) -> go.Figure:
    """Draw a reliability diagram: accuracy against mean confidence per bin, with 95 % Wilson intervals.

    A network with perfect calibration would be on the dotted diagonal.

    Args:
        bins: by arm.
    """
    figure = go.Figure()
    figure.add_trace(
        go.Scatter(
            x=[0, 100], y=[0, 100], mode="lines", hoverinfo="skip", showlegend=False,
            line={"color": look.MUTE, "width": 1.6, "dash": "dot"},
        )
    )  # fmt: skip
    for arm, groups in arms_in_order(bins).items():
        colour = look.arm_colour(arm)
        figure.add_trace(
            go.Scatter(
                x=[100 * one.confidence for one in groups], y=[100 * one.accuracy for one in groups],
                name=arm_name(arm), mode="markers+lines",
                line={"color": colour, "width": 1.5, "dash": look.arm_dash(arm)},
                marker={"color": colour, "size": 11, "symbol": look.arm_marker(arm)},
                error_y={
                    "type": "data", "color": colour, "thickness": 1.2, "width": 3,
                    "array": [100 * (one.ci95[1] - one.accuracy) for one in groups],
                    "arrayminus": [100 * (one.accuracy - one.ci95[0]) for one in groups],
                },
                customdata=[one.n for one in groups],
                hovertemplate="%{x:.1f} % → %{y:.1f} % (n = %{customdata})<extra></extra>",
            )
        )  # fmt: skip
    low = min((one.confidence for groups in bins.values() for one in groups), default=0.0)
    start = 10 * math.floor(10 * low)
    style_figure(
        figure, text, "reliability", legend=True, height=470, hovermode="closest",
        xaxis={"title": _("mean confidence"), "ticksuffix": " %", "range": [start - 1, 102], "dtick": 20},
        yaxis={"title": _("answers right"), "ticksuffix": " %", "range": [-2, 104], "dtick": 20},
    )  # fmt: skip
    return figure


def reliability_caption(bins: Mapping[str, Sequence[ReliabilityBin]], ece: Mapping[str, Mapping[str, Any]]) -> str:
    """Describe the reliability diagram in words: how to read it, and which network has the largest calibration error.

    Args:
        bins: by arm.
        ece: expected calibration error by arm, with "mean", which is None where the test pictures were too few; arms
            may be missing. Without any, no network is named.
    """
    reading = _("Below the dotted line a network is surer than it is right, above it too modest.")
    measured = {arm: ece[arm]["mean"] for arm in bins if arm in ece and ece[arm]["mean"] is not None}
    if not measured:
        return reading
    furthest = max(measured, key=measured.__getitem__)
    groups = bins[furthest]
    pictures = sum(one.n for one in groups)
    confidence = sum(one.n * one.confidence for one in groups) / pictures
    accuracy = sum(one.n * one.accuracy for one in groups) / pictures
    text = _("Furthest off, {arm}: {confidence} sure on average, and right in {accuracy}.")
    return f"{reading} " + text.format(
        arm=arm_name(furthest), confidence=format_accuracy(confidence), accuracy=format_accuracy(accuracy)
    )


def groups_note(bins: Sequence[ReliabilityBin]) -> str:
    """Say how the pictures are grouped in the diagram, and that few pictures have no calibration error."""
    text = ngettext(
        "All {pictures} test pictures in one group, with a Wilson interval.",
        "{n} groups of equally many test pictures by confidence, with Wilson intervals.",
        len(bins),
    )
    pictures = sum(one.n for one in bins)
    note = text.format(n=len(bins), pictures=pictures)
    if not ece_bins(pictures):
        note += " " + _("Fewer than {n} are too few for a calibration error (ECE).").format(n=PICTURES_A_BIN)
    return note
