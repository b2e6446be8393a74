"""How long a reproduction still takes, judged by what it trained so far."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

RECENT = 8  # epochs: other work on the machine comes and goes


class TimeLeft:
    """Seconds left of several stages, each done once a seed.

    Args:
        stages: by name, in order: (epochs, what one epoch costs, in any unit that all stages share).
    """

    def __init__(self, stages: Mapping[str, tuple[int, float]], seeds: int) -> None:
        self.stages = dict(stages)
        self.waiting = dict.fromkeys(stages, seeds)  # how often each is still to be done
        self.timed: dict[str, list[float]] = {}

    def finished(self, stage: str) -> None:
        """One seed's `stage` is over."""
        self.waiting[stage] -= 1

    def after_epoch(self, stage: str, done: int, seconds: float) -> float:
        """Seconds left after `done` epochs of `stage`, the last of which took `seconds`."""
        self.timed.setdefault(stage, []).append(seconds)
        latest = self.timed[stage][-RECENT:]
        rate = median(latest) / self.stages[stage][1]
        left = -done * median(latest)
        for name, (epochs, work) in self.stages.items():
            own = self.timed.get(name, [])[-RECENT:]
            left += self.waiting[name] * epochs * (median(own) if own else rate * work)
        return max(0.0, left)
