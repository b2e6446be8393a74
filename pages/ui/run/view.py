"""The state of a run and its figures, computed from its events and its result. Pure, no streamlit.

Accuracies are from 0 to 1 until a `format_*` function turns them into text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kdcore.events import EpochEnded, Event, RunFailed, RunFinished, RunStarted, TeacherCached, TeacherEpochEnded
from kdcore.metrics.divergence import divergences_of
from kdcore.reports.arm_style import arms_in_order
from kdcore.reports.curves import Curve, first_divergence, make_curve
from kdcore.reports.time_left import RECENT_EPOCHS, seconds_left
from pages.ui.kit.formats import BAND_SEEDS, Readout, arm_name, format_accuracy, format_interval
from pages.ui.kit.tables import accuracy_cell
from pages.ui.session.i18n import _

FIRST_SECONDS = 10.0  # a run that has no epoch after so long, for instance because it trains a teacher, takes its time


@dataclass(frozen=True)
class RunView:
    """The state of a run, computed from its events so far.

    Attributes:
        phase: "waiting", "teacher" (a teacher is trained first), "preparing", "stage" (students that the method trains
            before the main ones), "training", "measuring", "finished" or "failed".
        seconds_left: estimated time until the last epoch ends; None before the first epoch and outside "training".
        accuracy: validation accuracy by arm.
        loss: training loss (nats) by arm.
        diverged: by arm, the first epoch in which a student had diverged; only arms of which one has.
        result: of a finished run, else None.
    """

    phase: str
    epochs_done: int
    epochs: int
    num_seeds: int
    seconds_left: float | None
    accuracy: Mapping[str, Curve]
    loss: Mapping[str, Curve]
    result: Mapping[str, Any] | None
    failure: RunFailed | None
    device: str
    notes: tuple[str, ...] = ()  # sentences that the run must say
    diverged: Mapping[str, int] = field(default_factory=dict)
    teacher: TeacherEpochEnded | None = None  # latest epoch of a teacher or a stage that is trained first

    @property
    def share_done(self) -> float:
        """Share of the epochs that are done, 0 to 1."""
        return self.epochs_done / self.epochs if self.epochs else 0.0


def run_view(events: Sequence[Event]) -> RunView:
    """Compute the state of a run from its events so far. A resumed run repeats an epoch; its last event counts."""
    started = next((event for event in reversed(events) if isinstance(event, RunStarted)), None)
    by_epoch = {event.epoch: event for event in events if isinstance(event, EpochEnded)}
    finished = next((event for event in events if isinstance(event, RunFinished)), None)
    failure = events[-1] if events and isinstance(events[-1], RunFailed) else None
    epochs = started.epochs if started else 0
    done = max(by_epoch, default=0)
    teacher_epochs = [event for event in events if isinstance(event, TeacherEpochEnded)]
    if finished:
        phase = "finished"
    elif failure:
        phase = "failed"
    elif started is None:
        phase = "teacher" if teacher_epochs else "waiting"
    else:
        phase = _started_phase(events, done, epochs)
    recent = [by_epoch[epoch].seconds for epoch in sorted(by_epoch)[-RECENT_EPOCHS:]]
    left = seconds_left(recent, epochs - done) if phase == "training" else None
    trained = started.arms if started else ()
    arms = [arm for arm in arms_in_order(dict.fromkeys(trained)) if arm != "teacher"]
    return RunView(
        phase=phase,
        epochs_done=done,
        epochs=epochs,
        num_seeds=started.num_seeds if started else 0,
        seconds_left=left,
        accuracy={arm: make_curve(by_epoch, arm, "validation_accuracy", 1.0) for arm in arms},
        loss={arm: make_curve(by_epoch, arm, "train_loss", math.inf) for arm in arms},
        result=finished.result if finished else None,
        failure=failure,
        device=started.device if started else "",
        notes=started.notes if started else (),
        diverged={arm: epoch for arm in arms if (epoch := first_divergence(by_epoch, arm)) is not None},
        teacher=teacher_epochs[-1] if teacher_epochs else None,
    )


def has_band(curve: Curve) -> bool:
    """Whether to draw the curve's interval as a band. With two seeds it would fill the chart; their lines are drawn."""
    return curve.low is not None and not 1 < len(curve.per_seed) < BAND_SEEDS


def _started_phase(events: Sequence[Event], epochs_done: int, epochs: int) -> str:
    """Return the phase of a run that has started and neither finished nor failed."""
    progress = (RunStarted, TeacherCached, TeacherEpochEnded, EpochEnded)
    latest = next((event for event in reversed(events) if isinstance(event, progress)), None)
    if epochs_done >= epochs:
        return "measuring"
    if isinstance(latest, TeacherEpochEnded):
        return "stage"
    if epochs_done or any(isinstance(event, TeacherCached) for event in events):
        return "training"
    return "preparing"


def begins(view: RunView, status: str, started: float | None, now: float) -> bool:
    """Return whether a run has begun only some seconds ago and has no epoch yet, so that its first point is near.

    Args:
        started, now: seconds since 1970.
    """
    return status == "running" and not view.epochs_done and started is not None and now - started < FIRST_SECONDS


def live_readouts(view: RunView) -> list[Readout]:
    """Return the latest validation accuracy of every trained arm; a dash for an arm without one yet, and for one of
    which a student diverged."""
    readouts = [] if view.accuracy else [Readout(arm, arm_name(arm), "–", "") for arm in ("distilled", "baseline")]
    for arm, curve in view.accuracy.items():
        value = format_accuracy(curve.mean[-1]) if curve.mean else "–"
        detail = ""
        if arm in view.diverged:
            value, detail = "–", _("diverged in epoch {n}").format(n=view.diverged[arm])
        elif curve.mean and (interval := curve.interval(-1)):
            detail = format_interval(interval)
        readouts.append(Readout(arm, arm_name(arm), value, detail))
    return readouts


def result_readouts(result: Mapping[str, Any]) -> list[Readout]:
    """Return the test accuracy of every arm of a finished run, with its interval; a dash for an arm without one."""
    diverged = {one.arm: one.epoch for one in reversed(divergences_of(result))}
    readouts = []
    for arm, row in arms_in_order(result["arms"]).items():
        cell = accuracy_cell(row.get("accuracy"))
        detail = cell.detail or "–"
        if arm in diverged:
            detail = _("diverged in epoch {n}").format(n=diverged[arm])
        readouts.append(Readout(arm, arm_name(arm), cell.value, detail))
    return readouts
