"""Hinton's MNIST experiment ("Distilling the Knowledge in a Neural Network", Hinton, Vinyals, Dean 2015, section 3).

A large network (the teacher) learns digits with dropout and randomly moved pictures. A small one (the student) learns
them without either, then from the teacher's soft labels, then from soft labels on transfer sets in which whole classes
are missing. Every seed trains its own teacher, so the intervals also cover the variation between teachers.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from kdcore.datasets import Dataset, load_dataset
from kdcore.errors import ConfigError, StoreError
from kdcore.events import Event
from kdcore.experiments.reproductions.fitting import FitEpoch, FittedNetwork, TrainingData, fit_network
from kdcore.experiments.reproductions.output_bias import share_of
from kdcore.experiments.reproductions.paper_errors import measure
from kdcore.experiments.reproductions.paper_networks import HINTON2015, Experiment, PaperNetwork
from kdcore.experiments.reproductions.progress import ReproductionFinished, StageEpochEnded, StageFinished
from kdcore.experiments.reproductions.time_left import TimeLeft
from kdcore.machine import paths
from kdcore.machine.device import Device, pick_device, with_torch_threads
from kdcore.networks.inference import predict_logits

NAME = "hinton2015"
MAX_SEEDS = 100


def reproduce(
    seeds: int = 3,
    *,
    experiment: Experiment = HINTON2015,
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
        experiment: the networks to train, and their dataset.
        dataset: replaces the dataset that the experiment names.
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
    folder = (home or paths.home()) / "reproductions" / NAME
    steps = _reproduce(experiment, range(seeds), dataset, device, folder, restart, should_stop)
    yield from with_torch_threads(threads or torch.get_num_threads(), steps)


def _reproduce(
    experiment: Experiment,
    seeds: Sequence[int],
    dataset: Dataset | None,
    device: str,
    folder: Path,
    restart: bool,
    should_stop: Callable[[], bool],
) -> Generator[Event, None, None]:
    chosen_device = pick_device(device)
    data = dataset or load_dataset(experiment.dataset)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock"), timeout=0):
            if restart:
                shutil.rmtree(folder)
            yield from _train_and_measure(experiment, seeds, data, chosen_device, folder, should_stop)
    except Timeout as error:
        raise StoreError(
            f"Another process is reproducing {NAME} in {folder.parent}; wait for it, or stop it and try again."
        ) from error
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be used ({error.strerror}); set KDCORE_HOME to a folder of yours."
        ) from error


def _train_and_measure(
    experiment: Experiment,
    seeds: Sequence[int],
    data: Dataset,
    device: Device,
    folder: Path,
    should_stop: Callable[[], bool],
) -> Iterator[Event]:
    trained: dict[tuple[int, str], FittedNetwork] = {}
    costs = {planned.name: (planned.recipe.epochs, _epoch_cost(planned, data)) for planned in experiment.networks}
    time_left = TimeLeft(costs, len(seeds))
    for seed in seeds:
        teacher_logits: Tensor | None = None
        origin = data.sha256
        for planned in experiment.networks:
            if planned.with_soft_labels and teacher_logits is None:
                teacher = trained[seed, "teacher"].network
                teacher_logits = predict_logits(teacher, data.train.images, device)  # unmoved pictures: [N, K]
                origin = f"{data.sha256} {experiment.networks[0].recipe}"
            training = transfer_set(data, planned.classes, teacher_logits if planned.with_soft_labels else None)
            path = folder / f"seed-{seed}" / f"{planned.name}.safetensors"
            source = f"{origin} {planned.classes}"
            for step in fit_network(
                planned.recipe, training, data.validation, seed, device, path, source, data.num_classes, should_stop
            ):
                if isinstance(step, FittedNetwork):
                    trained[seed, planned.name] = step
                    time_left.finished(planned.name)
                    yield StageFinished(seed, planned.name, step.seconds, step.reused)
                else:
                    yield _epoch_event(seed, planned, step, time_left)
            if (seed, planned.name) not in trained:
                return  # `should_stop` ended the training
    networks = {
        planned.name: [trained[seed, planned.name].network for seed in seeds] for planned in experiment.networks
    }
    start = time.perf_counter()
    rows = measure(experiment, networks, data, device)
    seconds = sum(fitted.seconds for fitted in trained.values()) + time.perf_counter() - start
    result = {"seconds": seconds, "device": device.description, "seeds": list(seeds), "rows": rows}
    yield ReproductionFinished(result)


def _epoch_event(seed: int, planned: PaperNetwork, step: FitEpoch, time_left: TimeLeft) -> StageEpochEnded:
    return StageEpochEnded(
        seed,
        planned.name,
        step.epoch,
        planned.recipe.epochs,
        step.train_loss,
        step.validation_errors,
        step.seconds,
        time_left.after_epoch(planned.name, step.epoch, step.seconds),
    )


def _epoch_cost(planned: PaperNetwork, data: Dataset) -> float:
    """Return the relative cost of an epoch: the number of pictures times the number of weights."""
    hidden = [int(units) for units in planned.recipe.model.split("-")[1:]]
    layers = [data.train.images[0].numel(), *hidden, data.num_classes]
    weights = sum(inputs * outputs for inputs, outputs in pairwise(layers))
    return share_of(data.train.hard_labels, planned.classes) * len(data.train) * weights


def transfer_set(data: Dataset, classes: Sequence[int], teacher_logits: Tensor | None) -> TrainingData:
    """Return the training pictures of `classes` as a transfer set.

    Args:
        teacher_logits: [N, K] for all training pictures; None to learn without a teacher.
    """
    rows = torch.isin(data.train.hard_labels, torch.tensor(classes)).nonzero()[:, 0]
    return TrainingData(data.train.select(rows), None if teacher_logits is None else teacher_logits[rows])
