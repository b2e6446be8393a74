"""Answers as text and tables for people at a terminal, in plain ASCII, so that every terminal can show them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from kdcore.events import EpochEnded, TeacherEpochEnded
from kdcore.metrics.divergence import divergences_of
from kdcore.reports.comparison import minus_distilled
from kdcore.reports.words import (
    agreement_with,
    diverged_note,
    has_teacher,
    headline,
    own_point_words,
    taught_by,
    unused_settings,
)
from kdcore.settings.controls import CONTROLS

if TYPE_CHECKING:
    from kdcore.reports.comparison import Comparison

BAR = 30  # length in characters of the bar for a probability of 1


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return aligned columns. A column is right-aligned if all its cells look like numbers."""
    lines = [list(heads), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    looks_numeric = [all(line[i][:1] in "0123456789+-." for line in lines[1:] if line[i]) for i in range(len(heads))]

    def aligned(line: list[str]) -> str:
        cells = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, looks_numeric, strict=True)
        )
        return "  ".join(cells).rstrip()

    return "\n".join(aligned(line) for line in lines)


def percent(value: float | None) -> str:
    """Format a share (0 to 1); one below 0, as a calibration error may be, is shown as 0."""
    return "" if value is None else f"{100 * max(value, 0.0):.1f} %"


def estimate(value: dict[str, Any] | None) -> str:
    """Format an estimate (0 to 1) as percent with its interval, if any; "" if there is none."""
    if value is None or value.get("mean") is None:
        return ""
    return f"{percent(value['mean'])}{interval(value.get('ci95'), ' ')}"


def interval(ci95: Sequence[float] | None, before: str = "") -> str:
    """Format an interval of shares (0 to 1) in percent, such as "[70.0, 74.0]", after `before`; "" if there is none.
    Ends below 0 are shown as 0."""
    low, high = (100 * max(end, 0.0) for end in ci95 or (0.0, 0.0))
    return f"{before}[{low:.1f}, {high:.1f}]" if ci95 else ""


def count(value: float) -> str:
    """Format a number with three digits and a unit: 1234567 -> "1.23 M"."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:g}"


def epoch(event: EpochEnded, arms: Sequence[str]) -> str:
    """Return one line about the state of a run: its epoch, validation accuracies, and the seconds left.

    Args:
        arms: the arms of the run's own point; the first three that have curves are shown.
    """
    parts = [f"epoch {event.epoch} of {event.epochs}"]
    for arm in [arm for arm in arms if arm in event.curves][:3]:
        reported = [value for values in event.curves[arm].values() for value in values]
        values = [value for value in event.curves[arm].get("validation_accuracy", []) if value is not None]
        if None in reported:
            parts.append(f"{arm} diverged")
        elif values:
            parts.append(f"{arm} {percent(sum(values) / len(values))}")
    if left := round((event.epochs - event.epoch) * event.seconds):
        parts.append(f"{left} s left")
    return "   ".join(parts)


def result(value: dict[str, Any]) -> str:
    """Return a run's result as text: its arms, the ceiling where it is known, and the verdict.

    For a sweep, the table of all points comes first, then the arms of its own point.
    """
    config = value["config"]
    lines = [f"run {value['run_id']}: {_config_line(config)}, {value['seconds']:.0f} s on {value['device']}", ""]
    if "sweep" in value:
        lines += [sweep(value["sweep"]), "", headline(value), "", f"in detail, at {own_point_words(config)}:"]
    diverged = divergences_of(value)
    rows = []
    for arm, row in value["arms"].items():
        missing = "diverged" if arm in {one.arm for one in diverged} else ""
        accuracy = estimate(row.get("accuracy")) or missing
        figures = (accuracy, estimate(row.get("ece")), estimate(row.get("agreement")))
        times = {time["batch_size"]: f"{time['p50']:.3g}" for time in row.get("latency_ms", [])}
        sizes = (count(row["num_params"]), count(row["macs"]), f"{count(row['size_bytes'])}B")
        rows.append((arm, *figures, times.get(1, ""), times.get(64, ""), *sizes))
    heads = ("arm", "accuracy", "ECE", "agreement", "ms at 1", "ms at 64", "parameters", "MACs", "size")
    lines.append(table(heads, rows))
    if not has_teacher(config):
        lines.append(f"agreement is with {agreement_with(config)}")
    if "bayes_accuracy" in value:
        lines.append(f"ceiling: {percent(value['bayes_accuracy'])} (Bayes classifier given the traits)")
    if whole := value.get("whole"):
        lines.append(f"all {whole['labels']:,} labelled pictures would take about {duration(whole['seconds'])}")
    if value.get("teacher_seconds"):
        lines.append(f"its teacher was trained first, in {duration(value['teacher_seconds'])}, and is kept")
    lines += value.get("notes") or []
    if diverged:
        lines.append(diverged_note(diverged))
    lines += ["", value["verdict"]["sentence"]]
    if controls_table := controls(value["arms"]):
        lines += ["", controls_table]
    return "\n".join(lines)


def _config_line(config: dict[str, Any]) -> str:
    """Return a run's configuration in one line.

    Varied settings show all their values; a setting that the method does not use is shown as "no NAME".
    """
    vary = config.get("vary") or {}
    unused = () if "method" in vary else unused_settings(config)
    settings = {
        "labels": f"{config['labels']} labels",
        "": taught_by(config) if "student" in vary else f"{config['student']} {taught_by(config)}",
        "method": config["method"],
        "temperature": f"T = {config['temperature']:g}",
        "distill_weight": f"weight {config['distill_weight']:g}",
        "epochs": f"{config['epochs']} epochs",
    }
    if extra := config.get("extra_pictures"):
        settings["extra_pictures"] = f"extra pictures {extra}"
    left_out = {*vary, *unused}
    if "method" in vary:  # methods that are compared each have their own temperature and distill weight
        left_out |= {"temperature", "distill_weight"}
    parts = [words for name, words in settings.items() if name not in left_out]
    parts += [f"{name} {', '.join(map(setting_cell, values))}" for name, values in vary.items()]
    parts += [f"no {name.replace('_', ' ')}" for name in unused if name not in vary]
    return ", ".join([config["dataset"], *parts, f"{len(config['seeds'])} seeds"])


def controls(arms: dict[str, Any]) -> str:
    """Return a table of each control's accuracy minus the distilled arm's; "" without controls."""
    found = [(name, minus_distilled(arms, name)) for name in CONTROLS if name in arms]
    rows = [(name, difference(one.mean, one.ci95)) for name, one in found if one.mean is not None]
    return table(("control", "minus distilled"), rows) if rows else ""


def sweep(value: dict[str, Any]) -> str:
    """Return a table of a sweep's points: settings, accuracies of baseline and distilled, and their difference."""
    rows = []
    for row in value["rows"]:
        arms = (estimate(row["arms"][arm]["accuracy"]) or "no figure" for arm in ("baseline", "distilled"))
        paired = row["paired_difference"]
        rows.append((*row["values"].values(), *arms, difference(paired["mean"], paired["ci95"])))
    return table((*value["varied"], "baseline", "distilled", "difference"), rows)


def duration(seconds: float) -> str:
    """Format a duration in a unit of its size: `42 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def teacher_epoch(event: TeacherEpochEnded) -> str:
    """Return one line about the training of a teacher or stage that precedes the run's own training."""
    left = duration(event.seconds * (event.epochs - event.epoch))
    return f"first its teacher {event.teacher}: epoch {event.epoch} of {event.epochs}, {left} left"


def prediction(value: dict[str, Any]) -> str:
    """Return a table of the ten largest soft labels with bars, above it one of the five likeliest kinds, if any.

    Kinds are the superclasses of the teacher's classes.
    """
    pairs = sorted(zip(value["class_names"], value["soft_labels"], strict=True), key=lambda pair: -pair[1])
    lines = [f"{value['teacher']} at T = {value['temperature']:g}, {value['latency_ms']:.1f} ms", ""]
    if value.get("none_of_these"):
        lines += [f"probably none of its {len(pairs)} classes: these soft labels mean little", ""]
    kinds = sorted(value["superclasses"].items(), key=lambda pair: -pair[1])
    if len(kinds) < len(pairs):
        lines += [*_likeliest("kind", "kinds", kinds, 5), ""]
    return "\n".join([*lines, *_likeliest("class", "classes", pairs, 10)])


def _likeliest(one: str, many: str, pairs: Sequence[tuple[str, float]], count: int) -> list[str]:
    """Return a table of the first `count` of `pairs`, sorted (name, probability), and a line on what is left."""
    lines = [table((one, "soft label", ""), [(name, percent(p), "#" * round(BAR * p)) for name, p in pairs[:count]])]
    if left := pairs[count:]:
        noun = one if len(left) == 1 else many
        lines.append(f"... and {len(left)} more {noun} with {percent(sum(p for _, p in left))} together")
    return lines


def runs(rows: Sequence[dict[str, Any]], with_error: bool = False, deleted: bool = False) -> str:
    """Return a table of runs, one line per run.

    Args:
        rows: the runs' summaries.
        with_error: add the error of each failed run below the table.
        deleted: whether deleted runs were asked for, which changes the sentence for an empty table.
    """
    heads = ("run", "created", "status", "dataset", "student", "labels", "seeds", "verdict", "points", "tags")
    lines = []
    for row in rows:
        config, created = row["config"], datetime.datetime.fromtimestamp(row["created"])
        facts = (row["run_id"], f"{created:%Y-%m-%d %H:%M}", row["status"], config["dataset"], config["student"])
        claim = (row["verdict"] or {}).get("claim", "")
        gain = points((row["paired_difference"] or {}).get("mean"))
        if counts := (row["sweep"] or {}).get("claims"):  # the gain of one point would misrepresent the sweep
            n = sum(counts.values())
            claim, gain = ", ".join(f"{name} {k} of {n}" for name, k in counts.items() if k), ""
        lines.append((*facts, config["labels"], len(config["seeds"]), claim, gain, ", ".join(row["tags"])))
    no_runs = "No run is deleted." if deleted else "There are no runs yet; kdcore run --dataset creatures makes one."
    errors = [row["error"] for row in rows if with_error and row["error"]]
    return "\n".join([table(heads, lines) if lines else no_runs, *errors])


def points(difference: float | None) -> str:
    """Format a difference of two shares (-1 to 1) in percentage points, with its sign."""
    return "" if difference is None else f"{100 * difference:+.1f}"


def tags_and_parent(tags: Sequence[str], parent: str | None) -> list[str]:
    """Return lines with a run's tags and the run that it repeats with a change (its parent)."""
    lines = [f"tags: {', '.join(tags)}"] if tags else []
    return [*lines, f"repeats run {parent} with a change"] if parent else lines


def comparison(found: Comparison) -> str:
    """Return a table of the settings in which runs differ and one of their results; every column is a run."""
    heads = ("", *(row.id for row in found.rows))
    settings = [(one.name.replace("_", " "), *(setting_cell(value) for value in one.values)) for one in found.settings]
    results: list[tuple[str, ...]] = [("status", *(row.status for row in found.rows))]
    if any(own := [own_point_words(row.config) for row in found.rows]):
        results.append(("point of the sweep", *own))
    measured = [(row.result or {}) for row in found.rows]
    for arm in found.arms:
        results.append((arm, *(estimate(((one.get("arms") or {}).get(arm) or {}).get("accuracy")) for one in measured)))
        differences = found.differences[arm][1:]
        if arm != "teacher" and any(one.mean is not None for one in differences):
            results.append(("  minus the first", "", *(difference(one.mean, one.ci95) for one in differences)))
    pairs = [one.get("paired_difference") or {} for one in measured]
    results.append(("distilled - baseline", *(difference(pair.get("mean"), pair.get("ci95")) for pair in pairs)))
    lines = [table(heads, settings) if settings else "All settings are the same.", "", table(heads, results)]
    if not found.same_pictures:
        lines.append("These runs were tested on different pictures, so their accuracies are not subtracted.")
    return "\n".join(lines)


def difference(mean: float | None, ci95: Sequence[float] | None) -> str:
    """Format a difference (-1 to 1) in percentage points with its interval, if any."""
    bounds = f" [{points(ci95[0])}, {points(ci95[1])}]" if ci95 else ""
    return points(mean) + bounds


def setting_cell(value: object) -> str:
    """Format the value of a setting for a table cell; lists are joined by commas."""
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else str(value)


def tuning(rows: Sequence[dict[str, Any]], best: dict[str, Any]) -> str:
    """Return a table of the tried recipes with the baseline's validation accuracy; the best recipe is marked."""
    heads = ("learning rate", "weight decay", "epochs", "validation accuracy", "")
    lines = []
    for row in rows:
        recipe = (f"{row['learning_rate']:g}", f"{row['weight_decay']:g}", row["epochs"])
        accuracy = percent(row["validation_accuracy"]) or "diverged"
        lines.append((*recipe, accuracy, "<- best" if row is best else ""))
    return table(heads, lines)
