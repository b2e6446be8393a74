"""A table of several runs, one per column: first the settings that differ, then the results. Pure, no streamlit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from kdcore.reports.arm_style import arms_in_order
from kdcore.reports.comparison import Comparison
from pages.ui.kit.formats import arm_name, format_duration, format_when
from pages.ui.kit.settings_words import own_point_text, setting_names, setting_value
from pages.ui.kit.tables import MISSING_VALUE, Cell, Row, accuracy_cell, arm_mark, difference_cell
from pages.ui.run.sentences import status_name
from pages.ui.runs.comparison_charts import LETTERS, dash_html, letter_html
from pages.ui.session.i18n import _


def setting_rows(comparison: Comparison) -> list[Row]:
    """Return one row for each setting that is not the same in all runs."""
    names = setting_names()
    return [
        Row(
            names.get(setting.name, setting.name.replace("_", " ")),
            "",
            tuple(Cell(_setting_text(setting.name, value)) for value in setting.values),
        )
        for setting in comparison.settings
    ]


def result_rows(comparison: Comparison) -> list[tuple[str, Row]]:
    """Return the rows of results: accuracies, differences, calibration errors and time.

    Each row comes with the arm whose mark is shown beside its label, "" for none.
    """
    results = [row.result or {} for row in comparison.rows]
    rows: list[tuple[str, Row]] = []
    own_points = [own_point_text(row.config) for row in comparison.rows]
    if any(own_points):
        rows.append(("", Row(_("Of a sweep"), _("the point that is compared"), tuple(map(Cell, own_points)))))
    for arm in arms_in_order(dict.fromkeys(comparison.arms)):
        cells = tuple(accuracy_cell(_figure(result, arm, "accuracy")) for result in results)
        rows.append((arm, Row(arm_name(arm), _("test pictures right"), cells)))
        differences = comparison.differences[arm][1:]
        if arm in ("distilled", "baseline") and any(difference.mean is not None for difference in differences):
            label = _("{name}, minus {letter}").format(name=arm_name(arm), letter=LETTERS[0])
            cells = tuple(_difference_cell(difference.mean, difference.ci95) for difference in differences)
            rows.append(("", Row(label, _("points"), (Cell(""), *cells))))
    paired = [result.get("paired_difference") or {} for result in results]
    gains = tuple(_difference_cell(difference.get("mean"), difference.get("ci95")) for difference in paired)
    rows.append(("", Row(_("Distilled minus baseline"), _("points, seed by seed"), gains)))
    for arm in ("distilled", "baseline"):
        errors = tuple(accuracy_cell(_figure(result, arm, "ece")) for result in results)
        rows.append((arm, Row(_("Calibration error"), arm_name(arm), errors)))
    times = tuple(
        Cell(format_duration(result["seconds"]) if result.get("seconds") else MISSING_VALUE) for result in results
    )
    rows.append(("", Row(_("Time"), _("of the whole run"), times)))
    return rows


def comparison_html(comparison: Comparison, caption: str) -> str:
    """Return the comparison as an HTML table; every text is escaped."""
    heads = "".join(
        f'<th scope="col">{letter_html(index)}{dash_html(index)}<small>{escape(_head(row.status, row.created))}</small>'
        f"<small>{escape(', '.join(row.tags))}</small></th>"
        for index, row in enumerate(comparison.rows)
    )
    settings = [("", row) for row in setting_rows(comparison)]
    same = _("All settings are the same.")
    body = _section(_("Settings that differ"), settings, len(comparison.rows), same)
    if any(row.result for row in comparison.rows):
        body += _section(_("On the test pictures"), result_rows(comparison), len(comparison.rows), "")
    columns = len(comparison.rows)
    return (
        f'<div class="kd-wide" tabindex="0"><table class="kd-table kd-comparison" style="--runs:{columns}">'
        f"<caption>{escape(caption)}</caption><thead><tr><td></td>{heads}</tr></thead>{body}</table></div>"
    )


def comparison_notes(comparison: Comparison) -> list[str]:
    """Return the notes below the table, such as how its intervals were computed."""
    with_result = [row for row in comparison.rows if row.result]
    if len(with_result) < 2:
        return []
    if not comparison.same_pictures:
        return [_("These runs were tested on different pictures, so their accuracies are not subtracted.")]
    return [
        _(
            "Intervals are 95 %. “Minus {letter}” treats the runs as independent; runs that share seeds and pictures "
            "vary together, so its intervals are too wide rather than too narrow."
        ).format(letter=LETTERS[0])
    ]


def _section(title: str, rows: Sequence[tuple[str, Row]], runs: int, empty: str) -> str:
    lines = "".join(
        f'<tr><th scope="row">{arm_mark(arm) if arm else ""}{escape(row.label)}<small>{escape(row.note)}</small></th>'
        + "".join(f"<td>{escape(cell.value)}<small>{escape(cell.detail)}</small></td>" for cell in row.cells)
        + "</tr>"
        for arm, row in rows
    )
    if not rows:
        lines = f'<tr><td colspan="{runs + 1}">{escape(empty)}</td></tr>'
    head = f'<tr class="kd-section"><th colspan="{runs + 1}" scope="rowgroup">{escape(title)}</th></tr>'
    return f"<tbody>{head}{lines}</tbody>"


def _head(status: str, created: float) -> str:
    when = format_when(created)
    return when if status == "finished" else f"{when}, {status_name(status)}"


def _figure(result: Mapping[str, Any], arm: str, name: str) -> Mapping[str, Any] | None:
    return ((result.get("arms") or {}).get(arm) or {}).get(name)


def _difference_cell(mean: float | None, ci95: Sequence[float] | None) -> Cell:
    return difference_cell(mean, ci95, _("no interval"))


def _setting_text(name: str, value: object) -> str:
    if value is None:
        return MISSING_VALUE
    if isinstance(value, list):
        if name == "seeds" and value == list(range(len(value))):
            return str(len(value))
        return ", ".join(_setting_text(name, element) for element in value)
    if name == "controls":
        return arm_name(str(value))
    return setting_value(name, value)
