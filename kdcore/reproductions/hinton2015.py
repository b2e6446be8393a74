"""Hinton's MNIST experiment ("Distilling the Knowledge in a Neural Network", Hinton, Vinyals, Dean 2015, section 3).

A large network learns digits with dropout and moved pictures; a small one learns them without any of this, then again
from the large one's soft labels, then from soft labels on a transfer set in which whole classes are missing. Every
seed has a teacher of its own, so the intervals hold for teachers too.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn

from kdcore import metrics, paths
from kdcore.datasets import Dataset, load_dataset
from kdcore.device import Device, pick_device
from kdcore.errors import ConfigError, StoreError
from kdcore.events import Event
from kdcore.inference import predict_logits
from kdcore.reproductions.fitting import FitEpoch, Fitted, NetworkRecipe, TransferSet, fit
from kdcore.reproductions.output_bias import corrected, fit_offset, share_of
from kdcore.reproductions.progress import ReproductionFinished, StageEpochEnded, StageFinished
from kdcore.reproductions.time_left import TimeLeft

NAME = "hinton2015"
MAX_SEEDS = 100
THREE = 3
# Errors of 10,000 test pictures. The paper gives the last two as shares, 47.3 % and 13.2 %.
PAPER_ERRORS = {
    "teacher": 67,
    "baseline": 146,
    "distilled": 74,
    "omitted_3": 206,
    "omitted_3_bias": 109,
    "only_7_8": 4730,
    "only_7_8_bias": 1320,
}


@dataclass(frozen=True)
class Stage:
    """One network of a seed.

    Attributes:
        taught: whether it learns from the teacher's soft labels.
        classes: the classes in its transfer set.
        corrected: the classes whose output bias its second row (`NAME_bias`) puts right; none for no such row.
        counts_threes: whether its rows say how many 3s are right.
    """

    name: str
    recipe: NetworkRecipe
    taught: bool = False
    classes: tuple[int, ...] = tuple(range(10))
    corrected: tuple[int, ...] = ()
    counts_threes: bool = True


@dataclass(frozen=True)
class Recipe:
    """The whole experiment: a dataset of ten digits and the networks in the order in which they are trained."""

    dataset: str
    stages: tuple[Stage, ...]


def make_recipe(dataset: str, teacher: NetworkRecipe, student: NetworkRecipe, few: NetworkRecipe) -> Recipe:
    """The five networks; `few` is the student's recipe for the transfer set of two classes."""
    return Recipe(
        dataset,
        (
            Stage("teacher", teacher),
            Stage("baseline", student),
            Stage("distilled", student, taught=True),
            Stage("omitted_3", student, True, tuple(k for k in range(10) if k != THREE), (THREE,)),
            Stage("only_7_8", few, True, (7, 8), (7, 8), counts_threes=False),
        ),
    )


STUDENT = NetworkRecipe("inkmlp-800-800", epochs=60, batch_size=256, optimizer="adamw", learning_rate=2e-3)
HINTON2015 = make_recipe(
    "mnist",
    teacher=NetworkRecipe(
        "dropoutmlp-1200-1200",
        epochs=200,
        batch_size=512,
        optimizer="sgd",
        learning_rate=0.2,
        max_norm=2.0,
        jitter=2,
    ),
    student=STUDENT,
    few=replace(STUDENT, epochs=100),
)


def reproduce(
    seeds: int = 3,
    *,
    recipe: Recipe = HINTON2015,
    dataset: Dataset | None = None,
    device: str = "auto",
    threads: int | None = None,
    home: Path | None = None,
    restart: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Train what is not trained yet, seed by seed, then read test, once, for all networks.

    Each network is a file under `home`/reproductions: a finished one is not trained again, and one that was cut off
    goes on from its last checkpoint, to the result of a reproduction that was never disturbed.

    Args:
        seeds: how many; 0 to `seeds` - 1.
        dataset: instead of the one that the recipe names.
        restart: forget what is there.
        should_stop: asked after every batch; True ends the stream without a result.

    Yields:
        StageEpochEnded and StageFinished, at last ReproductionFinished.

    Raises:
        ConfigError: a number of seeds that is not legal.
        KdError: the dataset is not here, the disk cannot be written, or another process is at it.
    """
    if not 1 <= seeds <= MAX_SEEDS:
        raise ConfigError(f"The number of seeds must be a whole number from 1 to {MAX_SEEDS}, not {seeds}.")
    place = pick_device(device, threads)
    data = dataset or load_dataset(recipe.dataset)
    folder = (home or paths.home()) / "reproductions" / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock"), timeout=0):
            if restart:
                shutil.rmtree(folder)
            yield from _train_and_measure(recipe, range(seeds), data, place, folder, should_stop)
    except Timeout as error:
        raise StoreError(
            f"Another process is reproducing {NAME} in {folder.parent}; wait for it, or stop it and try again."
        ) from error
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be used ({error.strerror}); set KDCORE_HOME to a folder of yours."
        ) from error


def _train_and_measure(
    recipe: Recipe,
    seeds: Sequence[int],
    data: Dataset,
    device: Device,
    folder: Path,
    should_stop: Callable[[], bool],
) -> Iterator[Event]:
    trained: dict[tuple[int, str], Fitted] = {}
    left = TimeLeft({s.name: (s.recipe.epochs, _work(s, data)) for s in recipe.stages}, len(seeds))
    for seed in seeds:
        teacher_logits: Tensor | None = None
        origin = data.sha256
        for stage in recipe.stages:
            if stage.taught and teacher_logits is None:
                teacher = trained[seed, "teacher"].network
                teacher_logits = predict_logits(teacher, data.train.images, device)  # plain pictures: [N, K]
                origin = f"{data.sha256} {recipe.stages[0].recipe}"
            material = transfer_set(data, stage.classes, teacher_logits if stage.taught else None)
            path = folder / f"seed-{seed}" / f"{stage.name}.safetensors"
            source = f"{origin} {stage.classes}"
            for step in fit(
                stage.recipe, material, data.validation, seed, device, path, source, data.num_classes, should_stop
            ):
                if isinstance(step, Fitted):
                    trained[seed, stage.name] = step
                    left.finished(stage.name)
                    yield StageFinished(seed, stage.name, step.seconds, step.reused)
                else:
                    yield _told(seed, stage, step, left)
            if (seed, stage.name) not in trained:
                return  # it was stopped
    networks = {stage.name: [trained[seed, stage.name].network for seed in seeds] for stage in recipe.stages}
    began = time.perf_counter()
    rows = measure(recipe, networks, data, device)
    seconds = sum(one.seconds for one in trained.values()) + time.perf_counter() - began
    threads = f", {device.threads} thread{'s' * (device.threads > 1)}" if device.torch.type == "cpu" else ""
    hardware = f"{device.name}{threads}, {device.precision}"
    yield ReproductionFinished({"seconds": seconds, "device": hardware, "seeds": list(seeds), "rows": rows})


def _told(seed: int, stage: Stage, step: FitEpoch, left: TimeLeft) -> StageEpochEnded:
    seconds_left = left.after_epoch(stage.name, step.epoch, step.seconds)
    epochs = stage.recipe.epochs
    facts = (step.train_loss, step.validation_errors, step.seconds, seconds_left)
    return StageEpochEnded(seed, stage.name, step.epoch, epochs, *facts)


def _work(stage: Stage, data: Dataset) -> float:
    """What an epoch costs, up to a factor: pictures times weights."""
    sizes = [int(units) for units in stage.recipe.model.split("-")[1:]]
    weights = sum(
        a * b for a, b in zip([data.train.images[0].numel(), *sizes], [*sizes, data.num_classes], strict=True)
    )
    return share_of(data.train.hard_labels, stage.classes) * len(data.train) * weights


def transfer_set(data: Dataset, classes: Sequence[int], teacher_logits: Tensor | None) -> TransferSet:
    """The training pictures of `classes` and what the teacher says of them; logits [N, K] of all training pictures."""
    rows = torch.isin(data.train.hard_labels, torch.tensor(classes)).nonzero()[:, 0]
    return TransferSet(data.train.select(rows), None if teacher_logits is None else teacher_logits[rows])


def measure(
    recipe: Recipe, networks: dict[str, list[nn.Module]], data: Dataset, device: Device
) -> dict[str, dict[str, Any]]:
    """Every row of the table from the networks of all seeds, by stage; reads test, and nothing is decided by it."""
    rows = {}
    for stage in recipe.stages:
        test = torch.stack([predict_logits(one, data.test.images, device) for one in networks[stage.name]])  # [S, N, K]
        rows[stage.name] = _row(stage.name, stage, test, data.test.hard_labels)
        if stage.corrected:
            offsets = [bias_offset(stage, one, data, device) for one in networks[stage.name]]
            better = torch.stack([corrected(z, stage.corrected, b) for z, b in zip(test, offsets, strict=True)])
            name = f"{stage.name}_bias"
            rows[name] = _row(name, stage, better, data.test.hard_labels)
    return rows


def bias_offset(stage: Stage, network: nn.Module, data: Dataset, device: Device) -> float:
    """What is added to the corrected classes' logits: from validation pictures without their labels, and from how
    frequent the classes are among all training pictures."""
    logits = predict_logits(network, data.validation.images, device)
    return fit_offset(logits, stage.corrected, share_of(data.train.hard_labels, stage.corrected))


def _row(name: str, stage: Stage, logits: Tensor, hard_labels: Tensor) -> dict[str, Any]:
    """Logits [S, N, K]; errors are counted of all N test pictures."""
    hits = metrics.hits(logits, hard_labels)
    size = len(hard_labels)
    threes = metrics.picture_estimate(hits[:, hard_labels == THREE], 0.0, 1.0).to_json()
    return {
        "paper_errors": PAPER_ERRORS[name],
        "errors": metrics.picture_estimate((~hits).double() * size, 0.0, float(size)).to_json(),
        "threes_right": threes if stage.counts_threes else None,
    }
