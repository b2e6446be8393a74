"""View-models: what the pages show, computed from the engine's events, results and cards by pure functions.

No widget and no chart is made here. Shares are 0 to 1 until a `format_*` function turns them into text; these functions
format all numbers on the pages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean
from typing import Any

from kdcore.events import EpochEnded, Event, RunFailed, RunFinished, RunStarted, TeacherCached, TeacherEpochEnded
from kdcore.reports.curves import seed_interval
from kdcore.settings.controls import CONTROLS
from pages.ui.i18n import _

# The order of arms in legends and tables: the teacher, then the students, the best taught first.
ARM_ORDER = ("teacher", "posterior", "distilled", "baseline")
BAND_SEEDS = 3  # fewest seeds for an interval band; with two (Student's t = 12.7) it would cover the chart
RECENT_EPOCHS = 8  # epochs that the time left is estimated from: few, because other work on the machine comes and goes


def format_accuracy(share: float) -> str:
    """Format a share (0 to 1) of pictures: `73.2 %`."""
    return f"{100 * share:.1f} %"


def format_interval(bounds: Sequence[float] | None) -> str:
    """Format an interval of shares (0 to 1): `71.0 to 75.3 %`; a dash when there is none."""
    return _("{low:.1f} to {high:.1f} %").format(low=100 * bounds[0], high=100 * bounds[1]) if bounds else "–"


def format_points(difference: float) -> str:
    """Format a difference of two shares in percentage points: `8.1`."""
    return f"{100 * difference:.1f}"


def format_signed(difference: float) -> str:
    """Format a difference of two shares in percentage points with its sign, a true minus sign: `+1.2`, `−0.9`."""
    return f"{100 * difference:+.1f}".replace("-", "−")


def format_ms(milliseconds: float) -> str:
    """Format milliseconds with two significant digits: `0.53 ms`, `12 ms`, `120 ms`."""
    if milliseconds <= 0:
        return "0 ms"
    digits = 1 - math.floor(math.log10(milliseconds))
    rounded = round(milliseconds, digits)
    digits = 1 - math.floor(math.log10(rounded))  # rounding can add a digit: 9.96 becomes 10
    return f"{rounded:.{max(0, digits)}f} ms"


def format_count(number: float) -> str:
    """Format a count: `9,842`, `1.2 million`, `1.2 billion`."""
    for size, word in ((1e9, _("{n} billion")), (1e6, _("{n} million"))):
        if number >= size:
            return word.format(n=f"{number / size:.1f}")
    return f"{number:,.0f}"


def format_size(num_bytes: float) -> str:
    """Format a file size, from bytes: `39 kB`, `12.3 MB`."""
    return f"{num_bytes / 1e6:.1f} MB" if num_bytes >= 1e6 else f"{num_bytes / 1e3:.0f} kB"


def format_duration(seconds: float) -> str:
    """Format a duration, from seconds: `42 s`, `3 min 5 s`, `1 h 12 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return _("{s} s").format(s=whole)
    if whole < 3600:
        return _("{m} min {s} s").format(m=whole // 60, s=whole % 60)
    return _("{h} h {m} min").format(h=whole // 3600, m=whole % 3600 // 60)


def format_when(seconds: float) -> str:
    """Format a moment (seconds since 1970) in this machine's time zone: `2026-11-21 14:05`."""
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")


def listed(names: Sequence[str], most: int = 12) -> str:
    """Join names, and count those after the first `most`: `wolf, dog and 105 more`."""
    shown = ", ".join(names[:most])
    more = len(names) - most
    return _("{names} and {n} more").format(names=shown, n=more) if more > 0 else shown


def arm_name(arm: str) -> str:
    """Return an arm's name for use within a sentence; a control has its title, in lower case."""
    if arm in CONTROLS:
        title = _(CONTROLS[arm].title)
        return title[:1].lower() + title[1:]
    names = {
        "teacher": _("teacher"),
        "baseline": _("baseline"),
        "distilled": _("distilled"),
        "posterior": _("taught by the posterior"),
    }
    return names.get(arm, arm)


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
    def share(self) -> float:
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
    cached = any(isinstance(event, TeacherCached) for event in events)
    teaching = [event for event in events if isinstance(event, TeacherEpochEnded)]
    told = (RunStarted, TeacherCached, TeacherEpochEnded, EpochEnded)
    last = next((event for event in reversed(events) if isinstance(event, told)), None)
    phase = (
        "finished" if finished
        else "failed" if failure
        else "teacher" if started is None and teaching
        else "waiting" if started is None
        else "stage" if isinstance(last, TeacherEpochEnded) and done < epochs
        else "measuring" if done >= epochs
        else "training" if cached or done
        else "preparing"
    )  # fmt: skip
    recent = [by_epoch[epoch].seconds for epoch in sorted(by_epoch)[-RECENT_EPOCHS:]]
    timed = [seconds for seconds in recent if seconds > 0]
    left = fmean(timed) * (epochs - done) if timed and phase == "training" else None
    trained = started.arms if started else ()
    arms = [arm for arm in in_order(dict.fromkeys(trained)) if arm != "teacher"]
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
        teacher=teaching[-1] if teaching else None,
    )


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


@dataclass(frozen=True)
class Readout:
    """One arm's number above a chart, which serves as the legend too.

    Attributes:
        name: of the arm or of the quantity, as shown.
        value: formatted.
        detail: the interval, formatted; "" for none.
    """

    arm: str
    name: str
    value: str
    detail: str


def live_readouts(view: RunView) -> list[Readout]:
    """Return the latest validation accuracy of every trained arm; a dash for an arm without one yet."""
    readouts = [] if view.accuracy else [Readout(arm, arm_name(arm), "–", "") for arm in ("distilled", "baseline")]
    for arm, curve in view.accuracy.items():
        value = format_accuracy(curve.mean[-1]) if curve.mean else "–"
        known = curve.low is not None and curve.high is not None
        detail = format_interval((curve.low[-1], curve.high[-1])) if known else ""  # type: ignore[index]
        readouts.append(Readout(arm, arm_name(arm), value, detail))
    return readouts


def result_readouts(result: Mapping[str, Any]) -> list[Readout]:
    """Return the test accuracy of every arm of a finished run, with its interval."""
    return [
        Readout(arm, arm_name(arm), format_accuracy(row["accuracy"]["mean"]), format_interval(row["accuracy"]["ci95"]))
        for arm, row in in_order(result["arms"]).items()
    ]


def in_order(arms: Mapping[str, Any]) -> dict[str, Any]:
    """Sort a mapping by arm into the order of `ARM_ORDER`; other arms (controls) come last."""
    names = [*(arm for arm in ARM_ORDER if arm in arms), *(arm for arm in arms if arm not in ARM_ORDER)]
    return {arm: arms[arm] for arm in names}
