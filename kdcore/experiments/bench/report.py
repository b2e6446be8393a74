"""The benchmark as a whole: its options, and the measurement of all its parts."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from kdcore.datasets import load_dataset
from kdcore.errors import ConfigError, UnknownName
from kdcore.experiments.bench import ceiling, full_run, growth, sweep, tutorial
from kdcore.experiments.bench.clock import MIN_SECONDS, ProgressCallback
from kdcore.experiments.bench.memory import PeakMemory
from kdcore.experiments.bench.networks import build_deep
from kdcore.machine import paths
from kdcore.machine.device import Device, pick_device, torch_threads
from kdcore.machine.parallel import cores
from kdcore.training.trainer import THREADS

PARTS = ("tutorial", "ceiling", "sweep", "growth")
MAX_REPEATS = 100


@dataclass(frozen=True)
class Plan:
    """The options of a benchmark.

    Attributes:
        parts: the parts to measure, of `PARTS`.
        repeats: how often everything is measured; figures are medians of so many.
        device: "auto", "cpu" or "cuda".
        full: first do the tutorial's whole job, for its accuracies (see `full_run`), and time our loop's whole job.
        restart: delete what earlier full runs saved.
        extent: how much of the tutorial's job is timed; by default the whole with `full`, else `TimedShare()`.
        epochs: epochs of the full run.
        sizes: sizes of the ceiling's computations.
        values: numbers for which the growth is measured.
        min_seconds: seconds that a measurement of the sweep lasts at least.
    """

    parts: tuple[str, ...] = PARTS
    repeats: int = 5
    device: str = "auto"
    full: bool = False
    restart: bool = False
    extent: tutorial.TimedShare | None = None
    epochs: int = tutorial.EPOCHS
    sizes: ceiling.CeilingSizes = field(default_factory=ceiling.CeilingSizes)
    values: growth.GrowthValues = field(default_factory=growth.GrowthValues)
    min_seconds: float = MIN_SECONDS


def bench_folder() -> Path:
    """Return the folder in which full runs save their networks and result."""
    return paths.home() / "bench"


def check_plan(plan: Plan) -> Plan:
    """Check a plan and return it with its parts in the order in which they are measured; no parts means all of them.

    Raises:
        UnknownName: there is no such part, or no such device.
        ConfigError: the number of repeats is not legal, this machine lacks the device, a full run is asked for without
            the part "tutorial", or a restart without a full run.
    """
    for name in plan.parts:
        if name not in PARTS:
            raise UnknownName("part of the benchmark", name, PARTS)
    if not 1 <= plan.repeats <= MAX_REPEATS:
        raise ConfigError(f"The number of repeats must be a whole number from 1 to {MAX_REPEATS}, not {plan.repeats}.")
    parts = tuple(part for part in PARTS if part in plan.parts) or PARTS
    if plan.full and "tutorial" not in parts:
        raise ConfigError("A full run needs the part tutorial; add it to the parts, or leave --full out.")
    if plan.restart and not plan.full:
        raise ConfigError("Only a full run can be begun anew; add --full, or leave --restart out.")
    pick_device(plan.device)  # fail before waiting for the machine
    return replace(plan, parts=parts)


def measure(plan: Plan, on_progress: ProgressCallback = lambda line: None) -> dict[str, Any]:
    """Measure the parts that `plan` names; the other parts are None in the result.

    All cores are used, except for sweep and growth, which use as many threads as a run. The caller must ensure that
    nothing trains meanwhile (`machine_turn.reserve_machine`).

    `peak_memory_mb` is the peak of all parts together. They share one process, which keeps the memory that it frees, so
    no part has a peak of its own.

    Raises:
        ConfigError: the plan is not legal.
        DatasetUnavailable: the tutorial's dataset is not on this machine.
    """
    plan = check_plan(plan)
    full_device = replace(pick_device(plan.device), threads=cores())
    found: dict[str, Any] = dict.fromkeys(PARTS)
    measure_part: dict[str, Callable[[Device], Any]] = {
        "tutorial": lambda device: _tutorial(plan, device, on_progress),
        "ceiling": lambda device: ceiling.measure_ceiling(device, plan.repeats, on_progress, plan.sizes),
        "sweep": lambda device: sweep.measure_sweep(device, plan.repeats, on_progress, plan.min_seconds),
        "growth": lambda device: growth.measure_growth(device, plan.repeats, on_progress, plan.values),
    }
    with PeakMemory() as peak:
        for part in plan.parts:
            with torch_threads(THREADS if part in ("sweep", "growth") else cores()):
                found[part] = measure_part[part](pick_device(plan.device))
    return {
        "device": full_device.name,
        **found,
        "peak_memory_mb": peak.mb,
        "threads": full_device.threads,
        "precision": full_device.precision,
        "repeats": plan.repeats,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "torch": torch.__version__,
        "system": platform.platform(terse=True),
    }


def _tutorial(plan: Plan, device: Device, on_progress: ProgressCallback) -> dict[str, Any]:
    """Time the tutorial's job and add the accuracies of the last full run, which is done first if `plan.full`."""
    folder, dataset = bench_folder(), load_dataset(tutorial.DATASET)
    if plan.full:
        full_run.full_run(dataset, device, folder, on_progress, plan.epochs, plan.restart)
    saved, trained = full_run.saved_result(folder, dataset), full_run.saved_teacher(folder)
    teacher = trained or build_deep(tutorial.SEED)
    extent = plan.extent or (tutorial.WHOLE if plan.full else tutorial.TimedShare())
    pictures = tutorial.pictures_of(dataset)
    found = tutorial.measure_tutorial(pictures, teacher, device, plan.repeats, extent, on_progress)
    return {
        **found,
        "reference_accuracy": saved and saved["reference_accuracy"],
        "our_accuracy": saved and saved["our_accuracy"],
        "full_run": saved,
        "teacher": "of the full run" if trained else "with random weights, which take as long",
    }
