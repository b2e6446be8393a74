"""Whole sentences about a run, which claim no more than its numbers support. Pure, no streamlit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kdcore.events import TeacherEpochEnded
from kdcore.metrics.divergence import divergences_in_words, divergences_of
from kdcore.metrics.few_pictures import FEWEST_PICTURES
from kdcore.reports.comparison import claim_counts, claims_in_words
from kdcore.reports.words import has_too_few_pictures
from pages.ui.kit.formats import (
    BAND_SEEDS,
    capitalised,
    format_accuracy,
    format_count,
    format_duration,
    format_points,
    format_signed,
    rough_time,
)
from pages.ui.kit.settings_words import has_teacher
from pages.ui.kit.tables import accuracy_cell
from pages.ui.run.view import RunView, live_readouts, result_readouts
from pages.ui.session.i18n import _, ngettext


def outcome_sentence(result: Mapping[str, Any]) -> str:
    """Return the outcome of a run in one sentence: its claim, the difference in points, and the 95 % interval."""
    difference, claim = result["paired_difference"], result["verdict"]["claim"]
    seeds = len(difference["per_seed"])
    if difference["mean"] is None:
        return _("No difference can be claimed, because students diverged.")
    if has_too_few_pictures(result):
        text = _("No difference can be claimed: fewer than {n} test pictures give no interval.")
        return text.format(n=FEWEST_PICTURES)
    if difference["ci95"] is None:
        return _("No difference can be claimed: one seed gives no interval.")
    low, high = difference["ci95"]
    if claim == "none":
        text = ngettext(
            "No difference can be claimed: distilled minus baseline is {points} points, "
            "95 % interval {low} to {high}, {n} seed.",
            "No difference can be claimed: distilled minus baseline is {points} points, "
            "95 % interval {low} to {high}, {n} seeds.",
            seeds,
        )
        points = format_signed(difference["mean"])
        return text.format(points=points, low=format_signed(low), high=format_signed(high), n=seeds)
    if claim == "distilled":
        text = ngettext(
            "Distilled is better by {points} points, 95 % interval {low} to {high}, {n} seed.",
            "Distilled is better by {points} points, 95 % interval {low} to {high}, {n} seeds.",
            seeds,
        )
    else:
        low, high = -high, -low
        text = ngettext(
            "The baseline is better by {points} points, 95 % interval {low} to {high}, {n} seed.",
            "The baseline is better by {points} points, 95 % interval {low} to {high}, {n} seeds.",
            seeds,
        )
    points = format_points(abs(difference["mean"]))
    return text.format(points=points, low=format_points(low), high=format_points(high), n=seeds)


def diverged_sentence(result: Mapping[str, Any]) -> str:
    """Say which students of a run diverged, and when; "" if none did."""
    diverged = divergences_of(result)
    text = _(
        "Diverged: {students}. Their loss, weights or answers became infinite or not a number, and an arm of which a "
        "student diverged has no figures."
    )
    return text.format(students=divergences_in_words(diverged)) if diverged else ""


def sweep_outcome_sentence(counts: Mapping[str, int]) -> str:
    """Return the outcome of a sweep in one sentence; no point is called the best.

    It says at how many points the distilled student is better, at how many the baseline is, and at how many no
    difference can be claimed.

    Args:
        counts: number of points by claim, from `claim_counts`; a claim is the arm that is better at a point,
            "distilled" or "baseline", or "none".
    """
    texts = {
        "distilled": _("distilled is better in {k} of {n} settings"),
        "baseline": _("the baseline is better in {k} of {n} settings"),
        "none": _("no difference can be claimed in {k} of {n} settings"),
    }
    return capitalised(claims_in_words(counts, texts) + ".")


def progress_sentence(view: RunView) -> str:
    """Return the progress of a run that no longer waits in the queue, in one sentence."""
    if view.phase == "teacher" and view.teacher is not None:
        return _teacher_sentence(view.teacher)
    if view.phase == "stage" and view.teacher is not None:
        return _stage_sentence(view.teacher)
    phases = {
        "waiting": _("Starting"),
        "preparing": _("The teacher looks at the pictures"),
        "measuring": _("All epochs done. Now accuracy on the test pictures and the time of an answer are measured"),
    }
    if view.phase in phases:
        return phases[view.phase]
    done = _("Epoch {done} of {all}").format(done=view.epochs_done, all=view.epochs)
    if view.seconds_left is None:
        return done
    return _("{epochs}, about {time} left").format(epochs=done, time=format_duration(view.seconds_left))


def empty_chart_note(status: str, view: RunView) -> str:
    """Say what is being done while a run has no curves yet; "" once it has, and when the run is over."""
    if any(curve.mean for curve in view.accuracy.values()):
        return ""
    if status == "queued":
        return _("The run waits for its turn")
    notes = {
        "waiting": _("A process starts: it loads PyTorch, the pictures and the teacher"),
        "teacher": _("The teacher is trained before the students"),
        "stage": _("The students' own teacher is trained first"),
        "preparing": _("The teacher looks at the pictures"),
        "training": _("The students train; the curves begin after the first epoch"),
    }
    return notes.get(view.phase, "")


def _teacher_sentence(teacher: TeacherEpochEnded) -> str:
    """Return the progress of a teacher that is trained before the run."""
    if teacher.epoch == 0:
        return _("First the teacher {name} is trained, once; the next run finds it").format(name=teacher.teacher)
    fields = {
        "name": teacher.teacher,
        "done": teacher.epoch,
        "all": teacher.epochs,
        "time": format_duration(teacher.seconds * (teacher.epochs - teacher.epoch)),
    }
    if not teacher.validation_accuracy:  # None, or 0 from older versions: not measured
        return _("First the teacher {name}, once: epoch {done} of {all}, about {time} to go").format(**fields)
    text = _(
        "First the teacher {name}, once: epoch {done} of {all}, right on {accuracy} of validation, about {time} to go"
    )
    return text.format(**fields, accuracy=format_accuracy(teacher.validation_accuracy))


def _stage_sentence(stage: TeacherEpochEnded) -> str:
    """Return the progress of a stage: students that are trained first, because the distilled ones learn from them."""
    left = format_duration(stage.seconds * (stage.epochs - stage.epoch))
    text = _("First their teacher, {name}: epoch {done} of {all}, about {time} to go")
    return text.format(name=stage.teacher, done=stage.epoch, all=stage.epochs, time=left)


def ending_sentence(status: str, error: str | None, epochs_done: int, epochs: int) -> str:
    """Say how a run ended that has no result."""
    after = _("after {done} of {all} epochs").format(done=epochs_done, all=epochs) if epochs_done else ""
    if status == "cancelled":
        return _("This run was stopped {after}.").format(after=after or _("before it began"))
    if status == "interrupted":
        text = _("This run was interrupted {after}; its curves are kept.")
        return text.format(after=after or _("before its first epoch ended"))
    return error or _("This run failed.")


def status_name(status: str) -> str:
    """Return a run's status as the pages name it; an unknown status as it is."""
    names = {
        "queued": _("waiting"),
        "running": _("training"),
        "finished": _("finished"),
        "failed": _("failed"),
        "cancelled": _("stopped"),
        "interrupted": _("interrupted"),
    }
    return names.get(status, status)


def short_outcome(status: str, result: Mapping[str, Any] | None) -> str:
    """Return the outcome of a run in a few words, for a list of runs; `outcome_sentence` says it in full."""
    if result is None:
        return _("No result yet") if status in ("queued", "running") else _("No result")
    if counts := claim_counts(result):
        return sweep_outcome_sentence(counts).removesuffix(".")
    if result["paired_difference"]["mean"] is None:
        return _("No difference claimed: students diverged")
    accuracy = {arm: accuracy_cell(row.get("accuracy")).value for arm, row in result["arms"].items()}
    text = {
        "distilled": _("Distilled better by {points} points: {distilled} against {baseline}"),
        "baseline": _("Baseline better by {points} points: {baseline} against {distilled}"),
    }.get(result["verdict"]["claim"], _("No difference claimed: distilled {distilled}, baseline {baseline}"))
    points = format_points(abs(result["paired_difference"]["mean"]))
    return text.format(points=points, distilled=accuracy["distilled"], baseline=accuracy["baseline"])


def curves_caption(view: RunView) -> str:
    """Describe the chart of validation accuracies in words, for the caption and for screen readers."""
    parts = []
    for readout in live_readouts(view):
        text = _("{name} {value} ({interval})") if readout.detail else _("{name} {value}")
        parts.append(text.format(name=readout.name, value=readout.value, interval=readout.detail))
    if not view.epochs_done or all(not curve.mean for curve in view.accuracy.values()):
        return _("No epoch has been checked on the validation pictures yet.")
    last_epoch = max(curve.epochs[-1] for curve in view.accuracy.values() if curve.epochs)
    text = _("Accuracy on the validation pictures after {done} of {all} epochs: {arms}.")
    caption = text.format(done=last_epoch, all=view.epochs, arms=", ".join(parts))
    if 1 < view.num_seeds < BAND_SEEDS:
        caption += " " + _("Each thin line is one seed.")
    return caption


def dots_caption(result: Mapping[str, Any]) -> str:
    """Describe the chart of test accuracies in words, for screen readers."""
    parts = [f"{readout.name} {readout.value} ({readout.detail})" for readout in result_readouts(result)]
    text = _("Accuracy on the test pictures with 95 % intervals: {arms}.").format(arms=", ".join(parts))
    if (ceiling := result.get("bayes_accuracy")) is not None:
        best = _("Even with the traits known, nobody can do better than {value}.")
        text += " " + best.format(value=format_accuracy(ceiling))
    return text


def interval_note(result: Mapping[str, Any]) -> str:
    """Say what the intervals of a result cover (seeds and test pictures) and what they do not (other teachers)."""
    seeds = len(result["paired_difference"]["per_seed"])
    if seeds < 2:
        return _("One seed gives no interval, and without one nothing can be claimed.")
    if has_too_few_pictures(result):
        text = _("Fewer than {n} test pictures give no interval, and without one nothing can be claimed.")
        return text.format(n=FEWEST_PICTURES)
    text = _("Intervals are 95 %, over seeds and test pictures; the bands of the curves above are over seeds only.")
    if seeds < BAND_SEEDS:
        text = _(
            "Intervals are 95 %, over seeds and test pictures. With so few seeds they are wide, so each seed has a "
            "thin line of its own above, and no band."
        )
    return f"{text} {_('All of them hold for this one teacher.')}" if has_teacher(result["config"]) else text


def full_data_sentence(result: Mapping[str, Any]) -> str:
    """Say how long the run would take on all labelled pictures, and how long its teachers were trained first.

    Returns "" when the run had all labelled pictures and trained no teacher.
    """
    parts = []
    full = result.get("whole")
    if full and full["labels"] > result["config"]["labels"]:  # otherwise the run had all of them
        text = _("All {labels} labelled pictures would take about {time}.")
        parts.append(text.format(labels=format_count(full["labels"]), time=rough_time(full["seconds"])))
    if (seconds := result.get("teacher_seconds") or 0) > 0:
        text = _("Its teacher was trained first, in {time}; it is kept, and the next run begins at once.")
        if result["config"].get("controls") or "teacher" in (result["config"].get("vary") or {}):
            text = _("Teachers that were missing were trained first, in {time}; they are kept for the next run.")
        parts.append(text.format(time=format_duration(seconds)))
    return " ".join(parts)
