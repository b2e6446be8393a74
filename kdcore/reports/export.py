"""Export of a run: as JSON for programs, as CSV with its curves, or as one self-contained HTML page."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kdcore.events import EpochEnded, Event
from kdcore.reports.comparison import claim_counts
from kdcore.reports.page import as_html
from kdcore.settings.describe import own_point
from kdcore.store import RunRow, StoredEvent, finite

FORMATS = ("json", "csv", "html")
MIME_TYPES = {"json": "application/json", "csv": "text/csv", "html": "text/html"}


def summary(row: RunRow) -> dict[str, Any]:
    """Return the main facts of a run without its full result, ready for JSON. The visitor who started it is left out.

    For a sweep, `verdict`, `accuracy` and `paired_difference` belong to its own point. `sweep` then holds the settings
    of that point (`own_point`) and the number of points with each claim (`claim_counts`); it is None for a plain run.
    """
    result = row.result or {}
    columns = ("status", "created", "started", "finished", "error", "attempts", "config", "parent")
    arms = result.get("arms") or {}
    sweep = {"own_point": own_point(row.config), "claims": claim_counts(result)} if row.config.get("vary") else None
    return {
        "run_id": row.id,
        **{column: getattr(row, column) for column in columns},
        "tags": list(row.tags),
        "verdict": result.get("verdict"),
        "accuracy": {arm: figures["accuracy"] for arm, figures in arms.items() if figures.get("accuracy")} or None,
        "paired_difference": result.get("paired_difference"),
        "sweep": sweep,
    }


def run_data(row: RunRow, events: Sequence[StoredEvent]) -> dict[str, Any]:
    """Return the summary, the whole result and all events of a run, ready for JSON."""
    # The event RunFinished is left out: it holds the result once more.
    shown = [stored for stored in events if stored.event.type != "RunFinished"]
    events_json = [{"time": stored.time, **stored.event.to_json()} for stored in shown]
    return {**summary(row), "result": row.result, "events": events_json}


def export_text(row: RunRow, events: Sequence[StoredEvent], file_format: str, now: float | None = None) -> str:
    """Return a run as the text of a file.

    Args:
        file_format: one of `FORMATS`.
        now: time in seconds since 1970 that the HTML page states as its date; the current time unless given.
    """
    if file_format == "csv":
        return curves_csv((stored.event for stored in events), row.config)
    if file_format == "html":
        return as_html(row, [stored.event for stored in events], time.time() if now is None else now)
    return json.dumps(finite(run_data(row, events)), allow_nan=False)


def file_name(row: RunRow, file_format: str) -> str:
    """Return a file name for an exported run that is legal on every system and unique by the run's id."""
    dataset = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in str(row.config["dataset"]))
    return f"run-{dataset[:30]}-{row.id}.{file_format}"


def curves_csv(events: Iterable[Event], config: Mapping[str, Any]) -> str:
    """Return the curves as CSV in long form: one line per epoch, arm and seed. Unmeasured values are empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("epoch", "arm", "seed", "train_loss", "validation_accuracy"))
    for event in events:
        if not isinstance(event, EpochEnded):
            continue
        for arm, curves in event.curves.items():
            for place, seed in enumerate(config["seeds"]):
                cells = (curves.get(name, [])[place : place + 1] for name in ("train_loss", "validation_accuracy"))
                writer.writerow((event.epoch, arm, seed, *(cell[0] if cell else "" for cell in cells)))
    return buffer.getvalue().rstrip("\n")
