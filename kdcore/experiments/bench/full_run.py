"""The full run of the benchmark: the tutorial's job done once from beginning to end, to learn the accuracies.

There are three trainings: the teacher, the student in the plain loop, and the student in the engine's loop. Each
network is saved when its training is done, so that an interrupted full run continues with the next one. The result is
saved with its date and hardware.
"""

from __future__ import annotations

import datetime
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kdcore.datasets.base import Dataset
from kdcore.errors import ModelFileError, StoreError
from kdcore.experiments.bench import reference
from kdcore.experiments.bench.clock import ProgressCallback
from kdcore.experiments.bench.networks import Renormalised, build_deep, build_light
from kdcore.experiments.bench.tutorial import EPOCHS, SEED, pictures_of, teacher_logits_of, train_ours
from kdcore.machine.device import Device
from kdcore.machine.disk import write_failure_reason
from kdcore.machine.tensor_files import canonical_json, file_sha256, load_tensors, save_tensors, write_atomically
from kdcore.metrics.intervals import wilson
from kdcore.metrics.scores import correct, paired_difference
from kdcore.networks.inference import predict_logits

PROGRESS_SECONDS = 0.5  # time between two progress lines


def saved_result(folder: Path, dataset: Dataset) -> dict[str, Any] | None:
    """Return the saved result of the last full run; None if there is none for these very pictures (by their hash)."""
    with suppress(OSError, ValueError, KeyError):
        result: dict[str, Any] = json.loads((folder / "tutorial.json").read_text(encoding="utf-8"))
        return result if result["dataset"] == dataset.sha256 else None
    return None


def saved_teacher(folder: Path) -> nn.Module | None:
    """Return the teacher that a full run trained and saved; None if there is none."""
    network = build_deep(SEED)
    with suppress(ModelFileError, RuntimeError):
        network.load_state_dict(load_tensors(folder / "teacher.safetensors")[0])
        return network
    return None


def full_run(
    dataset: Dataset,
    device: Device,
    folder: Path,
    on_progress: ProgressCallback,
    epochs: int = EPOCHS,
    restart: bool = False,
) -> dict[str, Any]:
    """Train the networks that are not saved yet, then measure all three on the test pictures.

    Args:
        folder: where networks and result are saved.
        restart: delete everything in `folder` first.

    Returns:
        Accuracies (0 to 1) with their 95 % Wilson intervals over the test pictures, the difference of the two
        students, seconds of each training, date and hardware. There is one seed only, which does not show how other
        networks would turn out, so the difference has no interval.

    Raises:
        StoreError: the disk cannot be written.
    """
    if restart:
        shutil.rmtree(folder, ignore_errors=True)
    pictures = pictures_of(dataset)
    identity = {"dataset": dataset.sha256, "epochs": epochs, "seed": SEED, "precision": device.precision}
    steps = epochs * pictures.steps

    def by_ours(network: nn.Module, teacher: nn.Module | None) -> Iterator[object]:
        logits = None if teacher is None else teacher_logits_of(teacher, pictures, device)
        return train_ours(Renormalised(network), pictures, logits, epochs, SEED, device)

    def by_the_reference(network: nn.Module) -> Iterator[object]:
        plain = build_deep(SEED)  # a separate copy: the engine's has channels_last memory
        plain.load_state_dict(deep.state_dict())
        batches = reference.make_loader(pictures.images, pictures.hard_labels)
        return reference.train_reference(plain, network, batches, epochs, device.torch)

    def train(name: str, network: nn.Module, training: Callable[[], Iterator[object]]) -> float:
        return _train_or_load(name, network, training, folder / f"{name}.safetensors", identity, steps, on_progress)

    deep, light, ours = build_deep(SEED, lean=True), build_light(SEED), build_light(SEED, lean=True)
    seconds = {"teacher": train("teacher", deep, lambda: by_ours(deep, None))}
    identity["teacher"] = file_sha256(folder / "teacher.safetensors")
    seconds["reference"] = train("reference", light, lambda: by_the_reference(light))
    teacher = Renormalised(deep)
    device.place(teacher)
    seconds["ours"] = train("ours", ours, lambda: by_ours(ours, teacher))
    result = {**_measure(dataset, {"teacher": deep, "reference": light, "our": ours}, device), "seconds": seconds}
    result |= {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "hardware": device.description,
        **identity,
    }
    try:
        write_atomically(folder / "tutorial.json", json.dumps(result, indent=1).encode())
    except OSError as error:
        raise StoreError(f"The result of the full run could not be saved {write_failure_reason(error)}.") from error
    return result


def _train_or_load(
    name: str,
    network: nn.Module,
    train: Callable[[], Iterator[object]],
    path: Path,
    identity: dict[str, Any],
    steps: int,
    on_progress: ProgressCallback,
) -> float:
    """Train `network` and save it, or load it if the same training is already saved.

    Args:
        train: starts the training, which yields after every step.
        path: file of the trained network.
        identity: everything that identifies the training; saved with the network.
        steps: steps of the whole training, for the time left.

    Returns:
        Seconds that the training took.
    """
    key = canonical_json(identity)
    with suppress(ModelFileError):
        tensors, metadata = load_tensors(path)
        if metadata.get("key") == key:
            network.load_state_dict(tensors)
            return float(metadata["seconds"])
    start = last_shown = time.perf_counter()
    with torch.random.fork_rng():  # dropout and the plain loop's shuffling use the global generators
        torch.manual_seed(SEED)
        for step, _ in enumerate(train(), start=1):
            now = time.perf_counter()
            if now - last_shown >= PROGRESS_SECONDS:
                last_shown = now
                left = (now - start) / step * (steps - step)
                on_progress(f"full run, {name}: step {step} of {steps}, {left:.0f} s left")
    seconds = time.perf_counter() - start
    save_tensors(path, network.state_dict(), {"key": key, "seconds": repr(seconds)})
    return seconds


def _measure(dataset: Dataset, networks: dict[str, nn.Module], device: Device) -> dict[str, Any]:
    """Measure the networks on the test pictures, all in fp32, whatever precision they were trained in."""
    fp32_device = replace(device, precision="fp32")
    figures: dict[str, Any] = {}
    logits = {}
    labels = dataset.test.hard_labels
    for name, network in networks.items():
        renormalised = Renormalised(network)
        device.place(renormalised)
        logits[name] = predict_logits(renormalised, dataset.test.images, fp32_device)
        hits = int(correct(logits[name], labels).sum())
        figures[f"{name}_accuracy"] = hits / len(labels)
        figures[f"{name}_ci95"] = list(wilson(hits, len(labels)))
    figures["accuracy_difference"] = paired_difference(logits["our"][None], logits["reference"][None], labels).to_json()
    return {**figures, "test_pictures": len(labels)}
