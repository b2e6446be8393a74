"""Hinton's MNIST experiment ("Distilling the Knowledge in a Neural Network", Hinton, Vinyals, Dean 2015, section 3).

A large network (the teacher) learns digits with dropout and randomly moved pictures. A small one (the student) learns
them without either, then from the teacher's soft labels, then from soft labels on transfer sets in which whole classes
are missing. Every seed trains its own teacher, so the intervals also cover the variation between teachers.
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

from kdcore.datasets import Dataset, load_dataset
from kdcore.errors import ConfigError, StoreError
from kdcore.events import Event
from kdcore.experiments.reproductions.fitting import FitEpoch, FittedNetwork, NetworkRecipe, TrainingData, fit_network
from kdcore.experiments.reproductions.output_bias import add_offset, fit_offset, share_of
from kdcore.experiments.reproductions.progress import ReproductionFinished, StageEpochEnded, StageFinished
from kdcore.experiments.reproductions.time_left import TimeLeft
from kdcore.machine import paths
from kdcore.machine.device import Device, pick_device
from kdcore.metrics import scores
from kdcore.networks.inference import predict_logits

NAME = "hinton2015"
MAX_SEEDS = 100
THREE = 3
# Wrong answers on the 10,000 test pictures. The paper gives the last two as shares, 47.3 % and 13.2 %.
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
class PaperNetwork:
    """One of the networks that are trained for each seed.

    Attributes:
        name: its name, which is also that of its row in the result.
        recipe: how it is trained.
        taught: whether it learns from the teacher's soft labels.
        classes: the classes in its transfer set.
        corrected: the classes whose output bias is corrected for a second row (`NAME_bias`); empty for no second row.
        counts_threes: whether its rows state the share of 3s that are classified correctly.
    """

    name: str
    recipe: NetworkRecipe
    taught: bool = False
    classes: tuple[int, ...] = tuple(range(10))
    corrected: tuple[int, ...] = ()
    counts_threes: bool = True


@dataclass(frozen=True)
class Experiment:
    """The whole experiment: the name of a dataset of ten digits, and the networks in the order of their training."""

    dataset: str
    stages: tuple[PaperNetwork, ...]


def make_recipe(dataset: str, teacher: NetworkRecipe, student: NetworkRecipe, few: NetworkRecipe) -> Experiment:
    """Return the experiment with its five networks.

    Args:
        dataset: name of a dataset of ten digits.
        few: the student's recipe for the transfer set of two classes, which is smaller.
    """
    return Experiment(
        dataset,
        (
            PaperNetwork("teacher", teacher),
            PaperNetwork("baseline", student),
            PaperNetwork("distilled", student, taught=True),
            PaperNetwork("omitted_3", student, True, tuple(k for k in range(10) if k != THREE), (THREE,)),
            PaperNetwork("only_7_8", few, True, (7, 8), (7, 8), counts_threes=False),
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
    recipe: Experiment = HINTON2015,
    dataset: Dataset | None = None,
    device: str = "auto",
    threads: int | None = None,
    home: Path | None = None,
    restart: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Train all networks that are not trained yet, seed by seed, then measure them all on the test pictures, once.

    Each network is saved in a file under `home`/reproductions. A finished network is not trained again. An interrupted
    training continues from its last checkpoint and gives the same result as an uninterrupted one.

    Args:
        seeds: number of seeds; they are 0 to `seeds` - 1.
        recipe: the experiment.
        dataset: replaces the dataset that the recipe names.
        device: "auto", "cpu" or "cuda".
        threads: CPU threads; PyTorch's present number if None.
        home: folder for the files; the app's own folder if None.
        restart: delete all saved networks first.
        should_stop: called after every batch; when it returns True, the iterator ends without a result.

    Yields:
        StageEpochEnded after every epoch, StageFinished after every network, and finally ReproductionFinished.

    Raises:
        ConfigError: the number of seeds is not legal.
        KdError: the dataset is not on this machine, the disk cannot be written, or another process is running the same
            reproduction in the same folder.
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
    recipe: Experiment,
    seeds: Sequence[int],
    data: Dataset,
    device: Device,
    folder: Path,
    should_stop: Callable[[], bool],
) -> Iterator[Event]:
    trained: dict[tuple[int, str], FittedNetwork] = {}
    left = TimeLeft({s.name: (s.recipe.epochs, _epoch_cost(s, data)) for s in recipe.stages}, len(seeds))
    for seed in seeds:
        teacher_logits: Tensor | None = None
        origin = data.sha256
        for stage in recipe.stages:
            if stage.taught and teacher_logits is None:
                teacher = trained[seed, "teacher"].network
                teacher_logits = predict_logits(teacher, data.train.images, device)  # unmoved pictures: [N, K]
                origin = f"{data.sha256} {recipe.stages[0].recipe}"
            material = transfer_set(data, stage.classes, teacher_logits if stage.taught else None)
            path = folder / f"seed-{seed}" / f"{stage.name}.safetensors"
            source = f"{origin} {stage.classes}"
            for step in fit_network(
                stage.recipe, material, data.validation, seed, device, path, source, data.num_classes, should_stop
            ):
                if isinstance(step, FittedNetwork):
                    trained[seed, stage.name] = step
                    left.finished(stage.name)
                    yield StageFinished(seed, stage.name, step.seconds, step.reused)
                else:
                    yield _epoch_event(seed, stage, step, left)
            if (seed, stage.name) not in trained:
                return  # `should_stop` ended the training
    networks = {stage.name: [trained[seed, stage.name].network for seed in seeds] for stage in recipe.stages}
    began = time.perf_counter()
    rows = measure(recipe, networks, data, device)
    seconds = sum(one.seconds for one in trained.values()) + time.perf_counter() - began
    threads = f", {device.threads} thread{'s' * (device.threads > 1)}" if device.torch.type == "cpu" else ""
    hardware = f"{device.name}{threads}, {device.precision}"
    yield ReproductionFinished({"seconds": seconds, "device": hardware, "seeds": list(seeds), "rows": rows})


def _epoch_event(seed: int, stage: PaperNetwork, step: FitEpoch, left: TimeLeft) -> StageEpochEnded:
    seconds_left = left.after_epoch(stage.name, step.epoch, step.seconds)
    epochs = stage.recipe.epochs
    facts = (step.train_loss, step.validation_errors, step.seconds, seconds_left)
    return StageEpochEnded(seed, stage.name, step.epoch, epochs, *facts)


def _epoch_cost(stage: PaperNetwork, data: Dataset) -> float:
    """Return the relative cost of an epoch: the number of pictures times the number of weights."""
    sizes = [int(units) for units in stage.recipe.model.split("-")[1:]]
    weights = sum(
        a * b for a, b in zip([data.train.images[0].numel(), *sizes], [*sizes, data.num_classes], strict=True)
    )
    return share_of(data.train.hard_labels, stage.classes) * len(data.train) * weights


def transfer_set(data: Dataset, classes: Sequence[int], teacher_logits: Tensor | None) -> TrainingData:
    """Return the training pictures of `classes` as a transfer set.

    Args:
        teacher_logits: [N, K] for all training pictures; None to learn without a teacher.
    """
    rows = torch.isin(data.train.hard_labels, torch.tensor(classes)).nonzero()[:, 0]
    return TrainingData(data.train.select(rows), None if teacher_logits is None else teacher_logits[rows])


def measure(
    recipe: Experiment, networks: dict[str, list[nn.Module]], data: Dataset, device: Device
) -> dict[str, dict[str, Any]]:
    """Measure the networks on the test pictures and return the rows of the result by their name.

    Nothing is chosen or fitted on the test pictures.

    Args:
        networks: the name of each stage -> its networks, one per seed.
    """
    rows = {}
    for stage in recipe.stages:
        test = torch.stack([predict_logits(one, data.test.images, device) for one in networks[stage.name]])  # [S, N, K]
        rows[stage.name] = _row(stage.name, stage, test, data.test.hard_labels)
        if stage.corrected:
            offsets = [bias_offset(stage, one, data, device) for one in networks[stage.name]]
            better = torch.stack([add_offset(z, stage.corrected, b) for z, b in zip(test, offsets, strict=True)])
            name = f"{stage.name}_bias"
            rows[name] = _row(name, stage, better, data.test.hard_labels)
    return rows


def bias_offset(stage: PaperNetwork, network: nn.Module, data: Dataset, device: Device) -> float:
    """Return the number that is added to the logits of the stage's corrected classes.

    It is fitted on the validation pictures without their labels, to the frequency of these classes among all training
    pictures.
    """
    logits = predict_logits(network, data.validation.images, device)
    return fit_offset(logits, stage.corrected, share_of(data.train.hard_labels, stage.corrected))


def _row(name: str, stage: PaperNetwork, logits: Tensor, hard_labels: Tensor) -> dict[str, Any]:
    """Return one row of the result from logits [S, N, K]; errors are numbers of wrong answers among the N pictures."""
    hits = scores.correct(logits, hard_labels)
    size = len(hard_labels)
    threes = scores.picture_estimate(hits[:, hard_labels == THREE], 0.0, 1.0).to_json()
    return {
        "paper_errors": PAPER_ERRORS[name],
        "errors": scores.picture_estimate((~hits).double() * size, 0.0, float(size)).to_json(),
        "threes_right": threes if stage.counts_threes else None,
    }
