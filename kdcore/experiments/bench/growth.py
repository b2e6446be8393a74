"""How the cost of training grows with the numbers of pictures, classes and students, on random pictures in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from kdcore.datasets.base import Dataset, Split
from kdcore.experiments.bench.clock import MIN_SECONDS, ProgressCallback, measure_in_turns, warmed_measurement
from kdcore.experiments.bench.sweep import one_epoch
from kdcore.machine.device import Device
from kdcore.settings.config import make_run_config
from kdcore.settings.defaults import defaults_for

RECIPE_DATASET = "creatures"  # the dataset whose default student and recipe are used
SIDE = 32


@dataclass(frozen=True)
class GrowthValues:
    """The numbers that are measured.

    Attributes:
        pictures, classes, students: the values of each; the others are compared with the first.
        base_pictures, base_classes: the numbers that are used while another one varies; students are 1 then.
        min_seconds: seconds that one measurement lasts at least.
    """

    pictures: tuple[int, ...] = (100, 200, 400, 800, 1600)
    classes: tuple[int, ...] = (10, 100, 1000)
    students: tuple[int, ...] = (1, 2, 4, 8, 16)
    base_pictures: int = 200
    base_classes: int = 10
    min_seconds: float = MIN_SECONDS


def random_dataset(pictures: int, classes: int) -> Dataset:
    """Return a dataset of noise with random hard labels, always the same; train, validation and test are one split."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (pictures, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8)
    split = Split(images, torch.randint(classes, (pictures,), generator=generator))
    names = tuple(f"class {label}" for label in range(classes))
    return Dataset("random", names, names, split, split, split, sha256="")


def measure_growth(
    device: Device, repeats: int, on_progress: ProgressCallback, values: GrowthValues = GrowthValues()
) -> list[dict[str, Any]]:
    """Measure an epoch of distilled students for each value of `values`, in turns.

    Returns:
        One row per value: `what` varies, its `value`, the median `seconds` of an epoch over `repeats`, and `relative`,
        these seconds divided by those of the first value.
    """
    on_progress("growth: warming up")
    cases = [("pictures", value, (value, values.base_classes, 1)) for value in values.pictures]
    cases += [("classes", value, (values.base_pictures, value, 1)) for value in values.classes]
    cases += [("students", value, (values.base_pictures, values.base_classes, value)) for value in values.students]
    views = len(defaults_for(RECIPE_DATASET).views)
    jobs = {}
    for what, value, (pictures, classes, students) in cases:
        config = make_run_config(RECIPE_DATASET, labels=pictures, seeds=1)
        logits = torch.randn(views, pictures, classes, generator=torch.Generator().manual_seed(0)).half()
        temperatures = [1.0 + number for number in range(students)]
        work = one_epoch(config, temperatures, random_dataset(pictures, classes), logits, device)
        jobs[f"{value} {what}"] = warmed_measurement(device, work, values.min_seconds)
    found = measure_in_turns(jobs, repeats, lambda line: on_progress(f"growth: {line}"))
    rows: list[dict[str, Any]] = []
    first: dict[str, float] = {}
    for what, value, _ in cases:
        seconds = found[f"{value} {what}"].median
        relative = seconds / first.setdefault(what, seconds)
        rows.append({"what": what, "value": value, "seconds": seconds, "relative": relative})
    return rows
