"""Several runs on one chart: an arm keeps its colour and marker, a run its letter and its line. Pure, no streamlit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import plotly.graph_objects as go

from pages.ui import look
from pages.ui.charts import GRID, TYPE, Type
from pages.ui.i18n import _
from pages.ui.viewmodels import Curve, arm_name, format_accuracy

LETTERS = "ABCDEF"
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SHOWN_ARMS = ("distilled", "baseline")
HEIGHT = 420


def overlaid_curves(runs: Sequence[Mapping[str, Curve]], revision: str, text: Type = TYPE) -> go.Figure:
    """Accuracy on validation of distilled and baseline of each run, each line with its run's letter at its end.

    Args:
        runs: arm -> curve, in the order of the letters; a run that has none yet keeps its letter.
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
    _style(figure, text, revision)
    low, high = _range([value for trace in figure.data for value in trace.y])
    figure.update_yaxes(range=[low, high])
    figure.update_xaxes(range=[0, 1.06 * max((end[0] for end in ends), default=1)])
    gap = (high - low) * 1.25 * text.size / HEIGHT
    for epoch in {end[0] for end in ends}:  # letters crowd where lines end together
        here = [end for end in ends if end[0] == epoch]
        for place, (_epoch, _value, letter, colour) in zip(spread([end[1] for end in here], gap), here, strict=True):
            figure.add_annotation(
                x=epoch, xanchor="left", xshift=10, y=place, showarrow=False, text=f"<b>{letter}</b>",
                font={"size": text.size, "color": colour},
            )  # fmt: skip
    return figure


def spread(values: Sequence[float], gap: float) -> list[float]:
    """The values moved apart by at least `gap`, in the same order and around the same middle where they crowd."""
    order = sorted(range(len(values)), key=lambda index: values[index])
    groups: list[tuple[list[int], float]] = []  # indices that touch, and the place of their middle
    for index in order:
        groups.append(([index], values[index]))
        while len(groups) > 1:
            (one, low), (other, high) = groups[-2:]
            if high - low >= gap * (len(one) + len(other)) / 2 - 1e-12:
                break
            middle = (low * len(one) + high * len(other)) / (len(one) + len(other))
            groups[-2:] = [([*one, *other], middle)]
    places = [0.0] * len(values)
    for members, middle in groups:
        for place, index in enumerate(members):
            places[index] = middle + gap * (place - (len(members) - 1) / 2)
    return places


def overlay_words(runs: Sequence[Mapping[str, Curve]]) -> str:
    """The chart in words."""
    parts = []
    for letter, curves in zip(LETTERS, runs, strict=False):
        known = [(arm_name(arm), curves[arm].mean[-1]) for arm in SHOWN_ARMS if arm in curves and curves[arm].mean]
        reached = ", ".join(f"{name} {format_accuracy(value)}" for name, value in known)
        parts.append(f"{letter}: {reached or _('nothing measured yet')}")
    return _("Accuracy on the validation pictures at the last epoch. {runs}.").format(runs="; ".join(parts))


def line_html(place: int) -> str:
    """The line of the run at this place, for beside its letter; `runs.css` draws it, for a page's HTML holds no SVG."""
    return f'<i class="kd-line kd-line-{DASHES[place]}" aria-hidden="true"></i>'


def letter_html(place: int) -> str:
    """The letter of the run at this place."""
    return f'<b class="kd-letter">{escape(LETTERS[place])}</b>'


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Whole tens around the values, in percent, with room for a marker at both ends."""
    low, high = min(values, default=0.0), max(values, default=100.0)
    return 10 * ((low - 0.5) // 10), -10 * ((-high - 0.5) // 10)


def _style(figure: go.Figure, text: Type, revision: str) -> None:
    figure.update_layout(
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", font=text.font, showlegend=False,
        margin={"l": 8, "r": 12, "t": 12, "b": 8}, hovermode="x unified", hoverlabel={"font": {"size": text.size}},
        uirevision=revision, dragmode=False, height=HEIGHT,
    )  # fmt: skip
    axis = {"title_font": text.font, "tickfont": text.font, "zeroline": False, "fixedrange": True, "automargin": True}
    figure.update_xaxes(showgrid=False, title_text=_("epoch"), tickformat="d", rangemode="tozero", **axis)
    figure.update_yaxes(gridcolor=GRID, ticksuffix=" %", **axis)
