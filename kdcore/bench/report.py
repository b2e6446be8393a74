"""All parts of the benchmark in one run."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from kdcore import paths
from kdcore.bench import ceiling, full_run, growth, sweep, tutorial
from kdcore.bench.clock import AT_LEAST, Say
from kdcore.bench.memory import PeakMemory
from kdcore.bench.networks import build_deep
from kdcore.datasets import load_dataset
from kdcore.device import Device, pick_device
from kdcore.errors import ConfigError, UnknownName
from kdcore.trainer import THREADS

PARTS = ("tutorial", "ceiling", "sweep", "growth")
MAX_REPEATS = 100


@dataclass(frozen=True)
class Plan:
    """What is measured, and how much of it.

    Attributes:
        full: do the tutorial's job from beginning to end first, for its accuracies, and time all of our side.
        restart: forget what an earlier full run left.
    """

    parts: tuple[str, ...] = PARTS
    repeats: int = 5
    device: str = "auto"
    full: bool = False
    restart: bool = False
    extent: tutorial.Extent | None = None
    epochs: int = tutorial.EPOCHS  # of the full run
    sizes: ceiling.Sizes = field(default_factory=ceiling.Sizes)
    values: growth.Values = field(default_factory=growth.Values)
    at_least: float = AT_LEAST  # seconds of a measurement of the sweep


def folder() -> Path:
    """Where a full run keeps what it found."""
    return paths.home() / "bench"


def check(plan: Plan) -> Plan:
    """This plan, if it is legal: its parts in the order in which they are measured, all of them if it names none.

    Raises:
        UnknownName: not a part, or no device.
        ConfigError: a number of repeats that is not legal, a device that is not here, or a full run without its part.
    """
    for name in plan.parts:
        if name not in PARTS:
            raise UnknownName("part of the benchmark", name, PARTS)
    if not 1 <= plan.repeats <= MAX_REPEATS:
        raise ConfigError(f"The number of repeats must be a whole number from 1 to {MAX_REPEATS}, not {plan.repeats}.")
    parts = tuple(part for part in PARTS if part in plan.parts) or PARTS
    if plan.full and "tutorial" not in parts:
        raise ConfigError("A full run is the tutorial's; add tutorial to the parts, or leave --full out.")
    if plan.restart and not plan.full:
        raise ConfigError("Only a full run can be begun anew; add --full, or leave --restart out.")
    pick_device(plan.device)  # said now, and not after waiting for the machine
    return replace(plan, parts=parts)


def measure(plan: Plan, say: Say = lambda line: None) -> dict[str, Any]:
    """Measure what `plan` names; a part that it does not name is None.

    Takes all cores, except for the sweep and the growth, which have as many threads as a run. Whoever calls this sees
    to it that nothing trains beside it (`machine_turn.turn`).

    `peak_memory_mb` is that of all parts together: they share one process, which keeps what it frees, so no part has a
    peak of its own.

    Raises:
        ConfigError: a plan that is not legal.
        DatasetUnavailable: the tutorial's dataset is not on this machine.
    """
    plan = check(plan)
    before = torch.get_num_threads()
    cores = pick_device(plan.device, os.cpu_count())
    found: dict[str, Any] = dict.fromkeys(PARTS)
    measured: dict[str, Callable[[Device], Any]] = {
        "tutorial": lambda device: _tutorial(plan, device, say),
        "ceiling": lambda device: ceiling.measure_ceiling(device, plan.repeats, say, plan.sizes),
        "sweep": lambda device: sweep.measure_sweep(device, plan.repeats, say, plan.at_least),
        "growth": lambda device: growth.measure_growth(device, plan.repeats, say, plan.values),
    }
    try:
        with PeakMemory() as peak:
            for part in plan.parts:
                small = part in ("sweep", "growth")
                device = pick_device(plan.device, THREADS if small else cores.threads)
                found[part] = measured[part](device)
    finally:
        torch.set_num_threads(before)
    return {
        "device": cores.name,
        **found,
        "peak_memory_mb": peak.mb,
        "threads": cores.threads,
        "precision": cores.precision,
        "repeats": plan.repeats,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "torch": torch.__version__,
        "system": platform.platform(terse=True),
    }


def _tutorial(plan: Plan, device: Device, say: Say) -> dict[str, Any]:
    """The tutorial's job with the accuracies of the last full run, which is done now if that is asked for."""
    place, dataset = folder(), load_dataset(tutorial.DATASET)
    if plan.full:
        full_run.full_run(dataset, device, place, say, plan.epochs, plan.restart)
    kept, trained = full_run.kept_result(place, dataset), full_run.kept_teacher(place)
    teacher = trained or build_deep(tutorial.SEED)
    extent = plan.extent or (tutorial.WHOLE if plan.full else tutorial.Extent())
    pictures = tutorial.pictures_of(dataset)
    found = tutorial.measure_tutorial(pictures, teacher, device, plan.repeats, extent, say)
    return {
        **found,
        "reference_accuracy": kept and kept["reference_accuracy"],
        "our_accuracy": kept and kept["our_accuracy"],
        "full_run": kept,
        "teacher": "of the full run" if trained else "with random weights, which take as long",
    }
