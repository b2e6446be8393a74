"""Curves over the epochs of a run, computed from its events: means over seeds with 95 % intervals. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from kdcore.events import EpochEnded, Event, RunStarted

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Curve:
    """One quantity of one arm over the epochs at which it was measured.

    Attributes:
        epochs: numbers of those epochs, from 1, [E].
        mean: over the seeds, [E].
        low, high: ends of the 95 % interval over the seeds, [E], which are equal where all seeds have the same value;
            None if any epoch has fewer than two seeds.
        per_seed: the values of each seed, [S][E]; empty unless there is an interval and every epoch has all seeds.
    """

    epochs: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...] | None
    high: tuple[float, ...] | None
    per_seed: tuple[tuple[float, ...], ...] = ()

    def interval(self, index: int) -> tuple[float, float] | None:
        """Return the interval at the epoch with this index; None without one, and where it has no width."""
        if self.low is None or self.high is None or self.low[index] == self.high[index]:
            return None
        return self.low[index], self.high[index]


def validation_curves(events: Iterable[Event]) -> dict[str, Curve]:
    """Return the curve of the validation accuracy (0 to 1) of every trained arm; for a sweep, of the arms of its own
    point only."""
    events = list(events)
    started = {arm for event in events if isinstance(event, RunStarted) for arm in event.arms}
    by_epoch = {event.epoch: event for event in events if isinstance(event, EpochEnded)}
    arms = dict.fromkeys(arm for event in by_epoch.values() for arm in event.curves)
    return {arm: make_curve(by_epoch, arm, "validation_accuracy", 1.0) for arm in arms if not started or arm in started}


def make_curve(by_epoch: Mapping[int, EpochEnded], arm: str, quantity: str, largest: float) -> Curve:
    """Return the curve of one quantity of one arm; epochs at which it was not measured are left out.

    Where a student diverged, the mean is over the others; `first_divergence` says whether one has.

    Args:
        by_epoch: number of an epoch -> the event at its end.
        quantity: key in the event's curves, such as "train_loss".
        largest: largest possible value, at which the interval is cut off; it is cut off at 0 too.
    """
    reported = [(epoch, by_epoch[epoch].curves.get(arm, {}).get(quantity, [])) for epoch in sorted(by_epoch)]
    numbers = [(epoch, [value for value in values if value is not None]) for epoch, values in reported]
    measured = [(epoch, values) for epoch, values in numbers if values]
    intervals = [seed_interval(values) or (values[0], values[0]) for _epoch, values in measured if len(values) > 1]
    every_epoch_has_interval = bool(intervals) and len(intervals) == len(measured)
    every_epoch_has_all_seeds = len({len(values) for _epoch, values in measured}) == 1
    low = high = None
    per_seed: tuple[tuple[float, ...], ...] = ()
    if every_epoch_has_interval:
        low = tuple(max(0.0, lower) for lower, _upper in intervals)
        high = tuple(min(largest, upper) for _lower, upper in intervals)
        if every_epoch_has_all_seeds:
            per_seed = tuple(zip(*(values for _epoch, values in measured), strict=True))
    return Curve(
        epochs=tuple(epoch for epoch, _values in measured),
        mean=tuple(fmean(values) for _epoch, values in measured),
        low=low,
        high=high,
        per_seed=per_seed,
    )


def first_divergence(by_epoch: Mapping[int, EpochEnded], arm: str) -> int | None:
    """Return the first epoch in which a student of an arm had diverged; None if none has.

    Args:
        by_epoch: number of an epoch -> the event at its end.
    """
    return next(
        (
            epoch
            for epoch in sorted(by_epoch)
            if any(None in values for values in by_epoch[epoch].curves.get(arm, {}).values())
        ),
        None,
    )


def seed_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % interval mean ± t(K - 1) · s / √K of K seeds (Student's t).

    It is None for fewer than two seeds, and for seeds that all have the same value, from which no width follows.
    """
    if len(set(values)) < 2:
        return None
    from scipy.special import stdtrit  # loads scipy, which commands without curves do without

    half = float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2)) * stdev(values) / math.sqrt(len(values))
    mean = fmean(values)
    return mean - half, mean + half
