"""Tables with one column per arm and one row per quantity, and other small pieces of HTML.

The tables are narrow enough for a phone. The functions here only return data and HTML; they draw nothing themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from kdcore.reports.arm_style import arms_in_order
from pages.ui.kit import look
from pages.ui.kit.formats import (
    Readout,
    arm_name,
    format_accuracy,
    format_count,
    format_interval,
    format_ms,
    format_signed,
    format_size,
    no_break_percent,
)
from pages.ui.session.i18n import _

GLYPHS = {"circle": "●", "square": "■", "diamond": "◆", "triangle-up": "▲", "x": "✕"}
MISSING_VALUE = "–"


@dataclass(frozen=True)
class Cell:
    """A value, and the interval or other detail that is written under it in smaller type."""

    value: str
    detail: str = ""


@dataclass(frozen=True)
class Row:
    """One quantity for all arms, with a cell for each."""

    label: str
    note: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """A table with one column per arm, in the order of the legend."""

    arms: tuple[str, ...]
    rows: tuple[Row, ...]


def quality_table(arms: Mapping[str, Any], agreement: str) -> Table:
    """Return a table of accuracy, ECE and agreement of every arm, each with its 95 % interval.

    Args:
        arms: the arms of a run's result.
        agreement: the note under the word "Agreement" (see `agreement_note`).
    """
    ordered = arms_in_order(arms)
    rows = (
        Row(
            _("Accuracy"),
            _("test pictures right"),
            tuple(accuracy_cell(row.get("accuracy")) for row in ordered.values()),
        ),
        Row(
            _("Calibration error"),
            _("ECE: how far confidence is off"),
            tuple(accuracy_cell(row.get("ece")) for row in ordered.values()),
        ),
        Row(
            _("Agreement"),
            agreement,
            tuple(
                Cell(MISSING_VALUE) if arm == "teacher" else accuracy_cell(row.get("agreement"))
                for arm, row in ordered.items()
            ),
        ),
    )
    return Table(tuple(ordered), rows)


def cost_table(arms: Mapping[str, Any], latency: Mapping[str, Sequence[Mapping[str, Any]]] | None) -> Table:
    """Return a table of latency (p50 and p95), parameters, MACs and file size of every arm.

    Args:
        arms: the arms of a run's result.
        latency: by arm, the engine's measurements, one per batch size; None while they are not finished.
    """
    ordered = arms_in_order(arms)
    measured = {int(one["batch_size"]) for times in (latency or {}).values() for one in times}
    rows = [_latency_row(list(ordered), latency, size) for size in sorted(measured) or (1, 64)]
    rows += [
        Row(
            _("Parameters"),
            _("numbers learned"),
            tuple(Cell(format_count(row["num_params"])) for row in ordered.values()),
        ),
        Row(
            _("MACs"),
            _("multiplications for one picture"),
            tuple(Cell(format_count(row["macs"])) for row in ordered.values()),
        ),
        Row(_("Size"), _("of the file"), tuple(Cell(format_size(row["size_bytes"])) for row in ordered.values())),
    ]
    return Table(tuple(ordered), tuple(rows))


def _latency_row(arms: Sequence[str], latency: Mapping[str, Any] | None, batch_size: int) -> Row:
    label = _("Time, 1 picture") if batch_size == 1 else _("Time, {n} pictures").format(n=batch_size)
    cells = []
    for arm in arms:
        measured = next((one for one in (latency or {}).get(arm, ()) if one["batch_size"] == batch_size), None)
        if measured is None:
            cells.append(Cell("…"))
        else:
            cells.append(Cell(format_ms(measured["p50"]), _("p95 {ms}").format(ms=format_ms(measured["p95"]))))
    return Row(label, _("p50 at batch {n}").format(n=batch_size), tuple(cells))


def accuracy_cell(estimate: Mapping[str, Any] | None) -> Cell:
    """Return a share (0 to 1), such as an accuracy, with its interval; a dash where it is missing.

    Args:
        estimate: with "mean", which may be None, and "ci95", which may be missing or None.
    """
    if not estimate or estimate.get("mean") is None:
        return Cell(MISSING_VALUE)
    return Cell(format_accuracy(estimate["mean"]), format_interval(estimate["ci95"]) if estimate.get("ci95") else "")


def difference_cell(mean: float | None, ci95: Sequence[float] | None, without_interval: str = "") -> Cell:
    """Return a difference of two accuracies in percentage points with its interval; a dash where it is missing.

    Args:
        without_interval: the detail of a difference without an interval.
    """
    if mean is None:
        return Cell(MISSING_VALUE)
    if not ci95:
        return Cell(format_signed(mean), without_interval)
    low, high = (format_signed(bound) for bound in ci95)
    return Cell(format_signed(mean), _("{low} to {high}").format(low=low, high=high))


def join_tables(*tables: Table) -> Table:
    """Join tables of the same arms into one, in the order given."""
    return Table(tables[0].arms, tuple(row for table in tables for row in table.rows))


def cells_html(cells: Sequence[Cell]) -> str:
    """Return the cells of one row as HTML; every text is escaped."""
    return "".join(
        f"<td>{escape(cell.value)}<small>{escape(no_break_percent(cell.detail))}</small></td>" for cell in cells
    )


def table_html(table: Table, caption: str) -> str:
    """Return the table as HTML; every text is escaped."""
    head = "".join(f'<th scope="col">{arm_mark(arm)}{escape(arm_name(arm))}</th>' for arm in table.arms)
    body = "".join(
        f'<tr><th scope="row">{escape(row.label)}<small>{escape(row.note)}</small></th>'
        + cells_html(row.cells)
        + "</tr>"
        for row in table.rows
    )
    return (
        f'<table class="kd-table"><caption>{escape(caption)}</caption>'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def facts_html(facts: Sequence[tuple[str, str]]) -> str:
    """Return pairs of a name and a value, such as a run's configuration, as an HTML list; every text is escaped."""
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    return f'<dl class="kd-facts">{rows}</dl>'


def status_html(status: str, name: str, when: str) -> str:
    """Return HTML with a run's status (a coloured dot and `name`) and the time `when` it was started."""
    dot = f'<i class="kd-dot kd-{escape(status)}" aria-hidden="true"></i>'
    return f'<div class="kd-status">{dot}{escape(name)}<small>{escape(when)}</small></div>'


def readouts_html(readouts: Sequence[Readout], marked: bool = True) -> str:
    """Return HTML with the latest value of each arm in large type; above a chart it also serves as the legend.

    Controls follow below the other arms, in smaller type.

    Args:
        marked: whether each value carries its arm's marker and colour; False where all values are of one network.
    """
    large = [one for one in readouts if not (marked and look.is_control(one.arm))]
    small = [one for one in readouts if one not in large]
    return _readouts(large, marked, "") + (_readouts(small, marked, " kd-small") if small else "")


def _readouts(readouts: Sequence[Readout], marked: bool, css_class: str) -> str:
    items = "".join(
        f'<div class="kd-readout"><b>{escape(one.value)}</b>'
        f"<span>{arm_mark(one.arm) if marked else ''}{escape(one.name)}</span>"
        f"<small>{escape(no_break_percent(one.detail))}</small></div>"
        for one in readouts
    )
    return f'<div class="kd-readouts{css_class}">{items}</div>'


def arm_mark(arm: str) -> str:
    """Return the arm's marker in its colour as HTML, to be placed beside its name."""
    glyph = GLYPHS[look.arm_marker(arm)]
    return f'<i class="kd-mark" aria-hidden="true" style="color:{look.arm_colour(arm)}">{glyph}</i>'
