"""The data of the curves that the browser draws while a run trains. Pure, no streamlit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdcore.reports.curves import Curve
from pages.ui.kit import look
from pages.ui.kit.formats import arm_name, format_accuracy, format_interval
from pages.ui.run.view import has_band
from pages.ui.session.i18n import _


@dataclass(frozen=True)
class Reference:
    """A horizontal line to compare the curves with.

    Attributes:
        name: the label beside the line.
        value: the accuracy at which it is drawn, from 0 to 1.
        dash: "solid", "dash" or "dot".
        above: whether its label stands above the line on the right; otherwise below it on the left.
    """

    name: str
    value: float
    colour: str
    dash: str
    above: bool = False


def teacher_reference(accuracy: float) -> Reference:
    """Return the reference line at the teacher's accuracy on test."""
    return Reference(arm_name("teacher"), accuracy, look.TEACHER, "solid")


def ceiling_reference(accuracy: float) -> Reference:
    """Return the reference line at the accuracy of the Bayes classifier that knows the traits: no arm can do better."""
    return Reference(_("ceiling"), accuracy, look.MUTE, "dot", above=True)


def accuracy_range(curves: Mapping[str, Curve], references: Sequence[Reference]) -> tuple[float, float]:
    """Return the lowest and highest accuracy of the vertical axis, from 0 to 1.

    The ends are whole tenths (the top may be 1.04), so that the axis seldom moves while a run adds epochs.
    """
    lines = [curve.mean for curve in curves.values()]
    band_tops: list[float] = []
    for arm, curve in curves.items():
        if look.is_control(arm):  # drawn without band and seeds
            continue
        if has_band(curve):
            band_tops += curve.high or ()
        else:
            lines += curve.per_seed
    on_lines = [value for line in lines for value in line]
    highest = [*on_lines, *band_tops, *(reference.value for reference in references)]
    if not highest:
        return 0.0, 1.0
    lowest = min(on_lines, default=0.2)
    return max(0.0, math.floor(10 * lowest - 0.2) / 10), min(1.04, math.ceil(10 * max(highest) + 0.3) / 10)


def curves_data(
    curves: Mapping[str, Curve], epochs: int, references: Sequence[Reference] = (), words: str = "", note: str = ""
) -> dict[str, Any]:
    """Return the data from which the component `curves` draws validation accuracy, in percent, over the epochs.

    Args:
        epochs: the number of epochs of the whole run, so that the axis has its full length from the start.
        words: the text alternative of the chart, for screen readers.
        note: shown in the middle of a chart that has no curves yet.
    """
    low, high = accuracy_range(curves, references)
    return {
        "low": 100 * low,
        "high": 100 * high,
        "last": epochs + 0.4,
        "grid": [10 * tenth for tenth in range(round(10 * low), math.floor(10 * high + 1e-9) + 1)],
        "ticks": ticks(epochs),
        "axis": _("epoch"),
        "words": words,
        "note": note,
        "series": [_series(arm, curve) for arm, curve in sorted(curves.items(), key=_controls_first)],
        "references": [
            {
                "value": 100 * reference.value,
                "colour": reference.colour,
                "dash": reference.dash,
                "above": reference.above,
                "words": f"{reference.name} {format_accuracy(reference.value)}",
            }
            for reference in references
        ],
    }


def _controls_first(item: tuple[str, Curve]) -> bool:
    """Sort key that puts controls first, because curves drawn first lie under the others."""
    return not look.is_control(item[0])


def _series(arm: str, curve: Curve) -> dict[str, Any]:
    """Return one arm's curve; a control gets a thin line without a band, because many controls would hide the rest."""
    quiet = look.is_control(arm)

    def percent(values: Sequence[float] | None) -> list[float] | None:
        return None if values is None else [round(100 * value, 4) for value in values]

    return {
        "arm": arm,
        "colour": look.arm_colour(arm),
        "dash": look.arm_dash(arm),
        "marker": look.arm_marker(arm),
        "epochs": list(curve.epochs),
        "mean": percent(curve.mean),
        "quiet": quiet,
        "low": percent(curve.low) if has_band(curve) and not quiet else None,
        "high": percent(curve.high) if has_band(curve) and not quiet else None,
        "seeds": [] if has_band(curve) or quiet else [percent(values) for values in curve.per_seed],
        "says": [_tooltip_text(arm, curve, index) for index in range(len(curve.epochs))],
    }


def _tooltip_text(arm: str, curve: Curve, index: int) -> str:
    """Return the tooltip of a marker: epoch, arm, accuracy and its interval."""
    text = _("epoch {n}: {name} {value}")
    words = text.format(n=curve.epochs[index], name=arm_name(arm), value=format_accuracy(curve.mean[index]))
    if interval := curve.interval(index):
        words += f" ({format_interval(interval)})"
    return words


def ticks(epochs: int) -> list[int]:
    """Return at most seven round epochs, from 0, for the ticks of the axis."""
    step = next(step for power in range(5) for step in (10**power, 2 * 10**power, 5 * 10**power) if epochs / step <= 6)
    return list(range(0, epochs + 1, step))
