"""The two charts of a report as inline SVG without scripts or external resources, also for print. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from kdcore.reports.arm_style import CONTROL_COLOUR, arm_colour, arms_in_order
from kdcore.reports.curves import Curve
from kdcore.settings.controls import CONTROLS

DASHES = {"baseline": "8 5", "posterior": "2 4"}
WIDTH, LEFT, RIGHT = 720, 130, 24


def arm_title(arm: str) -> str:
    """Return the name that a report shows for an arm: a control's title in lower case, or the arm's own name."""
    return CONTROLS[arm].title.lower() if arm in CONTROLS else arm


def accuracy_chart(arms: Mapping[str, Any], ceiling: float | None = None) -> str:
    """Draw the test accuracy of every arm: its mean as a marker, its 95 % interval, and each seed as a faint dot.

    Arms without a mean are left out.

    Args:
        arms: arm -> its accuracy as a run's result holds it (`mean`, `ci95`, `per_seed`), 0 to 1.
        ceiling: accuracy of the Bayes classifier, 0 to 1, drawn as a vertical line; None for no line.

    Returns:
        An `<svg>` element, with all figures in its label for screen readers.
    """
    measured = {arm: row for arm, row in arms_in_order(arms).items() if row.get("mean") is not None}
    values = [value for row in measured.values() for value in (row["mean"], *(row["ci95"] or ()), *row["per_seed"])]
    low, high, step = _axis([value for value in [*values, ceiling] if value is not None])
    height, foot = 48 + 44 * len(measured), 34
    left = max([LEFT, *(22 + 7.5 * len(arm_title(arm)) for arm in measured if arm in CONTROLS)])

    def x(value: float) -> float:
        return left + (value - low) / (high - low) * (WIDTH - left - RIGHT)

    parts = []
    for value in _grid_values(low, high, step):
        parts.append(_line(x(value), 18, x(value), height - foot, "#d8dae0"))
        parts.append(_text(x(value), height - 12, _percent(value, step), "middle"))
    if ceiling is not None:
        parts.append(_line(x(ceiling), 18, x(ceiling), height - foot, CONTROL_COLOUR, 1.6, "2 4"))
        parts.append(_text(x(ceiling), 12, f"ceiling {100 * ceiling:.1f} %", "middle"))
    for place, (arm, accuracy) in enumerate(measured.items()):
        y, colour = 40 + 44 * place, arm_colour(arm)
        parts.append(_text(left - 14, y + 5, arm_title(arm), "end"))
        if len(accuracy["per_seed"]) > 1:
            seeds = (value for value in accuracy["per_seed"] if value is not None)
            parts += [f'<circle cx="{x(v):.1f}" cy="{y}" r="4" fill="{colour}" opacity=".35"/>' for v in seeds]
        if accuracy["ci95"]:
            start, end = (x(bound) for bound in accuracy["ci95"])
            parts.append(_line(start, y, end, y, colour, 2.5))
            parts += [_line(bound, y - 6, bound, y + 6, colour, 2.5) for bound in (start, end)]
        parts.append(_marker(arm, x(accuracy["mean"]), y, 7))
    words = "; ".join(f"{arm_title(arm)} {format_estimate(accuracy)}" for arm, accuracy in measured.items())
    return _svg(height, f"Accuracy on the test pictures: {words}.", parts)


def curves_chart(curves: Mapping[str, Curve], epochs: int) -> str:
    """Draw the validation accuracy (0 to 1) of every arm over the epochs as an `<svg>` element.

    Arms have a 95 % band over seeds where there are several seeds. Controls are thin grey lines without a band, because
    there may be many of them.

    Args:
        curves: arm -> its curve; empty curves are left out.
        epochs: epochs of the whole run, the right end of the axis.
    """
    measured = {arm: curve for arm, curve in arms_in_order(curves).items() if curve.mean}
    main = {arm: curve for arm, curve in measured.items() if arm not in CONTROLS}
    lines = [curve.mean for curve in measured.values()]
    lines += [bound for curve in main.values() for bound in (curve.low, curve.high) if bound]
    low, high, step = _axis([value for line in lines for value in line])
    height, foot, top = 320, 44, 34

    def x(epoch: float) -> float:
        return LEFT - 70 + epoch / max(epochs, 1) * (WIDTH - LEFT - RIGHT + 60)

    def y(value: float) -> float:
        return height - foot - (value - low) / (high - low) * (height - foot - top)

    parts = []
    for value in _grid_values(low, high, step):
        parts.append(_line(x(0), y(value), x(epochs), y(value), "#d8dae0"))
        parts.append(_text(x(0) - 8, y(value) + 5, _percent(value, step), "end"))
    label_distance = _round_up(max(epochs, 1) / 6)
    for epoch in range(0, epochs + 1, max(1, round(label_distance))):
        parts.append(_text(x(epoch), height - 22, str(epoch), "middle"))
    parts.append(_text(x(epochs / 2), height - 4, "epoch", "middle"))
    for arm, curve in main.items():
        if curve.low and curve.high:
            upper_edge = [f"{x(e):.1f},{y(v):.1f}" for e, v in zip(curve.epochs, curve.high, strict=True)]
            lower_edge = [f"{x(e):.1f},{y(v):.1f}" for e, v in zip(curve.epochs, curve.low, strict=True)]
            outline, colour = " ".join(upper_edge + lower_edge[::-1]), arm_colour(arm)
            parts.append(f'<polygon points="{outline}" fill="{colour}" opacity=".15"/>')
    controls_first = [arm for arm in measured if arm in CONTROLS] + list(main)  # so that they lie under the other lines
    for arm in controls_first:
        colour, dash, width = arm_colour(arm), DASHES.get(arm, ""), 2.5 if arm in main else 1.2
        curve = measured[arm]
        points = " ".join(f"{x(e):.1f},{y(v):.1f}" for e, v in zip(curve.epochs, curve.mean, strict=True))
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width:g}"{dashed}/>')
    for place, (arm, curve) in enumerate(main.items()):
        parts.append(_marker(arm, x(curve.epochs[-1]), y(curve.mean[-1]), 5))
        parts += [_marker(arm, x(0) + 12 + 150 * place, 12, 6), _text(x(0) + 26 + 150 * place, 17, arm, "start")]
    last = {arm: f"{100 * curve.mean[-1]:.1f} % at epoch {curve.epochs[-1]}" for arm, curve in measured.items()}
    words = "; ".join(f"{arm_title(arm)} {value}" for arm, value in last.items())
    return _svg(height, f"Accuracy on the validation pictures over the epochs: {words}.", parts)


def format_estimate(estimate: Mapping[str, Any] | None) -> str:
    """Format an estimate (0 to 1) with its interval, if any: `72.0 % (70.0 to 74.0 %)`; a dash if there is no mean.

    What is below 0, as a calibration error may be, is shown as 0.
    """
    if not estimate or estimate.get("mean") is None:
        return "–"
    mean, *ends = (100 * max(value, 0.0) for value in (estimate["mean"], *(estimate.get("ci95") or ())))
    return f"{mean:.1f} % ({ends[0]:.1f} to {ends[1]:.1f} %)" if ends else f"{mean:.1f} %"


def marker(arm: str) -> str:
    """Return the arm's chart marker as a small `<svg>` element, to be shown beside its name in text."""
    return f'<svg class="mark" viewBox="0 0 16 16" aria-hidden="true">{_marker(arm, 8, 8, 6)}</svg>'


def _svg(height: int, words: str, parts: Sequence[str]) -> str:
    label = escape(words)
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1.0, dash: str = "") -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width:g}"{dashed}/>'


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _marker(arm: str, x: float, y: float, r: float) -> str:
    fill = f'fill="{arm_colour(arm)}"'
    if arm == "baseline":
        return f'<rect x="{x - r:.1f}" y="{y - r:.1f}" width="{2 * r:.1f}" height="{2 * r:.1f}" {fill}/>'
    if arm in ("distilled", "posterior"):
        corners = {
            "distilled": ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)),
            "posterior": ((0, -1.2), (1.15, 0.9), (-1.15, 0.9)),
        }[arm]
        points = " ".join(f"{x + r * dx:.1f},{y + r * dy:.1f}" for dx, dy in corners)
        return f'<polygon points="{points}" {fill}/>'
    if arm in CONTROLS:
        ends = ((x - r, y - r, x + r, y + r), (x - r, y + r, x + r, y - r))
        return "".join(_line(*end, CONTROL_COLOUR, 0.45 * r) for end in ends)
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}" {fill}/>'


def _axis(values: Sequence[float]) -> tuple[float, float, float]:
    """Return round ends of an axis that covers these values (0 to 1), and the round distance of its grid lines."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    step = _round_up(max(high - low, 0.02) / 5)
    low, high = math.floor(low / step - 0.2) * step, math.ceil(high / step + 0.2) * step
    return max(low, 0.0), min(high, 1.0 + step / 4), step


def _grid_values(low: float, high: float, step: float) -> list[float]:
    return [step * n for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _round_up(value: float) -> float:
    """Return the smallest number of the form 1, 2 or 5 times a power of ten that is at least `value`."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * step for step in (1, 2, 5, 10) if power * step >= value * (1 - 1e-9))


def _percent(share: float, step: float) -> str:
    return f"{100 * share:.{0 if step >= 0.0099 else 1}f} %"
