"""A run while it is trained, and how far the checkpoints of its earlier attempts reach."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kdcore.datasets import Dataset
from kdcore.machine.device import Device
from kdcore.settings.config import RunConfig
from kdcore.settings.stages import event_names
from kdcore.settings.sweeps import Point
from kdcore.teachers.teacher import Teacher
from kdcore.training.checkpoint import RunCheckpoint
from kdcore.training.fitting import Clock


@dataclass(frozen=True, eq=False)
class Run:
    """Everything that stays the same while a run is trained.

    Attributes:
        points: all points of the sweep, in its order; a plain run has one.
        teachers: every teacher of the run, by name.
        extra: the run's extra pictures, as `find_extra_pictures` returns them.
        notes: what the reader of the result must know, as in `RunStarted`.
    """

    config: RunConfig
    points: tuple[Point, ...]
    dataset: Dataset
    device: Device
    teachers: Mapping[str, Teacher]
    run_dir: Path | None
    clock: Clock
    should_stop: Callable[[], bool]
    notes: tuple[str, ...]
    extra: Dataset | None = None

    @property
    def extra_count(self) -> int:
        """Number of extra pictures."""
        return 0 if self.extra is None else len(self.extra.train)

    def checkpoint(self, group: int, *stage: int) -> RunCheckpoint:
        """Return the `RunCheckpoint` that saves and loads one training of the run: a group's main students, or a stage.

        Args:
            group: number of the group of points that are trained together, from 0.
            stage: empty for the group's main students; for a stage, two numbers from 0: the place of its point in the
                group, and the place of the stage among those of that point.
        """
        part = ".".join(map(str, (group, *stage))) if group or stage else ""  # "" for the first group
        keys = [teacher.logits_key() for teacher in self.teachers.values()]
        pictures = self.dataset.sha256 + (self.extra.sha256 if self.extra is not None else "")
        return RunCheckpoint(self.run_dir, self.config, pictures, keys, part)

    def epochs_done(self, together: Sequence[Sequence[Point]]) -> int:
        """Return how many epochs of the main students, over all groups, earlier attempts finished and saved.

        A group that others followed counts with all of its epochs: if its students diverged, it ended before the last
        one.

        Args:
            together: the groups of points that are trained together.
        """
        each = (self.checkpoint(number).epochs_done() for number in range(len(together)))
        begun = list(itertools.takewhile(bool, each))
        return sum(group[0].config.epochs for group in together[: max(0, len(begun) - 1)]) + sum(begun[-1:])

    def stages_done(self, together: Sequence[Sequence[Point]]) -> dict[str, int]:
        """Return for each stage, by its name in events, how many epochs earlier attempts finished and saved."""
        return {name: checkpoint.epochs_done() for name, checkpoint in self._of_stages(together)}

    def has_outdated_checkpoint(self, together: Sequence[Sequence[Point]]) -> bool:
        """Return whether an earlier attempt left a checkpoint that this one cannot use."""
        of_stages = [checkpoint for _, checkpoint in self._of_stages(together)]
        return any(checkpoint.is_outdated() for checkpoint in (*map(self.checkpoint, range(len(together))), *of_stages))

    def _of_stages(self, together: Sequence[Sequence[Point]]) -> list[tuple[str, RunCheckpoint]]:
        """Return the name in events and the checkpoint of every stage."""
        return [
            (name, self.checkpoint(number, place, stage))
            for number, group in enumerate(together)
            for place, point in enumerate(group)
            for stage, name in enumerate(event_names(point))
        ]
