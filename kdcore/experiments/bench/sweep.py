"""The cost of training many small students together, compared with training one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from kdcore.datasets import load_dataset
from kdcore.datasets.base import Dataset
from kdcore.experiments.bench.clock import MIN_SECONDS, ProgressCallback, measure_in_turns, warmed_measurement
from kdcore.machine import paths
from kdcore.machine.device import Device
from kdcore.settings.config import RunConfig, make_run_config
from kdcore.settings.defaults import defaults_for
from kdcore.teachers.load import load_teacher
from kdcore.teachers.logit_cache import cached_teacher_logits
from kdcore.training.arms import baseline_student, objective_of
from kdcore.training.students import Schedule
from kdcore.training.teams import build_teams, threads_for, train_epoch
from kdcore.training.transfer_sets import labelled_subset

DATASET, STUDENT, LABELS = "creatures", "convnet-8", 100
TEMPERATURES = tuple(float(t) for t in range(1, 17))


def one_epoch(
    config: RunConfig, temperatures: Sequence[float], dataset: Dataset, teacher_logits: Tensor, device: Device
) -> Callable[[], Any]:
    """Return a function that trains one distilled student per temperature for one epoch, together.

    It may be called any number of times, and returns the students' losses.

    Args:
        config: configuration of the students, with one seed; its temperature is replaced.
        teacher_logits: float16 [V, N, K] for all training pictures; only the rows of the labelled pictures are used.
    """
    (seed,) = config.seeds
    first = baseline_student(config, dataset, dataset.train.images.to(device.torch), seed)
    # One copy on the device, which all students share, as in a run.
    transfer_set = first.transfer_set.with_teacher_logits(teacher_logits[:, first.transfer_set.rows].to(device.torch))
    students = []
    for temperature in temperatures:
        objective = objective_of(replace(config, temperature=temperature))
        students.append(replace(first, arm=f"at {temperature:g}", transfer_set=transfer_set, objective=objective))
    teams = build_teams(students, dataset.image_shape, dataset.num_classes, Schedule.of(config), device)
    threads = threads_for(teams)
    return lambda: train_epoch(teams, 0, threads)


def measure_sweep(
    device: Device, repeats: int, on_progress: ProgressCallback, min_seconds: float = MIN_SECONDS
) -> dict[str, Any]:
    """Measure the seconds of one epoch of a single student, and of sixteen that are trained together.

    The students are `convnet-8` on `creatures` with 100 labelled pictures; each of the sixteen has its own temperature.
    The two are measured in turns. The seconds are medians over `repeats` measurements, and the ratio is the second
    divided by the first.
    """
    on_progress("sweep: warming up")
    config = make_run_config(DATASET, student=STUDENT, labels=LABELS, seeds=1)
    dataset = load_dataset(DATASET)
    rows = labelled_subset(dataset.train.hard_labels, LABELS, config.seeds[0])
    teacher = load_teacher(config.teacher, device.torch.type)
    folder = paths.home() / "teacher_logits"
    logits, _ = cached_teacher_logits(teacher, dataset, defaults_for(DATASET).views, rows, folder)
    jobs = {}
    for name, temperatures in (("one student", (config.temperature,)), ("all students", TEMPERATURES)):
        jobs[name] = warmed_measurement(device, one_epoch(config, temperatures, dataset, logits, device), min_seconds)
    one, many = measure_in_turns(jobs, repeats, lambda line: on_progress(f"sweep: {line}")).values()
    return {
        "students": len(TEMPERATURES),
        "ratio": many.median / one.median,
        "one_seconds": one.median,
        "all_seconds": many.median,
        "one_range": one.range,
        "all_range": many.range,
        "dataset": DATASET,
        "student": STUDENT,
        "labels": LABELS,
        "threads": device.threads,
    }
