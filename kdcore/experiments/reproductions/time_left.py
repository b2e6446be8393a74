"""Estimate of the time that a reproduction still takes, from the duration of its epochs so far."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from kdcore.reports.time_left import RECENT_EPOCHS


class TimeLeft:
    """Estimates the seconds left of several stages, each of which is done once per seed.

    Args:
        stages: name -> (number of epochs, cost of one epoch in any unit that all stages share).
        seeds: number of seeds.
    """

    def __init__(self, stages: Mapping[str, tuple[int, float]], seeds: int) -> None:
        self.stages = dict(stages)
        self.runs_left = dict.fromkeys(stages, seeds)  # how often each stage is still to be done
        self.epoch_seconds: dict[str, list[float]] = {}

    def finished(self, stage: str) -> None:
        """Record that `stage` is over for one seed."""
        self.runs_left[stage] -= 1

    def after_epoch(self, stage: str, done: int, seconds: float) -> float:
        """Return the estimated seconds left in all after `done` epochs of `stage`, the last of which took `seconds`."""
        self.epoch_seconds.setdefault(stage, []).append(seconds)
        latest = self.epoch_seconds[stage][-RECENT_EPOCHS:]
        rate = median(latest) / self.stages[stage][1]
        left = -done * median(latest)
        for name, (epochs, work) in self.stages.items():
            recent = self.epoch_seconds.get(name, [])[-RECENT_EPOCHS:]
            left += self.runs_left[name] * epochs * (median(recent) if recent else rate * work)
        return max(0.0, left)
