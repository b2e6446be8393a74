"""A run as a file for others: JSON for programs, CSV of its curves, and one HTML page that stands alone."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kdcore.events import EpochEnded, Event
from kdcore.report_page import as_html
from kdcore.run_comparison import claims, own_point

if TYPE_CHECKING:
    from kdcore.rows import RunRow, StoredEvent

FORMATS = ("json", "csv", "html")
MIME_TYPES = {"json": "application/json", "csv": "text/csv", "html": "text/html"}


def summary(row: RunRow) -> dict[str, Any]:
    """A run without its result; who started it is nobody's business.

    Of a sweep `verdict`, `accuracy` and `paired_difference` are those of its own point, which `sweep` names beside the
    number of points at which there is which claim; None for a plain run.
    """
    result = row.result or {}
    facts = ("status", "created", "started", "finished", "error", "attempts", "config", "parent")
    values = {fact: getattr(row, fact) for fact in facts}
    arms = result.get("arms") or {}
    return {
        "run_id": row.id,
        **values,
        "tags": list(row.tags),
        "verdict": result.get("verdict"),
        "accuracy": {arm: figures["accuracy"] for arm, figures in arms.items() if figures.get("accuracy")} or None,
        "paired_difference": result.get("paired_difference"),
        "sweep": {"own_point": own_point(row.config), "claims": claims(result)} if row.config.get("vary") else None,
    }


def as_data(row: RunRow, events: Sequence[StoredEvent]) -> dict[str, Any]:
    """Everything that is known of a run, JSON-able."""
    told = [{"time": stored.time, **stored.event.to_json()} for stored in events if stored.event.type != "RunFinished"]
    return {**summary(row), "result": row.result, "events": told}


def as_text(row: RunRow, events: Sequence[StoredEvent], form: str, now: float | None = None) -> str:
    """A run as the text of a file of one of the `FORMATS`.

    Args:
        now: seconds since 1970, which the page says it was written at.
    """
    if form == "csv":
        return curves_csv((stored.event for stored in events), row.config)
    if form == "html":
        return as_html(row, [stored.event for stored in events], time.time() if now is None else now)
    from kdcore.rows import finite

    return json.dumps(finite(as_data(row, events)), allow_nan=False)


def file_name(row: RunRow, form: str) -> str:
    """What such a file is called: safe on every system, and told apart from others."""
    dataset = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in str(row.config["dataset"]))
    return f"run-{dataset[:30]}-{row.id}.{form}"


def curves_csv(events: Iterable[Event], config: Mapping[str, Any]) -> str:
    """The curves in long form: one line an epoch, arm and seed; empty where nothing was measured."""
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
