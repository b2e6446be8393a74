"""Several runs on one chart. Colour and marker tell the arm, letter and dash the run. Pure, no streamlit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import plotly.graph_objects as go

from kdcore.reports.curves import Curve
from pages.ui.kit import look
from pages.ui.kit.chart_style import DASHES, TEXT_STYLE, TextStyle, style_figure
from pages.ui.kit.formats import arm_name, format_accuracy
from pages.ui.session.i18n import _

LETTERS = "ABCDEF"
SHOWN_ARMS = ("distilled", "baseline")
HEIGHT = 420


def overlaid_curves(runs: Sequence[Mapping[str, Curve]], revision: str, text: TextStyle = TEXT_STYLE) -> go.Figure:
    """Draw the validation accuracy of distilled and baseline of several runs; each line ends with its run's letter.

    Args:
        runs: arm -> curve for each run, in the order of the letters; a run without curves yet still uses up its letter.
        revision: Plotly's `uirevision`: figures with the same one keep the visitor's view.
    """
    figure = go.Figure()
    ends = []
    for letter, dash, curves in zip(LETTERS, DASHES, runs, strict=False):
        for arm in SHOWN_ARMS:
            curve = curves.get(arm)
            if curve is None or not curve.mean:
                continue
            colour = look.ARM_COLOURS[arm]
            percent = [100 * value for value in curve.mean]
            figure.add_trace(
                go.Scatter(
                    x=list(curve.epochs), y=percent, mode="lines", name=f"{letter}, {arm_name(arm)}",
                    line={"color": colour, "width": 3, "dash": dash}, hovertemplate="%{y:.1f} %",
                )
            )  # fmt: skip
            figure.add_trace(
                go.Scatter(
                    x=[curve.epochs[-1]], y=[percent[-1]], mode="markers", hoverinfo="skip",
                    marker={"color": colour, "size": 11, "symbol": look.ARM_MARKERS[arm]},
                )
            )  # fmt: skip
            ends.append((curve.epochs[-1], percent[-1], letter, colour))
    low, high = _range([value for trace in figure.data for value in trace.y])
    last = max((end[0] for end in ends), default=1)
    style_figure(
        figure, text, revision, height=HEIGHT,
        xaxis={"title": _("epoch"), "tickformat": "d", "rangemode": "tozero", "range": [0, 1.06 * last]},
        yaxis={"range": [low, high], "ticksuffix": " %"},
    )  # fmt: skip
    gap = (high - low) * 1.25 * text.size / HEIGHT
    for epoch in {end[0] for end in ends}:  # move apart the letters of lines that end at the same epoch
        same_epoch = [end for end in ends if end[0] == epoch]
        heights = spread_apart([end[1] for end in same_epoch], gap)
        for height, (_epoch, _value, letter, colour) in zip(heights, same_epoch, strict=True):
            figure.add_annotation(
                x=epoch, xanchor="left", xshift=10, y=height, showarrow=False, text=f"<b>{letter}</b>",
                font={"size": text.size, "color": colour},
            )  # fmt: skip
    return figure


def spread_apart(values: Sequence[float], gap: float) -> list[float]:
    """Move values apart so that neighbours differ by at least `gap`.

    Their order stays, and a group of values that had to be moved keeps its mean.
    """
    order = sorted(range(len(values)), key=lambda index: values[index])
    groups: list[tuple[list[int], float]] = []  # indices of values in one group, and the middle of the group
    for index in order:
        groups.append(([index], values[index]))
        while len(groups) > 1:
            (lower, low), (upper, high) = groups[-2:]
            if high - low >= gap * (len(lower) + len(upper)) / 2 - 1e-12:
                break
            middle = (low * len(lower) + high * len(upper)) / (len(lower) + len(upper))
            groups[-2:] = [([*lower, *upper], middle)]
    moved = [0.0] * len(values)
    for members, middle in groups:
        for rank, index in enumerate(members):
            moved[index] = middle + gap * (rank - (len(members) - 1) / 2)
    return moved


def overlay_words(runs: Sequence[Mapping[str, Curve]]) -> str:
    """Describe the chart in words, for screen readers."""
    parts = []
    for letter, curves in zip(LETTERS, runs, strict=False):
        measured = [(arm_name(arm), curves[arm].mean[-1]) for arm in SHOWN_ARMS if arm in curves and curves[arm].mean]
        reached = ", ".join(f"{name} {format_accuracy(value)}" for name, value in measured)
        parts.append(f"{letter}: {reached or _('nothing measured yet')}")
    return _("Accuracy on the validation pictures at the last epoch. {runs}.").format(runs="; ".join(parts))


def dash_html(index: int) -> str:
    """Return a sample of a run's dash as HTML, for the legend. CSS draws it, because `st.html` keeps no SVG.

    Args:
        index: number of the run in the comparison, from 0.
    """
    return f'<i class="kd-line kd-line-{DASHES[index]}" aria-hidden="true"></i>'


def letter_html(index: int) -> str:
    """Return the letter of the run with this index (from 0) as HTML."""
    return f'<b class="kd-letter">{escape(LETTERS[index])}</b>'


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Return an axis range in whole tens of percent around the values, with room for a marker at both ends."""
    low, high = min(values, default=0.0), max(values, default=100.0)
    return 10 * ((low - 0.5) // 10), -10 * ((-high - 0.5) // 10)
