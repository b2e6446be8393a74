"""The charts of a sweep: one for a finished sweep, with error bars, and one for a sweep that still trains. Pure, no
streamlit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from pages.ui.kit import look
from pages.ui.kit.chart_style import (
    DASHES,
    GRID,
    TEXT_STYLE,
    TextStyle,
    error_bar,
    style_figure,
    with_opacity,
    wrap_name,
)
from pages.ui.kit.formats import BAND_SEEDS, arm_name, format_accuracy
from pages.ui.kit.settings_words import setting_name, setting_value
from pages.ui.run.sweep_views import ARMS, Estimate, Sweep, SweepPoint, axis_positions, point_name
from pages.ui.session.i18n import _


def sweep_chart(sweep: Sweep, text: TextStyle = TEXT_STYLE) -> go.Figure:
    """Draw the test accuracies of a finished sweep along its first setting, with 95 % intervals.

    Where other settings vary too, each combination of their values has a line. A baseline that is the same at every
    point is drawn as a band, any other as points. With fewer than `BAND_SEEDS` seeds an interval would fill the chart,
    so each seed is a faint dot instead. If the values are names, they are rows of the chart, which fits a phone.
    """
    figure = go.Figure()
    baseline = _shared_baseline(sweep)
    if baseline is not None:
        _add_band(figure, sweep, baseline)
    for number, (name, points) in enumerate(sweep.lines().items()):
        for arm in ARMS if baseline is None else ("distilled",):
            _add_line(figure, sweep, arm, name, points, DASHES[number % len(DASHES)])
    # On a phone the legend is above the chart with one entry per line, so the figure grows with the entries. Entries
    # are wide enough to show their dash.
    further_entries = max(0, len([trace for trace in figure.data if trace.name]) - 2)
    rows = (
        round(3.8 * text.size) * len(sweep.first_values()) - 300 if sweep.has_names else 0
    )  # names take two lines each
    height = 420 + 24 * further_entries + rows
    first, values = sweep.varied[0], sweep.first_values()
    names = [setting_value(first, value) for value in values]
    accuracy = {"ticksuffix": " %", "title": _("accuracy on test"), "gridcolor": GRID, "showgrid": True}
    if sweep.has_names:
        positions = [_axis_position(sweep, value) for value in values]
        reach = [positions[-1] - 0.6, positions[0] + 0.6]
        labels = [wrap_name(name) for name in names]
        xaxis: dict[str, Any] = {"nticks": 6, **accuracy}
        yaxis: dict[str, Any] = {"tickvals": positions, "ticktext": labels, "range": reach, "showgrid": False}
    else:
        title, scale = setting_name(first), "linear"
        if sweep.is_log:
            title, scale = _("{setting} (log scale)").format(setting=title), "log"
        xaxis, yaxis = {"title": title, "type": scale, "tickvals": values, "ticktext": names}, accuracy
    style_figure(
        figure, text, "sweep", xaxis, yaxis, legend=True, height=height, hovermode="closest", legend_itemwidth=60
    )
    return figure


def growing_data(sweep: Sweep, words: str = "") -> dict[str, Any]:
    """Return the latest validation accuracies of a sweep that still trains, along its first setting.

    They are in the form that the component `curves` draws; it updates its drawing in place.

    Args:
        words: the chart in words, for screen readers.
    """
    first = sweep.varied[0]
    position = {value: place - 0.5 for value, place in axis_positions(sweep).items()}
    series = []
    for number, (name, points) in enumerate(sweep.lines().items()):
        dash = ("solid", "dash", "dot")[number % 3]  # the component knows no others
        # Names have no order, so no line joins their points; the points of the two arms are shifted apart.
        apart = sweep.has_names and not name
        offsets = {"distilled": 0.06, "baseline": -0.06} if apart else dict.fromkeys(ARMS, 0.0)
        for arm in reversed(ARMS):  # distilled comes last, so it is drawn on top
            measured = [point for point in points if arm in point.arms]
            measured.sort(key=lambda point: position[point.values[first]])
            positions = [position[point.values[first]] + offsets[arm] for point in measured]
            curve = _growing_series(arm, name, positions, measured, sweep.varied)
            series.append({**curve, "dash": dash, "apart": apart})
    low, high = _percent_range([end for line in series for key in ("mean", "low", "high") for end in line[key] or ()])
    return {
        "low": low,
        "high": high,
        "last": len(position),
        "grid": list(range(round(low), round(high) + 1, 10)),
        "ticks": list(position.values()),
        "tick_words": [str(value) if sweep.has_names else setting_value(first, value) for value in position],
        "stagger": sweep.has_names,  # names are long: every second one is on a second line
        "axis": "" if sweep.has_names else setting_name(first),
        "words": words,
        "series": series,
        "references": [],
    }


def _percent_range(ends: Sequence[float]) -> tuple[float, float]:
    """Return an axis range in whole tens of percent around the values, with room for a marker at the top."""
    if not ends:
        return 0.0, 100.0
    return 10.0 * math.floor(min(ends) / 10), min(104.0, 10.0 * math.ceil(max(ends) / 10) + 4)


def _growing_series(
    arm: str, name: str, positions: Sequence[float], points: Sequence[SweepPoint], varied: Sequence[str]
) -> dict[str, Any]:
    means = [100 * point.arms[arm]["mean"] for point in points]
    bounds: list[Any] = [point.arms[arm].get("ci95") for point in points]
    seeds = min((len(point.arms[arm]["per_seed"]) for point in points), default=0)
    has_band = seeds >= BAND_SEEDS and all(bounds)
    return {
        "arm": _line_name(arm, name),
        "colour": look.arm_colour(arm),
        "marker": look.arm_marker(arm),
        "quiet": False,
        "epochs": list(positions),
        "mean": means,
        "low": [100 * low for low, _high in bounds] if has_band else None,
        "high": [100 * high for _low, high in bounds] if has_band else None,
        "seeds": [],
        "says": [
            f"{point_name(point, varied)}: {arm_name(arm)} {format_accuracy(point.arms[arm]['mean'])}"
            for point in points
        ],
    }


def _axis_position(sweep: Sweep, value: Any) -> float:
    """Return where a value is on the axis: a number at itself, a name in a row of its own, the first on top."""
    return -float(sweep.first_values().index(value)) if sweep.has_names else float(value)


def _line_name(arm: str, name: str) -> str:
    return f"{arm_name(arm)}, {name}" if name else arm_name(arm)


def _coordinates(sweep: Sweep, positions: Sequence[float], accuracy: Sequence[float]) -> dict[str, Any]:
    """Return the coordinates of points for Plotly.

    Accuracy is on the x axis if the values of the first setting are names, else on the y axis.

    Args:
        positions: on the axis of the first setting, from `_axis_position`.
        accuracy: in percent.
    """
    return {"y": positions, "x": accuracy} if sweep.has_names else {"x": positions, "y": accuracy}


def _has_too_few_seeds(estimate: Mapping[str, Any]) -> bool:
    """Return whether there are several seeds but fewer than `BAND_SEEDS`; their interval would fill the chart."""
    return 1 < len(estimate.get("per_seed") or ()) < BAND_SEEDS


def _shared_baseline(sweep: Sweep) -> Any:
    """Return the baseline's accuracy if it is the same at every point, else None.

    Points that differ only in the teacher, its soft labels or the method share one baseline.
    """
    first, *others = (point.arms["baseline"] for point in sweep.points)
    shared = first["mean"] is not None and all(other == first for other in others)
    return first if len(sweep.first_values()) > 1 and shared else None


def _add_band(figure: go.Figure, sweep: Sweep, accuracy: Mapping[str, Any]) -> None:
    """Add a baseline that all points share: a line, with its interval as a band or its seeds as thin lines."""
    colour = look.arm_colour("baseline")
    positions = [_axis_position(sweep, value) for value in sweep.first_values()]
    ends = [min(positions), max(positions)]
    if sweep.has_names:
        ends = [ends[0] - 0.4, ends[1] + 0.4]
    if _has_too_few_seeds(accuracy):
        for value in accuracy["per_seed"]:
            thin = {"color": with_opacity(colour, 0.55), "width": 1.25}
            figure.add_trace(
                go.Scatter(
                    **_coordinates(sweep, ends, [100 * value] * 2), mode="lines", line=thin, hoverinfo="skip",
                    showlegend=False,
                )
            )  # fmt: skip
    elif accuracy.get("ci95"):
        low, high = (100 * bound for bound in accuracy["ci95"])
        figure.add_trace(
            go.Scatter(
                **_coordinates(sweep, [*ends, *ends[::-1]], [high, high, low, low]), fill="toself", mode="lines",
                fillcolor=with_opacity(colour, 0.16), line={"width": 0}, hoverinfo="skip", showlegend=False,
            )
        )  # fmt: skip
    mean = 100 * accuracy["mean"]
    figure.add_trace(
        go.Scatter(
            **_coordinates(sweep, ends, [mean] * 2), mode="lines", name=arm_name("baseline"),
            hovertemplate=f"{mean:.1f} %",
            line={"color": colour, "width": 2.5, "dash": look.arm_dash("baseline")},
        )
    )  # fmt: skip


def _add_line(figure: go.Figure, sweep: Sweep, arm: str, name: str, points: Sequence[SweepPoint], dash: str) -> None:
    """Add the means of one arm at the points of one line, with their intervals or with each seed as a faint dot."""
    colour, first = look.arm_colour(arm), sweep.varied[0]
    measured = [point for point in points if point.arms[arm]["mean"] is not None]
    if not sweep.has_names:
        measured.sort(key=lambda point: float(point.values[first]))
    # Where every point has its own baseline, the two arms are shifted apart within the row of a name.
    offset = {"distilled": 0.1, "baseline": -0.1}[arm] if sweep.has_names and _shared_baseline(sweep) is None else 0.0
    positions = [_axis_position(sweep, point.values[first]) + offset for point in measured]
    estimates = [point.arms[arm] for point in measured]
    if any(_has_too_few_seeds(estimate) for estimate in estimates):
        _add_seed_dots(figure, sweep, positions, estimates, colour)
        bars: dict[str, Any] = {"visible": False}
    else:
        bars = _error_bars(estimates, colour)
    figure.add_trace(
        go.Scatter(
            **_coordinates(sweep, positions, [100 * estimate["mean"] for estimate in estimates]),
            # Names have no order, so only their markers are drawn; but with several lines, the line tells them apart.
            mode="markers" if sweep.has_names and not name else "markers+lines",
            name=_line_name(arm, name),
            line={"color": colour, "width": 2, "dash": dash},
            **{"error_x" if sweep.has_names else "error_y": bars},
            marker={"color": colour, "size": 13, "symbol": look.arm_marker(arm)},
            hovertext=[
                f"{setting_value(first, point.values[first])}: {format_accuracy(point.arms[arm]['mean'])}"
                for point in measured
            ],
            hovertemplate="%{hovertext}<extra>%{fullData.name}</extra>",
        )
    )  # fmt: skip


def _add_seed_dots(
    figure: go.Figure, sweep: Sweep, positions: Sequence[float], estimates: Sequence[Estimate], colour: str
) -> None:
    dot_positions, accuracies = [], []
    for position, estimate in zip(positions, estimates, strict=True):
        for accuracy in estimate["per_seed"]:
            dot_positions.append(position)
            accuracies.append(100 * accuracy)
    figure.add_trace(
        go.Scatter(
            **_coordinates(sweep, dot_positions, accuracies), mode="markers",
            hoverinfo="skip", showlegend=False, marker={"color": colour, "size": 8, "opacity": 0.4},
        )
    )  # fmt: skip


def _error_bars(estimates: Sequence[Estimate], colour: str) -> dict[str, Any]:
    """Return the error bars of several markers of one trace; none are drawn unless every marker has an interval."""
    bars = [error_bar(estimate, colour) for estimate in estimates]
    if not bars or not all(bar.get("array") for bar in bars):
        return {"visible": False}
    return {**bars[0], **{key: [bar[key][0] for bar in bars] for key in ("array", "arrayminus")}}
