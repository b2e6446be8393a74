"""View-models of a sweep, finished or still training: its points, in words and as a table. Pure, no streamlit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from statistics import fmean
from typing import Any

from kdcore.events import EpochEnded, Event
from kdcore.reports.curves import seed_interval
from kdcore.settings.describe import own_point
from pages.ui.kit.formats import BAND_SEEDS, arm_name, format_accuracy, format_interval, format_signed, no_break_percent
from pages.ui.kit.settings_words import point_text, setting_name, setting_value
from pages.ui.kit.tables import MISSING_VALUE, Cell, arm_mark
from pages.ui.session.i18n import _

ARMS = ("distilled", "baseline")
LOG_AXIS_RATIO = (
    4.0  # an axis of positive values is logarithmic if the largest is at least this many times the smallest
)
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

    def along(self) -> list[Any]:
        """Return the values of the first varied setting, each once."""
        return list(dict.fromkeys(point.values[self.varied[0]] for point in self.points))

    def lines(self) -> dict[str, list[SweepPoint]]:
        """Group the points by the values of all varied settings but the first; the key is that combination in words.

        Where one setting is varied there is one group, and its key is "".
        """
        found: dict[str, list[SweepPoint]] = {}
        for point in self.points:
            found.setdefault(point_name(point, self.varied[1:]), []).append(point)
        return found

    @property
    def is_log(self) -> bool:
        """Whether the first setting's axis is logarithmic: its values are no shares, are positive and are far apart."""
        if is_share(self.varied[0]):
            return False
        values = self.along()
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        return numbers and min(values) > 0 and max(values) >= LOG_AXIS_RATIO * min(values)

    @property
    def is_words(self) -> bool:
        """Whether the first setting's values are names, not numbers."""
        return any(isinstance(value, str) for value in self.along())


def is_share(setting: str) -> bool:
    """Whether a setting goes from 0 to 1. A log scale would hide that its values are shares of a whole."""
    from kdcore.methods.registry import parameters_by_name

    parameter = parameters_by_name().get(setting)
    return setting in SHARE_SETTINGS or (parameter is not None and parameter.is_share)


def finished_sweep(result: Mapping[str, Any]) -> Sweep | None:
    """Return the sweep of a finished run, with accuracies on the test pictures; None for a plain run."""
    found = result.get("sweep")
    if not found:
        return None
    points = (
        SweepPoint(row["values"], {arm: row["arms"][arm]["accuracy"] for arm in ARMS}, row["paired_difference"])
        for row in found["rows"]
    )
    return Sweep(tuple(found["varied"]), tuple(points))


def growing_sweep(config: Mapping[str, Any], events: Sequence[Event]) -> Sweep | None:
    """Return the sweep of a run that still trains, with the latest validation accuracies; None for a plain run."""
    from kdcore.settings.sweeps import arms_of

    if not config.get("vary"):
        return None
    latest: dict[str, list[float]] = {}
    for event in events:
        for arm, curves in event.curves.items() if isinstance(event, EpochEnded) else ():
            if values := [value for value in curves.get("validation_accuracy", ()) if value is not None]:
                latest[arm] = values
    found = []
    for values, names in arms_of(config["vary"], own_point(config)):
        known = {arm: _estimate(latest[name]) for arm, name in names.items() if name in latest}
        found.append(SweepPoint(values, known))
    return Sweep(tuple(config["vary"]), tuple(found))


def _estimate(values: Sequence[float]) -> Estimate:
    interval = seed_interval(values)
    bounds = interval and [max(0.0, interval[0]), min(1.0, interval[1])]
    return {"mean": fmean(values), "ci95": bounds, "per_seed": list(values)}


def point_name(point: SweepPoint, names: Sequence[str]) -> str:
    """Return a point's values of the settings `names` in words, such as "temperature 4, labelled pictures 100"."""
    return point_text({name: point.values[name] for name in names})


def sweep_words(sweep: Sweep, what: str) -> str:
    """Describe the chart of a sweep in words.

    Args:
        what: the sentence that comes first; it says what was measured and on which pictures.
    """
    parts = []
    for point in sweep.points:
        known = [f"{arm_name(arm)} {_said(point.arms[arm])}" for arm in ARMS if arm in point.arms]
        if known:
            parts.append(f"{point_name(point, sweep.varied)}: {', '.join(known)}")
    if not parts:
        return _("No point has been checked on the validation pictures yet.")
    return f"{what} {'; '.join(parts)}."


def _said(estimate: Estimate) -> str:
    if estimate["mean"] is None:
        return MISSING_VALUE
    value = format_accuracy(estimate["mean"])
    return f"{value} ({format_interval(estimate['ci95'])})" if estimate.get("ci95") else value


def sweep_html(sweep: Sweep, caption: str) -> str:
    """Return an HTML table with one row per point: its values, both accuracies and, once known, the paired difference.

    Every text is escaped.
    """
    over = any(point.difference is not None for point in sweep.points)
    heads = [escape(_capital(setting_name(name))) for name in sweep.varied]
    heads += [f"{arm_mark(arm)}{escape(arm_name(arm))}" for arm in ARMS]
    heads += [escape(_("Distilled minus baseline"))] if over else []
    rows = ""
    for point in sweep.points:
        names = [escape(setting_value(name, point.values[name])) for name in sweep.varied]
        cells = [_accuracy_cell(point.arms.get(arm)) for arm in ARMS] + (
            [_difference_cell(point.difference)] if over else []
        )
        shown = "".join(
            f"<td>{escape(one.value)}<small>{escape(no_break_percent(one.detail))}</small></td>" for one in cells
        )
        rows += "<tr>" + "".join(f'<th scope="row">{name}</th>' for name in names) + shown + "</tr>"
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    return (
        f'<table class="kd-table kd-sweep{" kd-names" if sweep.is_words else ""}"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    )


def table_note(sweep: Sweep) -> str:
    """Say what the intervals in the table cover, and that the best of many points may be best by luck."""
    seeds = max((len(point.difference.get("per_seed", ())) for point in sweep.points if point.difference), default=0)
    if seeds < 2:
        return _("One seed gives no interval, and without one nothing can be claimed.")
    text = _(
        "Intervals are 95 %, over seeds and test pictures, and hold for one point each: of {n} points, some look best "
        "by luck. To choose a setting, look at the validation pictures, and measure it once more with other seeds."
    ).format(n=len(sweep.points))
    few = _("With so few seeds they are wide, so the chart shows each seed instead.")
    return f"{text} {few}" if seeds < BAND_SEEDS else text


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _accuracy_cell(estimate: Estimate | None) -> Cell:
    if not estimate or estimate["mean"] is None:
        return Cell(MISSING_VALUE)
    return Cell(format_accuracy(estimate["mean"]), format_interval(estimate["ci95"]) if estimate.get("ci95") else "")


def _difference_cell(difference: Estimate | None) -> Cell:
    if not difference or difference["mean"] is None:
        return Cell(MISSING_VALUE)
    if not difference.get("ci95"):
        return Cell(format_signed(difference["mean"]), _("no interval"))
    low, high = (format_signed(bound) for bound in difference["ci95"])
    return Cell(format_signed(difference["mean"]), _("{low} to {high}").format(low=low, high=high))


def axis_positions(sweep: Sweep) -> dict[Any, float]:
    """Return the position of each value of the first setting on an axis from 1 to the number of values.

    Names are equally far apart; numbers are placed to scale, on a log scale where `Sweep.is_log` says so.
    """
    values = sweep.along()
    if sweep.is_words or len(values) == 1:
        return {value: place + 1.0 for place, value in enumerate(values)}
    scaled = [math.log(value) if sweep.is_log else float(value) for value in values]
    low, span = min(scaled), max(scaled) - min(scaled)
    return {value: 1.0 + (len(values) - 1) * (at - low) / span for value, at in zip(values, scaled, strict=True)}
