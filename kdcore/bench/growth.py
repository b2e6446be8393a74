"""How the cost of a run's training grows with pictures, classes and students, on random pictures made in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from kdcore.bench.clock import AT_LEAST, Say, steady, take_turns
from kdcore.bench.sweep import one_epoch
from kdcore.config import make_run_config
from kdcore.datasets.base import Dataset, Split
from kdcore.defaults import defaults_for
from kdcore.device import Device

LIKE = "creatures"  # whose student and recipe are taken
SIDE = 32


@dataclass(frozen=True)
class Values:
    """What is tried of each; the first of each is what the others are compared with.

    `base_pictures` and `base_classes` stand where something else is varied; there is one student then.
    """

    pictures: tuple[int, ...] = (100, 200, 400, 800, 1600)
    classes: tuple[int, ...] = (10, 100, 1000)
    students: tuple[int, ...] = (1, 2, 4, 8, 16)
    base_pictures: int = 200
    base_classes: int = 10
    at_least: float = AT_LEAST


def random_dataset(pictures: int, classes: int) -> Dataset:
    """Noise with random hard labels, the same for the same numbers; all splits are one."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (pictures, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8)
    split = Split(images, torch.randint(classes, (pictures,), generator=generator))
    names = tuple(f"class {label}" for label in range(classes))
    return Dataset("random", names, names, split, split, split, sha256="")


def measure_growth(device: Device, repeats: int, say: Say, values: Values = Values()) -> list[dict[str, Any]]:
    """Seconds of one epoch of distilled students, and how many times the first value's; medians, taking turns."""
    say("growth: warming up")
    cases = [("pictures", value, (value, values.base_classes, 1)) for value in values.pictures]
    cases += [("classes", value, (values.base_pictures, value, 1)) for value in values.classes]
    cases += [("students", value, (values.base_pictures, values.base_classes, value)) for value in values.students]
    views = len(defaults_for(LIKE).views)
    jobs = {}
    for what, value, (pictures, classes, students) in cases:
        config = make_run_config(LIKE, labels=pictures, seeds=1)
        logits = torch.randn(views, pictures, classes, generator=torch.Generator().manual_seed(0)).half()
        temperatures = [1.0 + number for number in range(students)]
        work = one_epoch(config, temperatures, random_dataset(pictures, classes), logits, device)
        jobs[f"{value} {what}"] = steady(device, work, values.at_least)
    found = take_turns(jobs, repeats, lambda line: say(f"growth: {line}"))
    rows: list[dict[str, Any]] = []
    first: dict[str, float] = {}
    for what, value, _ in cases:
        seconds = found[f"{value} {what}"].median
        relative = seconds / first.setdefault(what, seconds)
        rows.append({"what": what, "value": value, "seconds": seconds, "relative": relative})
    return rows
