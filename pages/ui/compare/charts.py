"""The charts of the Compare page's sections as Plotly figures, and each chart in words. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from kdcore.metrics.few_pictures import FEWEST_PICTURES
from kdcore.reports.arm_style import arms_in_order
from pages.ui.kit import look
from pages.ui.kit.chart_style import GRID, TEXT_STYLE, TextStyle, style_figure, wrap_name
from pages.ui.kit.formats import arm_name, format_signed, short_names
from pages.ui.session.i18n import _, ngettext

MOST_CLASSES = 20
FEW_PICTURES = 50  # a class with fewer test pictures has their number beside its name
MOST_LETTERS = 23  # of a name; with the number of pictures these are two lines, for which a class has room


@dataclass(frozen=True)
class ClassRow:
    """One class: accuracy of distilled minus baseline (-1 to 1) on its n test pictures, with the 95 % interval."""

    name: str
    mean: float
    low: float
    high: float
    n: int

    @property
    def claim(self) -> str:
        """The better student, "distilled" or "baseline"; "none" if the interval contains 0 or the pictures are few."""
        if self.n < FEWEST_PICTURES:
            return "none"
        if self.low > 0:
            return "distilled"
        return "baseline" if self.high < 0 else "none"


def class_rows(class_names: Sequence[str], differences: Sequence[Mapping[str, Any]]) -> list[ClassRow]:
    """Return one row per class, in class order; a class without test pictures is left out.

    Of more than `MOST_CLASSES` classes, those with the largest differences are returned.

    Args:
        differences: distilled minus baseline for every class, with "mean", "ci95" and "n".
    """
    rows = [
        ClassRow(name, difference["mean"], difference["ci95"][0], difference["ci95"][1], difference["n"])
        for name, difference in zip(class_names, differences, strict=True)
        if difference["n"]
    ]
    largest = sorted(range(len(rows)), key=lambda index: -abs(rows[index].mean))[:MOST_CLASSES]
    return [rows[index] for index in sorted(largest)]


def class_differences(rows: Sequence[ClassRow], text: TextStyle = TEXT_STYLE) -> go.Figure:
    """Draw each class as a dot with its interval; colour and marker tell which student is better, if either is."""
    shown = short_names([row.name for row in rows], MOST_LETTERS)
    names = [_label(name, row.n) for name, row in zip(shown, rows, strict=True)]
    figure = go.Figure()
    figure.add_vline(x=0, line={"color": look.MUTE, "width": 1.6})
    for claim in ("distilled", "baseline", "none"):
        chosen = [(name, row) for name, row in zip(names, rows, strict=True) if row.claim == claim]
        if not chosen:
            continue
        colour = look.arm_colour(claim)
        figure.add_trace(
            go.Scatter(
                x=[100 * row.mean for _name, row in chosen], y=[name for name, _row in chosen], mode="markers",
                name=claim, marker={"color": colour, "size": 13, "symbol": look.ARM_MARKERS.get(claim, "circle")},
                error_x={
                    "type": "data", "color": colour, "thickness": 2.5, "width": 6,
                    "array": [100 * (row.high - row.mean) for _name, row in chosen],
                    "arrayminus": [100 * (row.mean - row.low) for _name, row in chosen],
                },
                hovertemplate="%{y}: %{x:+.1f}<extra></extra>",
            )
        )  # fmt: skip
    style_figure(
        figure, text, "classes", height=110 + 36 * len(rows), hovermode="closest",
        xaxis={"title": _("points, distilled minus baseline"), "showgrid": True, "gridcolor": GRID, "nticks": 7},
        yaxis={"categoryorder": "array", "categoryarray": names[::-1], "showgrid": False},
    )  # fmt: skip
    return figure


def _label(name: str, pictures: int) -> str:
    return wrap_name(f"{name} (n\u00a0=\u00a0{pictures})" if pictures < FEW_PICTURES else name)


def classes_caption(rows: Sequence[ClassRow], classes: int, every_seed: bool) -> str:
    """Describe the chart in words: for how many classes a student is better, and which classes gain and lose most.

    Args:
        classes: number of classes of the dataset, of which `rows` may be a part.
        every_seed: whether the differences are over all seeds. If False, they are of one pair of networks, and the
            sentence speaks only of this pair.
    """
    claims = [row.claim for row in rows]
    gained, lost = claims.count("distilled"), claims.count("baseline")
    best, worst = max(rows, key=lambda row: row.mean), min(rows, key=lambda row: row.mean)
    better = _("Of {n} classes, the distilled student is better at {gained} and the baseline at {lost}")
    pair = _("Of {n} classes, this distilled network has more pictures right in {gained} and this baseline in {lost}")
    rest = _("for the others nothing can be claimed. Most: {best} {high} points; least: {worst} {low}.")
    text = f"{better if every_seed else pair}; {rest}"
    caption = text.format(
        n=len(rows), gained=gained, lost=lost, best=best.name, high=format_signed(best.mean), worst=worst.name,
        low=format_signed(worst.mean),
    )  # fmt: skip
    if len(rows) < classes:
        more = _("Shown are the {n} largest differences of {all} classes; of so many, some are large by chance.")
        caption += " " + more.format(n=len(rows), all=classes)
    return caption


def latency_curve(latency: Mapping[str, Sequence[Mapping[str, Any]]], text: TextStyle = TEXT_STYLE) -> go.Figure:
    """Draw the time of a batch (milliseconds) against the batch size, both on log scales.

    A marker is the p50, and a whisker reaches up to the p95.

    Args:
        latency: by arm, one measurement per batch size.
    """
    figure = go.Figure()
    for arm, times in arms_in_order(latency).items():
        colour = look.arm_colour(arm)
        figure.add_trace(
            go.Scatter(
                x=[one["batch_size"] for one in times], y=[one["p50"] for one in times], name=arm_name(arm),
                mode="markers+lines", line={"color": colour, "width": 2.5, "dash": look.arm_dash(arm)},
                marker={"color": colour, "size": 12, "symbol": look.arm_marker(arm)},
                error_y={
                    "type": "data", "color": colour, "thickness": 2, "width": 6,
                    "array": [one["p95"] - one["p50"] for one in times], "arrayminus": [0] * len(times),
                },
                hovertemplate="%{y:.2g} ms<extra>%{fullData.name}</extra>",
            )
        )  # fmt: skip
    sizes = sorted({one["batch_size"] for times in latency.values() for one in times})
    labels = [str(one) for one in sizes]
    steps = [step * 10.0**power for power in range(-3, 5) for step in (1, 2, 5)]
    names = [f"{step:g} ms" if step < 1000 else f"{step / 1000:g} s" for step in steps]
    style_figure(
        figure, text, "latency", legend=True,
        xaxis={"type": "log", "title": _("pictures at once (log scale)"), "tickvals": sizes, "ticktext": labels},
        yaxis={"type": "log", "title": _("time of a batch (log scale)"), "tickvals": steps, "ticktext": names},
    )  # fmt: skip
    return figure


def few_pictures_note(rows: Sequence[ClassRow]) -> str:
    """Say how many classes have fewer than `FEW_PICTURES` test pictures; "" when there is none.

    Where some have fewer than `FEWEST_PICTURES`, say that nothing is claimed of them.
    """
    few = len([row for row in rows if row.n < FEW_PICTURES])
    text = ngettext(
        "{n} class has fewer than {few} test pictures, which its wide interval shows.",
        "{n} classes have fewer than {few} test pictures, which their wide intervals show.",
        few,
    )
    note = text.format(n=few, few=FEW_PICTURES) if few else ""
    if any(row.n < FEWEST_PICTURES for row in rows):
        note += " " + _("Nothing is claimed of a class with fewer than {n}.").format(n=FEWEST_PICTURES)
    return note
