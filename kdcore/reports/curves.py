"""Validation curves of a run, computed from its events: the mean over seeds and a 95 % band. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from kdcore.events import EpochEnded, Event, RunStarted

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Curve:
    """Validation accuracy (0 to 1) of one arm at the epochs at which it was measured; all tuples have the same length.

    Attributes:
        epochs: 1-based numbers of the epochs.
        mean: mean over the seeds.
        low, high: 95 % interval over the seeds; None if any epoch has fewer than two seeds.
    """

    epochs: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...] | None
    high: tuple[float, ...] | None


def validation_curves(events: Iterable[Event]) -> dict[str, Curve]:
    """Return the validation curve of every trained arm; for a sweep, of the arms of its own point only.

    Values that are not numbers, as after a divergence, are left out.
    """
    events = list(events)
    started = {arm for event in events if isinstance(event, RunStarted) for arm in event.arms}
    by_epoch = {event.epoch: event for event in events if isinstance(event, EpochEnded)}
    arms = dict.fromkeys(arm for event in by_epoch.values() for arm in event.curves)
    own = [arm for arm in arms if not started or arm in started]
    return {arm: _curve([by_epoch[epoch] for epoch in sorted(by_epoch)], arm) for arm in own}


def _curve(events: Sequence[EpochEnded], arm: str) -> Curve:
    told = [(event.epoch, event.curves.get(arm, {}).get("validation_accuracy", [])) for event in events]
    points = [(epoch, [value for value in values if value is not None]) for epoch, values in told]
    points = [(epoch, values) for epoch, values in points if values]
    bands = [seed_interval(values) for _epoch, values in points]
    known = [band for band in bands if band is not None]
    whole = len(known) == len(points) and bool(known)
    return Curve(
        epochs=tuple(epoch for epoch, _values in points),
        mean=tuple(fmean(values) for _epoch, values in points),
        low=tuple(max(0.0, low) for low, _high in known) if whole else None,
        high=tuple(min(1.0, high) for _low, high in known) if whole else None,
    )


def seed_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % interval mean ± t(K - 1) · s / √K of K seeds (Student's t); None for fewer than two seeds."""
    if len(values) < 2:
        return None
    from scipy.special import stdtrit

    half = float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2)) * stdev(values) / math.sqrt(len(values))
    mean = fmean(values)
    return mean - half, mean + half
