"""Tunes a dataset's recipe on validation, for the baseline: against a badly tuned baseline, distillation would look
better than it is."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kdcore.datasets import Dataset, load_dataset
from kdcore.machine.device import pick_device
from kdcore.metrics.intervals import seed_estimate
from kdcore.settings.config import RunConfig, make_run_config
from kdcore.training.arms import baseline_student
from kdcore.training.diverged import accuracy_unless_diverged
from kdcore.training.students import Schedule
from kdcore.training.teams import build_teams, threads_for, train_epoch

LEARNING_RATES = (3e-3, 1e-2, 3e-2)
WEIGHT_DECAYS = (1e-2, 1e-1)
EPOCHS = (15, 30, 60)


@dataclass(frozen=True)
class TuningRow:
    """One recipe of the grid, and the accuracy (0 to 1) on the whole validation split of baselines trained with it.

    Attributes:
        validation_accuracy: the mean over seeds; None if any of them diverged.
        per_seed: one value for each seed; None if it diverged.
    """

    learning_rate: float
    weight_decay: float
    epochs: int
    validation_accuracy: float | None
    per_seed: tuple[float | None, ...]


def tune(dataset_name: str, **overrides: Any) -> Iterator[TuningRow]:
    """Train the baseline with every recipe of the grid.

    Args:
        overrides: settings of the run, as for `make_run_config`; those of teacher and method make no difference.

    Yields:
        a row for each recipe.

    Raises:
        KdError: an unknown name, a value that is not legal, or a dataset that is not on this machine.
    """
    dataset = load_dataset(dataset_name)
    for learning_rate, weight_decay, epochs in itertools.product(LEARNING_RATES, WEIGHT_DECAYS, EPOCHS):
        recipe = {"learning_rate": learning_rate, "weight_decay": weight_decay, "epochs": epochs}
        config = make_run_config(dataset_name, **{**overrides, **recipe})
        accuracy = seed_estimate(train_baseline(config, dataset), 0.0)
        yield TuningRow(learning_rate, weight_decay, epochs, accuracy.mean, accuracy.per_seed)


def train_baseline(config: RunConfig, dataset: Dataset) -> tuple[float, ...]:
    """Train the baseline and return its accuracy (0 to 1) on the whole validation split, one value for each seed.

    It is NaN for a seed that diverged, that is, whose logits are not all finite numbers.
    """
    device = pick_device(config.device)
    images = dataset.train.images.to(device.torch)
    students = [baseline_student(config, dataset, images, seed) for seed in config.seeds]
    teams = build_teams(students, dataset.image_shape, dataset.num_classes, Schedule.of(config), device)
    threads = threads_for(teams)
    for epoch in range(config.epochs):
        train_epoch(teams, epoch, threads)
    validation = dataset.validation
    return tuple(
        accuracy_unless_diverged(logits, validation.hard_labels)
        for team in teams
        for logits in team.logits(validation.images)
    )
