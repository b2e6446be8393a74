"""The state of a run and its figures, computed from its events and its result. Pure, no streamlit.

Accuracies are from 0 to 1 until a `format_*` function turns them into text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from kdcore.events import EpochEnded, Event, RunFailed, RunFinished, RunStarted, TeacherCached, TeacherEpochEnded
from kdcore.reports.curves import seed_interval
from pages.ui.kit.formats import BAND_SEEDS, Readout, arm_name, arms_in_order, format_accuracy, format_interval

RECENT_EPOCHS = 8  # epochs that the time left is estimated from: few, because other work on the machine comes and goes


@dataclass(frozen=True)
class Curve:
    """One quantity of one arm over the epochs at which it was measured.

    Attributes:
        epochs: numbers of those epochs, [E].
        mean: over the seeds, [E].
        low, high: ends of the 95 % interval over the seeds, [E]; None with one seed.
        per_seed: the values of each seed, [S][E]; empty unless there is an interval and every epoch has all seeds.
    """

    arm: str
    epochs: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...] | None
    high: tuple[float, ...] | None
    per_seed: tuple[tuple[float, ...], ...] = ()

    @property
    def has_band(self) -> bool:
        """Whether to draw the interval as a band. With two seeds it would fill the chart; their lines are drawn."""
        return self.low is not None and not 1 < len(self.per_seed) < BAND_SEEDS


@dataclass(frozen=True)
class RunView:
    """The state of a run, computed from its events so far.

    Attributes:
        phase: "waiting", "teacher" (a teacher is trained first), "preparing", "stage" (students that the method trains
            before the main ones), "training", "measuring", "finished" or "failed".
        seconds_left: estimated time until the last epoch ends; None before the first epoch and outside "training".
        accuracy: validation accuracy by arm.
        loss: training loss (nats) by arm.
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
    timed = [seconds for seconds in recent if seconds > 0]
    left = fmean(timed) * (epochs - done) if timed and phase == "training" else None
    trained = started.arms if started else ()
    arms = [arm for arm in arms_in_order(dict.fromkeys(trained)) if arm != "teacher"]
    return RunView(
        phase=phase,
        epochs_done=done,
        epochs=epochs,
        num_seeds=started.num_seeds if started else 0,
        seconds_left=left,
        accuracy={arm: _curve(by_epoch, arm, "validation_accuracy", 1.0) for arm in arms},
        loss={arm: _curve(by_epoch, arm, "train_loss", math.inf) for arm in arms},
        result=finished.result if finished else None,
        failure=failure,
        device=started.device if started else "",
        teacher=teacher_epochs[-1] if teacher_epochs else None,
    )


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


def _curve(by_epoch: Mapping[int, EpochEnded], arm: str, quantity: str, top: float) -> Curve:
    """Build the curve of one quantity of one arm; epochs at which it was not measured are left out.

    Args:
        quantity: key in the event's curves, such as "train_loss".
        top: largest possible value, at which the interval is cut off; it is cut off at 0 too.
    """
    told = [(epoch, by_epoch[epoch].curves.get(arm, {}).get(quantity, [])) for epoch in sorted(by_epoch)]
    # The store writes a loss that is not a number (of a diverged run) as None.
    points = [(epoch, [value for value in values if value is not None]) for epoch, values in told]
    measured = [(epoch, values) for epoch, values in points if values]
    intervals = [seed_interval(values) for _epoch, values in measured]
    known = [interval for interval in intervals if interval is not None]
    whole = len(known) == len(measured) and bool(known)
    same = len({len(values) for _epoch, values in measured}) == 1
    return Curve(
        arm=arm,
        epochs=tuple(epoch for epoch, _values in measured),
        mean=tuple(fmean(values) for _epoch, values in measured),
        low=tuple(max(0.0, low) for low, _high in known) if whole else None,
        high=tuple(min(top, high) for _low, high in known) if whole else None,
        per_seed=tuple(zip(*(values for _epoch, values in measured), strict=True)) if whole and same else (),
    )


def live_readouts(view: RunView) -> list[Readout]:
    """Return the latest validation accuracy of every trained arm; a dash for an arm without one yet."""
    readouts = [] if view.accuracy else [Readout(arm, arm_name(arm), "–", "") for arm in ("distilled", "baseline")]
    for arm, curve in view.accuracy.items():
        value = format_accuracy(curve.mean[-1]) if curve.mean else "–"
        detail = ""
        if curve.low is not None and curve.high is not None:
            detail = format_interval((curve.low[-1], curve.high[-1]))
        readouts.append(Readout(arm, arm_name(arm), value, detail))
    return readouts


def result_readouts(result: Mapping[str, Any]) -> list[Readout]:
    """Return the test accuracy of every arm of a finished run, with its interval."""
    return [
        Readout(arm, arm_name(arm), format_accuracy(row["accuracy"]["mean"]), format_interval(row["accuracy"]["ci95"]))
        for arm, row in arms_in_order(result["arms"]).items()
    ]
