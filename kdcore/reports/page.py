"""One run as a self-contained HTML page, for reading, sending and printing.

Charts and styles are inline, there is no script, and nothing is loaded from anywhere. Text from users is escaped.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from kdcore.events import Event
from kdcore.reports import tables
from kdcore.reports.arm_style import arms_in_order
from kdcore.reports.charts import accuracy_chart, curves_chart, marker
from kdcore.reports.comparison import CLAIMS, claim_counts
from kdcore.reports.curves import validation_curves
from kdcore.reports.tables import cell, points, settings, table
from kdcore.reports.words import (
    agreement_with,
    headline,
    measurement_paragraphs,
    own_point_words,
    repeat_notes,
    taught_by,
)
from kdcore.settings.controls import CONTROLS
from kdcore.settings.describe import run_command

if TYPE_CHECKING:
    from kdcore.store.rows import RunRow

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1c1e24; background: #fff; max-width: 46rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; }
.when, .note, caption { color: #565b68; } .note, caption { font-size: .9rem; text-align: left; }
.verdict { font-size: 1.3rem; line-height: 1.35; font-weight: 650; border-left: .3rem solid #009E73; margin: 1.4rem 0;
  padding: .1rem 0 .1rem .9rem; } .verdict.none { border-color: #6b7080; } .verdict.baseline { border-color: #D55E00; }
.tag { border: 1px solid #b9bdc8; border-radius: 1rem; padding: .05rem .6rem; margin-right: .3rem; font-size: .9rem; }
p { overflow-wrap: anywhere; } svg { width: 100%; height: auto; display: block; font: 14px system-ui, sans-serif; }
svg.mark { width: .8em; height: .8em; display: inline-block; margin-right: .35em; }
.wide { overflow-x: auto; } .wide > svg { min-width: 34rem; } .list { width: auto; } .list th { padding-right: 2.5rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem .35rem 0; border-bottom: 1px solid #dcdee4; }
td small { display: block; color: #565b68; white-space: nowrap; } th { font-weight: 600; }
pre { background: #f4f4f6; padding: .7rem .9rem; white-space: normal; font-size: .9rem; }
pre span { white-space: nowrap; }
@media print { body { margin: 0; max-width: none; font-size: 11pt; } h2 { break-after: avoid; }
  svg, tr, .verdict, pre { break-inside: avoid; } .wide { overflow: visible; } .wide > svg { min-width: 0; }
  @page { margin: 16mm; } }
"""


def as_html(row: RunRow, events: Sequence[Event], now: float) -> str:
    """Return the page: the run's results, its settings, how it was measured, and the command that repeats it.

    Args:
        now: time in seconds since 1970 that the page states as its date.
    """
    config = row.config
    student = "several students" if "student" in (config.get("vary") or {}) else config["student"]
    title = f"{config['dataset']}: {student} {taught_by(config)}"
    tags = "".join(f'<span class="tag">{escape(tag)}</span>' for tag in row.tags)
    parent = f" It repeats run {escape(row.parent)} with a change." if row.parent else ""
    before_curves: list[str] = []
    classes: list[str] = []
    if row.result:
        before_curves += tables.sweep(row.result)
        before_curves += _results(row.result, agreement_with(config), own_point_words(config))
        before_curves += tables.controls(row.result)
        classes = _classes(row.result)
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="when">Run {escape(row.id)}, {_date(row.created)}, {escape(row.status)}.{parent}</p>',
        f"<p>{tags}</p>" if tags else "",
        _verdict(row),
        *(f'<p class="note">{escape(words)}</p>' for words in (row.result or {}).get("notes") or ()),
        *before_curves,
        *_curves(events, int(config["epochs"])),
        *classes,
        "<h2>Settings</h2>",
        table(("setting", "value"), settings(config), "list"),
        "<h2>How it was measured</h2>",
        *(f"<p>{escape(words)}</p>" for words in measurement_paragraphs(row)),
        "<h2>To repeat it</h2>",
        f"<pre>{_command(config)}</pre>",
        *(f'<p class="note">{escape(words)}</p>' for words in repeat_notes(row)),
        f'<p class="note">Written by Dark Knowledge Lab on {_date(now)}.</p>',
    ]
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>"
        + "\n".join(filter(None, parts))
        + "</body></html>"
    )


def _verdict(row: RunRow) -> str:
    result = row.result or {}
    words = headline(result) or row.error or "This run has no result yet."
    claims = [claim for claim, count in claim_counts(result).items() if count]
    claims = claims or [str((result.get("verdict") or {}).get("claim"))]
    css_class = claims[0] if len(claims) == 1 and claims[0] in CLAIMS else "none"
    return f'<p class="verdict {css_class}">{escape(words[:1].upper() + words[1:])}</p>'


def _results(result: Mapping[str, Any], teacher: str, at: str) -> list[str]:
    """Return the section with the chart and the table of the arms.

    Args:
        teacher: words for the network with which the arms' agreement was measured.
        at: for a sweep, words for the point that the figures belong to; "" for a plain run.
    """
    arms = arms_in_order(result["arms"])
    chart = accuracy_chart({arm: row["accuracy"] for arm, row in arms.items()}, result.get("bayes_accuracy"))
    main = {arm: row for arm, row in arms.items() if arm not in CONTROLS}
    rows = [
        ("Accuracy", *(cell(row.get("accuracy")) for row in main.values())),
        ("Calibration error (ECE)", *(cell(row.get("ece")) for row in main.values())),
        (f"Agreement with {escape(teacher)}", *(cell(row.get("agreement")) for row in main.values())),
    ]
    for size in _batch_sizes(arms):
        words = f"Time of {size} picture{'s' if size > 1 else ''}"
        rows.append((words, *(_time(row, size) for row in main.values())))
    rows += [
        ("Parameters", *(_count(row.get("num_params")) for row in main.values())),
        ("Multiplications (MACs)", *(_count(row.get("macs")) for row in main.values())),
        ("Size in bytes", *(_count(row.get("size_bytes")) for row in main.values())),
    ]
    pictures = f"{result['test_size']:,} test pictures" if "test_size" in result else "the test pictures"
    difference = result["paired_difference"]
    head = f"In detail, at {escape(at)}: on {pictures}" if at else f"On {pictures}"
    return [
        f"<h2>{head}</h2>",
        f'<div class="wide">{chart}</div>',
        f"<p>Distilled minus baseline, seed by seed: {points(difference)}.</p>",
        table(("", *map(_head, main)), rows),
    ]


def _head(arm: str) -> str:
    return marker(arm) + escape(arm)


def _curves(events: Sequence[Event], epochs: int) -> list[str]:
    curves = validation_curves(events)
    if not any(curve.mean for curve in curves.values()):
        return []
    note = "Bands are 95 % intervals over the seeds alone." if any(curve.low for curve in curves.values()) else ""
    if any(arm in CONTROLS for arm in curves):
        note += " The thin grey lines are the controls."
    return [
        "<h2>On the validation pictures, epoch by epoch</h2>",
        f'<div class="wide">{curves_chart(curves, epochs)}</div>',
        f'<p class="note">{note}</p>',
    ]


def _classes(result: Mapping[str, Any]) -> list[str]:
    arms = {
        arm: row["per_class"]
        for arm, row in arms_in_order(result["arms"]).items()
        if arm not in CONTROLS and row.get("per_class")
    }
    names = result.get("class_names") or ()
    if not arms or any(len(classes) != len(names) for classes in arms.values()):
        return []
    first = next(iter(arms.values()))
    rows = [
        (
            escape(str(name)),
            str(first[place]["n"]),
            *(cell({**classes[place], "mean": classes[place]["accuracy"]}) for classes in arms.values()),
        )
        for place, name in enumerate(names)
    ]
    note = "Share of each class that is right, mean over seeds, with a Wilson interval for its number of pictures."
    return [
        "<h2>Class by class</h2>",
        table(("class", "pictures", *map(_head, arms)), rows),
        f'<p class="note">{note}</p>',
    ]


def _command(config: Mapping[str, Any]) -> str:
    """Return the command that repeats the run as HTML in which no line breaks inside an option."""
    first, *options = run_command(config).split(" --")
    return " ".join(f"<span>{escape(part)}</span>" for part in (first, *(f"--{option}" for option in options)))


def _batch_sizes(arms: Mapping[str, Any]) -> list[int]:
    return sorted({int(latency["batch_size"]) for row in arms.values() for latency in row.get("latency_ms") or ()})


def _time(arm: Mapping[str, Any], batch_size: int) -> str:
    """Return the HTML of a table cell with the median and the 95th percentile of an arm's time for one batch."""
    for latency in arm.get("latency_ms") or ():
        if latency["batch_size"] == batch_size:
            return f"{latency['p50']:.3g} ms<small>p95 {latency['p95']:.3g} ms</small>"
    return "–"


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "–"


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
