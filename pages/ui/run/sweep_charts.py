"""The charts of a sweep: one for a finished sweep, with error bars, and one for a sweep that still trains. Pure, no
streamlit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from pages.ui.kit import look
from pages.ui.kit.chart_style import GRID, TEXT_STYLE, TextStyle, error_bar, style_figure, with_opacity, wrap_name
from pages.ui.kit.formats import BAND_SEEDS, arm_name, format_accuracy
from pages.ui.kit.settings_words import setting_name, setting_value
from pages.ui.run.sweep_views import ARMS, Sweep, SweepPoint, axis_positions, point_name
from pages.ui.session.i18n import _

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


def sweep_chart(sweep: Sweep, text: TextStyle = TEXT_STYLE) -> go.Figure:
    """Draw the test accuracies of a finished sweep along its first setting, with 95 % intervals.

    Where other settings vary too, each combination of their values has a line. A baseline that is the same at every
    point is drawn as a band, any other as points. With fewer than `BAND_SEEDS` seeds an interval would fill the chart,
    so each seed is a faint dot instead. If the values are names, they are rows of the chart, which fits a phone.
    """
    figure = go.Figure()
    shared = _shared_baseline(sweep)
    if shared is not None:
        _band(figure, sweep, shared)
    for number, (name, points) in enumerate(sweep.lines().items()):
        for arm in ARMS if shared is None else ARMS[:1]:
            _line(figure, sweep, arm, name, points, DASHES[number % len(DASHES)])
    style_figure(figure, text, "sweep", legend=True)
    # On a phone the legend is above the chart with one entry per line, so the figure grows with the entries. Entries
    # are wide enough to show their dash.
    more = max(0, sum(bool(trace.name) for trace in figure.data) - 2)
    rows = round(3.8 * text.size) * len(sweep.along()) - 300 if sweep.is_words else 0  # names take two lines each
    figure.update_layout(height=420 + 24 * more + rows, hovermode="closest", legend_itemwidth=60)
    first, values = sweep.varied[0], sweep.along()
    names = [setting_value(first, value) for value in values]
    accuracy = {"ticksuffix": " %", "title_text": _("accuracy on test"), "gridcolor": GRID, "showgrid": True}
    if sweep.is_words:
        at = [_axis_position(sweep, value) for value in values]
        reach = [at[-1] - 0.6, at[0] + 0.6]
        figure.update_xaxes(nticks=6, **accuracy)
        figure.update_yaxes(tickvals=at, ticktext=[wrap_name(name) for name in names], range=reach, showgrid=False)
        return figure
    words = setting_name(first)
    title = _("{setting} (log scale)").format(setting=words) if sweep.is_log else words
    kind = "log" if sweep.is_log else "linear"
    figure.update_xaxes(title_text=title, type=kind, tickvals=values, ticktext=names)
    figure.update_yaxes(**accuracy)
    return figure


def growing_data(sweep: Sweep, words: str = "") -> dict[str, Any]:
    """Return the latest validation accuracies of a sweep that still trains, along its first setting.

    They are in the form that the component `curves` draws; it updates its drawing in place.

    Args:
        words: the chart in words, for screen readers.
    """
    at, first = {value: place - 0.5 for value, place in axis_positions(sweep).items()}, sweep.varied[0]
    series = []
    for number, (name, points) in enumerate(sweep.lines().items()):
        for arm in reversed(ARMS):  # distilled comes last, so it is drawn on top
            known = sorted((point for point in points if arm in point.arms), key=lambda one: at[one.values[first]])
            # Names have no order, so no line joins their points; the points of the two arms are shifted apart.
            apart = sweep.is_words and not name
            aside = (0.06 if arm == "distilled" else -0.06) if apart else 0.0
            curve = _growing_series(
                arm, name, [at[point.values[first]] + aside for point in known], known, sweep.varied
            )
            series.append({**curve, "dash": ("solid", "dash", "dot")[number % 3], "apart": apart})
    ends = [end for one in series for line in ("mean", "low", "high") for end in one[line] or ()]
    low, high = (min(ends) // 10 * 10, min(104.0, -(-max(ends) // 10) * 10 + 4)) if ends else (0.0, 100.0)
    return {
        "low": low,
        "high": high,
        "last": len(at),
        "grid": list(range(round(low), round(high) + 1, 10)),
        "ticks": list(at.values()),
        "tick_words": [str(value) if sweep.is_words else setting_value(first, value) for value in at],
        "stagger": sweep.is_words,  # names are long: every second one is on a second line
        "axis": "" if sweep.is_words else setting_name(first),
        "words": words,
        "series": series,
        "references": [],
    }


def _growing_series(
    arm: str, name: str, at: Sequence[float], points: Sequence[SweepPoint], varied: Sequence[str]
) -> dict[str, Any]:
    means = [100 * point.arms[arm]["mean"] for point in points]
    bounds = [point.arms[arm].get("ci95") for point in points]
    seeds = min((len(point.arms[arm]["per_seed"]) for point in points), default=0)
    whole = seeds >= BAND_SEEDS and all(bounds)
    called = f"{arm_name(arm)}, {name}" if name else arm_name(arm)
    return {
        "arm": called,
        "colour": look.arm_colour(arm),
        "marker": look.arm_marker(arm),
        "quiet": False,
        "epochs": list(at),
        "mean": means,
        "low": [100 * low for low, _high in bounds] if whole else None,
        "high": [100 * high for _low, high in bounds] if whole else None,
        "seeds": [],
        "says": [
            f"{point_name(point, varied)}: {arm_name(arm)} {format_accuracy(point.arms[arm]['mean'])}"
            for point in points
        ],
    }


def _axis_position(sweep: Sweep, value: Any) -> float:
    """Return where a value is on the axis: a number at itself, a name in a row of its own, the first on top."""
    return -float(sweep.along().index(value)) if sweep.is_words else float(value)


def _coordinates(sweep: Sweep, along: Sequence[float], accuracy: Sequence[float]) -> dict[str, Any]:
    """Return the coordinates of points for Plotly.

    Accuracy is on the x axis if the values of the first setting are names, else on the y axis.

    Args:
        along: positions on the axis of the first setting, from `_axis_position`.
        accuracy: in percent.
    """
    return {"y": along, "x": accuracy} if sweep.is_words else {"x": along, "y": accuracy}


def _has_too_few_seeds(estimate: Mapping[str, Any]) -> bool:
    """Return whether there are several seeds but fewer than `BAND_SEEDS`; their interval would fill the chart."""
    return 1 < len(estimate.get("per_seed") or ()) < BAND_SEEDS


def _shared_baseline(sweep: Sweep) -> Any:
    """Return the baseline's accuracy if it is the same at every point, else None.

    Points that differ only in what the teacher says share one baseline.
    """
    found = [point.arms["baseline"] for point in sweep.points]
    return found[0] if len(sweep.along()) > 1 and all(one == found[0] for one in found) else None


def _band(figure: go.Figure, sweep: Sweep, accuracy: Mapping[str, Any]) -> None:
    colour, places = look.arm_colour("baseline"), [_axis_position(sweep, value) for value in sweep.along()]
    ends = [min(places), max(places)]
    if sweep.is_words:
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


def _line(figure: go.Figure, sweep: Sweep, arm: str, name: str, points: Sequence[SweepPoint], dash: str) -> None:
    colour, first = look.arm_colour(arm), sweep.varied[0]
    known = [point for point in points if point.arms[arm]["mean"] is not None]
    if not sweep.is_words:
        known.sort(key=lambda point: float(point.values[first]))
    # Where every point has its own baseline, the two arms are shifted apart within the row of a name.
    aside = {"distilled": 0.1, "baseline": -0.1}[arm] if sweep.is_words and _shared_baseline(sweep) is None else 0.0
    along = [_axis_position(sweep, point.values[first]) + aside for point in known]
    errors = [error_bar(point.arms[arm], colour) for point in known]
    few = any(_has_too_few_seeds(point.arms[arm]) for point in known)
    if few:
        seeds = [(at, 100 * one) for at, point in zip(along, known, strict=True) for one in point.arms[arm]["per_seed"]]
        places, values = (list(part) for part in zip(*seeds, strict=True))
        figure.add_trace(
            go.Scatter(
                **_coordinates(sweep, places, values), mode="markers", hoverinfo="skip", showlegend=False,
                marker={"color": colour, "size": 8, "opacity": 0.4},
            )
        )  # fmt: skip
    bars: dict[str, Any] = {"visible": False}
    if known and not few and all(error.get("array") for error in errors):
        arrays = {key: [error[key][0] for error in errors] for key in ("array", "arrayminus")}
        bars = {**errors[0], **arrays}
    figure.add_trace(
        go.Scatter(
            **_coordinates(sweep, along, [100 * point.arms[arm]["mean"] for point in known]),
            # Names have no order, so only their markers are drawn; but with several lines, the line tells them apart.
            mode="markers" if sweep.is_words and not name else "markers+lines",
            name=f"{arm_name(arm)}, {name}" if name else arm_name(arm),
            line={"color": colour, "width": 2, "dash": dash},
            **{"error_x" if sweep.is_words else "error_y": bars},
            marker={"color": colour, "size": 13, "symbol": look.arm_marker(arm)},
            hovertext=[
                f"{setting_value(first, point.values[first])}: {format_accuracy(point.arms[arm]['mean'])}"
                for point in known
            ],
            hovertemplate="%{hovertext}<extra>%{fullData.name}</extra>",
        )
    )  # fmt: skip
