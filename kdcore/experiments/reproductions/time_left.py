"""Estimate of the time that a reproduction still takes, from the duration of its epochs so far."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

RECENT = 8  # epochs to judge by; older ones may have run beside other work on the machine


class TimeLeft:
    """Estimates the seconds left of several stages, each of which is done once per seed.

    Args:
        stages: name -> (number of epochs, cost of one epoch in any unit that all stages share).
        seeds: number of seeds.
    """

    def __init__(self, stages: Mapping[str, tuple[int, float]], seeds: int) -> None:
        self.stages = dict(stages)
        self.waiting = dict.fromkeys(stages, seeds)  # how often each stage is still to be done
        self.timed: dict[str, list[float]] = {}

    def finished(self, stage: str) -> None:
        """Record that `stage` is over for one seed."""
        self.waiting[stage] -= 1

    def after_epoch(self, stage: str, done: int, seconds: float) -> float:
        """Return the estimated seconds left in all after `done` epochs of `stage`, the last of which took `seconds`."""
        self.timed.setdefault(stage, []).append(seconds)
        latest = self.timed[stage][-RECENT:]
        rate = median(latest) / self.stages[stage][1]
        left = -done * median(latest)
        for name, (epochs, work) in self.stages.items():
            own = self.timed.get(name, [])[-RECENT:]
            left += self.waiting[name] * epochs * (median(own) if own else rate * work)
        return max(0.0, left)
