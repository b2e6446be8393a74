"""The tables of a report as HTML: settings, controls and the points of a sweep. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from html import escape
from typing import Any

from kdcore.reports.charts import arm_title, format_estimate, marker
from kdcore.reports.comparison import minus_distilled, pairs_controls
from kdcore.reports.words import unused_settings
from kdcore.settings.controls import CONTROLS
from kdcore.settings.describe import flat_settings, setting_text


def settings(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the name and value of each setting that the run's method uses, escaped for HTML.

    For a sweep these are the values at its own point, followed by one row with all values of each varied setting.
    """
    own = {
        name: value
        for name, value in flat_settings({**config, "vary": {}}).items()
        if name not in unused_settings(config)
    }
    varied = {f"{name}, varied": values for name, values in (config.get("vary") or {}).items()}
    return [(escape(name.replace("_", " ")), escape(setting_text(value))) for name, value in {**own, **varied}.items()]


def controls(result: Mapping[str, Any]) -> list[str]:
    """Return the section on the controls: what each changes, what theory expects, its result; [] without controls."""
    arms = {arm: row["accuracy"] for arm, row in result["arms"].items() if arm in CONTROLS}
    if not arms:
        return []
    rows = []
    for arm, accuracy in arms.items():
        explanation = f"{escape(CONTROLS[arm].sentence)} {escape(CONTROLS[arm].theory)}"
        difference = points(asdict(minus_distilled(result["arms"], arm)))
        rows.append((marker(arm) + escape(arm_title(arm)), explanation, cell(accuracy), difference))
    note = "Control minus distilled is taken seed by seed, on the same test pictures."
    if not pairs_controls(result["arms"]):
        note = (
            "The interval of a control minus distilled is computed as if the two were independent. They share seeds "
            "and pictures, so it is rather too wide than too narrow."
        )
    distilled_wins = (result.get("verdict") or {}).get("claim") == "distilled"
    return [
        "<h2>What carries the gain: the controls</h2>" if distilled_wins else "<h2>The controls</h2>",
        table(("control", "what is different, and what theory says", "accuracy", "minus distilled"), rows),
        f'<p class="note">{note}</p>',
    ]


def sweep(result: Mapping[str, Any]) -> list[str]:
    """Return the section with accuracies and paired difference at every point of a sweep; [] for a plain run."""
    sweep_result = result.get("sweep")
    if not sweep_result:
        return []
    heads = [escape(name.replace("_", " ")) for name in sweep_result["varied"]]
    rows = [
        (
            *(escape(setting_text(row["values"][name])) for name in sweep_result["varied"]),
            *(cell(row["arms"][arm]["accuracy"]) for arm in ("baseline", "distilled")),
            points(row["paired_difference"]),
        )
        for row in sweep_result["rows"]
    ]
    heads += [marker(arm) + arm for arm in ("baseline", "distilled")]
    return ["<h2>The sweep, on the test pictures</h2>", table((*heads, "distilled minus baseline"), rows)]


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], css_class: str = "") -> str:
    """Return an HTML table. All heads and cells must be HTML already; the first cell of each row is its row header.

    Args:
        css_class: CSS class of the table.
    """
    head = "".join(f'<th scope="col">{cell}</th>' if cell else "<td></td>" for cell in heads)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
        for first, *cells in rows
    )
    content = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="wide"><table class="{css_class}">{content}</table></div>'


def cell(estimate: Mapping[str, Any] | None) -> str:
    """Return the HTML of a table cell with an estimate (0 to 1) as percent and its interval on a second line."""
    value, _space, interval = format_estimate(estimate).partition(" (")
    return escape(value) + (f"<small>{escape(interval.rstrip(')'))}</small>" if interval else "")


def points(difference: Mapping[str, Any]) -> str:
    """Format a difference of two shares (-1 to 1), with its 95 % interval if any, in percentage points."""
    if difference.get("mean") is None:
        return "not measured"
    words = f"{100 * difference['mean']:+.1f} points"
    if interval := difference.get("ci95"):
        words += f", 95 % interval {100 * interval[0]:+.1f} to {100 * interval[1]:+.1f}"
    return words
