"""View-models of a sweep, finished or still training: its points, in words and as a table. Pure, no streamlit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from statistics import fmean
from typing import Any

from kdcore.events import EpochEnded, Event
from kdcore.metrics.few_pictures import FEWEST_PICTURES
from kdcore.reports.curves import seed_interval
from kdcore.reports.words import has_too_few_pictures
from kdcore.settings.describe import own_point
from pages.ui.kit.formats import BAND_SEEDS, arm_name, capitalised, format_accuracy, format_interval
from pages.ui.kit.settings_words import point_text, setting_name, setting_value
from pages.ui.kit.tables import MISSING_VALUE, accuracy_cell, arm_mark, cells_html, difference_cell
from pages.ui.session.i18n import _

ARMS = ("distilled", "baseline")
# An axis of positive values is logarithmic if the largest is at least this many times the smallest.
LOG_AXIS_RATIO = 4.0
SHARE_SETTINGS = ("distill_weight", "label_smoothing")  # beside them, parameters of methods can be shares

Estimate = Mapping[str, Any]  # with `mean`, `ci95` and `per_seed`, as in a run's result


@dataclass(frozen=True)
class SweepPoint:
    """One combination of the varied values.

    Attributes:
        values: value by varied setting, in the order of the sweep.
        arms: accuracy of baseline and distilled; an arm that was not measured yet is missing.
        difference: distilled minus baseline, paired by seed; None while the run goes on.
    """

    values: Mapping[str, Any]
    arms: Mapping[str, Estimate]
    difference: Estimate | None = None


@dataclass(frozen=True)
class Sweep:
    """A sweep: the names of the varied settings, and the points in the order of the sweep."""

    varied: tuple[str, ...]
    points: tuple[SweepPoint, ...]

    def first_values(self) -> list[Any]:
        """Return the values of the first varied setting, each once."""
        return list(dict.fromkeys(point.values[self.varied[0]] for point in self.points))

    def lines(self) -> dict[str, list[SweepPoint]]:
        """Group the points by the values of all varied settings but the first; the key is that combination in words.

        Where one setting is varied there is one group, and its key is "".
        """
        lines: dict[str, list[SweepPoint]] = {}
        for point in self.points:
            lines.setdefault(point_name(point, self.varied[1:]), []).append(point)
        return lines

    @property
    def is_log(self) -> bool:
        """Whether the first setting's axis is logarithmic: its values are no shares, are positive and are far apart."""
        if is_share(self.varied[0]):
            return False
        values = self.first_values()
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        return numbers and min(values) > 0 and max(values) >= LOG_AXIS_RATIO * min(values)

    @property
    def has_names(self) -> bool:
        """Whether the first setting's values are names, not numbers."""
        return any(isinstance(value, str) for value in self.first_values())


def is_share(setting: str) -> bool:
    """Whether a setting goes from 0 to 1. A log scale would hide that its values are shares of a whole."""
    from kdcore.methods.registry import parameters_by_name  # loads torch, which takes seconds

    parameter = parameters_by_name().get(setting)
    return setting in SHARE_SETTINGS or (parameter is not None and parameter.is_share)


def finished_sweep(result: Mapping[str, Any]) -> Sweep | None:
    """Return the sweep of a finished run, with accuracies on the test pictures; None for a plain run."""
    sweep = result.get("sweep")
    if not sweep:
        return None
    points = (
        SweepPoint(row["values"], {arm: row["arms"][arm]["accuracy"] for arm in ARMS}, row["paired_difference"])
        for row in sweep["rows"]
    )
    return Sweep(tuple(sweep["varied"]), tuple(points))


def growing_sweep(config: Mapping[str, Any], events: Sequence[Event]) -> Sweep | None:
    """Return the sweep of a run that still trains, with the latest validation accuracies; None for a plain run."""
    from kdcore.settings.sweeps import arms_of  # loads torch, which takes seconds

    if not config.get("vary"):
        return None
    latest: dict[str, list[float]] = {}  # validation accuracy of each seed, by the arm's name in the events
    for event in events:
        if isinstance(event, EpochEnded):
            for name, curves in event.curves.items():
                values = [value for each in curves.values() for value in each]
                if None in values:  # a student diverged
                    latest.pop(name, None)
                elif accuracies := curves.get("validation_accuracy"):
                    latest[name] = [value for value in accuracies if value is not None]
    points = []
    for varied_values, names in arms_of(config["vary"], own_point(config)):
        arms = {arm: _estimate(latest[name]) for arm, name in names.items() if name in latest}
        points.append(SweepPoint(varied_values, arms))
    return Sweep(tuple(config["vary"]), tuple(points))


def _estimate(values: Sequence[float]) -> Estimate:
    interval = seed_interval(values)
    bounds = None if interval is None else [max(0.0, interval[0]), min(1.0, interval[1])]
    return {"mean": fmean(values), "ci95": bounds, "per_seed": list(values)}


def point_name(point: SweepPoint, names: Sequence[str]) -> str:
    """Return a point's values of the settings `names` in words, such as "temperature 4, labelled pictures 100"."""
    return point_text({name: point.values[name] for name in names})


def sweep_caption(sweep: Sweep, lead: str) -> str:
    """Describe the chart of a sweep in words.

    Args:
        lead: the sentence that comes first; it says what was measured and on which pictures.
    """
    parts = []
    for point in sweep.points:
        measured = [f"{arm_name(arm)} {_accuracy_text(point.arms[arm])}" for arm in ARMS if arm in point.arms]
        if measured:
            parts.append(f"{point_name(point, sweep.varied)}: {', '.join(measured)}")
    if not parts:
        return _("No point has been checked on the validation pictures yet.")
    return f"{lead} {'; '.join(parts)}."


def _accuracy_text(estimate: Estimate) -> str:
    if estimate["mean"] is None:
        return MISSING_VALUE
    value = format_accuracy(estimate["mean"])
    return f"{value} ({format_interval(estimate['ci95'])})" if estimate.get("ci95") else value


def sweep_html(sweep: Sweep, caption: str) -> str:
    """Return an HTML table with one row per point: its values, both accuracies and, once known, the paired difference.

    Every text is escaped.
    """
    finished = any(point.difference is not None for point in sweep.points)
    heads = [escape(capitalised(setting_name(name))) for name in sweep.varied]
    heads += [f"{arm_mark(arm)}{escape(arm_name(arm))}" for arm in ARMS]
    heads += [escape(_("Distilled minus baseline"))] if finished else []
    rows = ""
    for point in sweep.points:
        names = [escape(setting_value(name, point.values[name])) for name in sweep.varied]
        cells = [accuracy_cell(point.arms.get(arm)) for arm in ARMS]
        if finished:
            difference = point.difference or {}
            cells.append(difference_cell(difference.get("mean"), difference.get("ci95"), _("no interval")))
        rows += "<tr>" + "".join(f'<th scope="row">{name}</th>' for name in names) + cells_html(cells) + "</tr>"
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    return (
        f'<table class="kd-table kd-sweep{" kd-names" if sweep.has_names else ""}"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    )


def table_note(sweep: Sweep) -> str:
    """Say what the intervals in the table cover, and that the best of many points may be best by luck."""
    seeds = max((len(point.difference.get("per_seed", ())) for point in sweep.points if point.difference), default=0)
    if seeds < 2:
        return _("One seed gives no interval, and without one nothing can be claimed.")
    if any(has_too_few_pictures({"paired_difference": point.difference}) for point in sweep.points):
        text = _("Fewer than {n} test pictures give no interval, and without one nothing can be claimed.")
        return text.format(n=FEWEST_PICTURES)
    text = _(
        "Intervals are 95 %, over seeds and test pictures, and hold for one point each: of {n} points, some look best "
        "by luck. To choose a setting, look at the validation pictures, and measure it once more with other seeds."
    ).format(n=len(sweep.points))
    if seeds < BAND_SEEDS:
        text += " " + _("With so few seeds they are wide, so the chart shows each seed instead.")
    return text


def axis_positions(sweep: Sweep) -> dict[Any, float]:
    """Return the position of each value of the first setting on an axis from 1 to the number of values.

    Names are equally far apart; numbers are placed to scale, on a log scale where `Sweep.is_log` says so.
    """
    values = sweep.first_values()
    if sweep.has_names or len(values) == 1:
        return {value: index + 1.0 for index, value in enumerate(values)}
    scaled = [math.log(value) if sweep.is_log else float(value) for value in values]
    low, span = min(scaled), max(scaled) - min(scaled)
    return {
        value: 1.0 + (len(values) - 1) * (number - low) / span for value, number in zip(values, scaled, strict=True)
    }
