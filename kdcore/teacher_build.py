"""Builds the bundled models from their recipes: trains, calibrates on validation, measures on test, writes the card."""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdcore import metrics, paths
from kdcore.config import make_run_config
from kdcore.datasets import Dataset, creatures, load_dataset
from kdcore.device import Device, pick_device
from kdcore.errors import UnknownName
from kdcore.events import EpochEnded, RunFinished
from kdcore.inference import predict_logits
from kdcore.model_cards import ModelCard
from kdcore.models import count_macs, count_params
from kdcore.recipes import NOTES, STUDENT_RECIPES, TEACHER_RECIPES, teacher_recipe
from kdcore.teacher_training import TeacherEpoch, TeacherRecipe, train_teacher
from kdcore.teachers import FrozenNetwork, load_model, save_model
from kdcore.trainer import train


def build(
    name: str, out: Path | None = None, device: str = "auto", should_stop: Callable[[], bool] = lambda: False
) -> Iterator[TeacherEpoch | EpochEnded | ModelCard]:
    """Train the model called `name` by its recipe; yields progress, then the card of each file written to `out`.

    A teacher's training continues where an earlier one was cut off.

    Args:
        out: `paths.home() / "models"` unless given; the bundled models are in `assets/models`.

    Raises:
        UnknownName: no recipe has this name.
        KdError: the dataset is not here, or the disk cannot be written.
    """
    folder = out or paths.home() / "models"
    if name in STUDENT_RECIPES:
        yield from _build_students(name, folder, device)
    else:
        recipe = teacher_recipe(name)
        if recipe is None:
            raise UnknownName("recipe", name, (*TEACHER_RECIPES, *STUDENT_RECIPES))
        yield from _build_teacher(recipe, folder, pick_device(device), should_stop)


def _build_teacher(
    recipe: TeacherRecipe, folder: Path, device: Device, should_stop: Callable[[], bool]
) -> Iterator[TeacherEpoch | ModelCard]:
    dataset = load_dataset(recipe.dataset)
    if recipe.drawn:  # far from the seeds of the dataset's own splits
        drawn = creatures.draw_pictures(recipe.drawn, seed=2_000_000 + recipe.seed)
        dataset = replace(dataset, train=drawn)
    checkpoint = paths.home() / "teachers" / f"{recipe.name}.safetensors"
    for step in train_teacher(recipe, dataset, device, checkpoint, should_stop):
        if isinstance(step, TeacherEpoch):
            yield step
        else:
            yield _write_card(recipe, dataset, round_to_half(step), folder, device)
            checkpoint.unlink(missing_ok=True)


def round_to_half(network: nn.Module) -> nn.Module:
    """Round matrices and kernels to what fp16 can hold, so that the figures are those of the file as kept."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.copy_(parameter.half().float())
    return network


def _write_card(recipe: TeacherRecipe, dataset: Dataset, network: nn.Module, folder: Path, device: Device) -> ModelCard:
    frozen = FrozenNetwork(network, recipe.crop)
    validation = predict_logits(frozen, dataset.validation.images, device)
    calibration = fit_calibration(validation, dataset.validation.hard_labels)
    logits = predict_logits(frozen, dataset.test.images, device) * calibration
    figures = measure(logits, dataset)
    validation_hits = metrics.hits(validation, dataset.validation.hard_labels)
    figures["validation_accuracy"] = metrics.proportion_estimate(validation_hits).to_json()
    card: dict[str, Any] = {
        "name": recipe.name,
        "role": "teacher",
        "dataset": dataset.name,
        "dataset_sha256": dataset.sha256,
        "model": recipe.model,
        "class_names": dataset.class_names,
        "superclasses": dataset.superclasses,
        "image_shape": dataset.image_shape,
        "calibration": calibration,
        "accuracy": figures["accuracy"]["mean"],
        "figures": figures,
        "num_params": count_params(network),
        "macs": count_macs(network, dataset.image_shape),
        "recipe": asdict(recipe),
        "command": f"kdcore teachers train {recipe.name}",
        "seeds": (recipe.seed,),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "notes": NOTES.get(recipe.name, ""),
        "crop": recipe.crop,
    }
    return save_model(folder, network, card, half=True)


def fit_calibration(logits: Tensor, hard_labels: Tensor) -> float:
    """The factor on the logits [N, K] with the least negative log-likelihood (Guo et al. 2017, section 4.2).

    The likelihood is convex in the factor; its logarithm is searched on a grid that is refined three times.
    """
    low, high = -3.0, 3.0
    best = 0.0
    for _ in range(3):
        grid = torch.linspace(low, high, 61)
        losses = torch.stack([F.cross_entropy(logits * float(step.exp()), hard_labels) for step in grid])
        best = float(grid[int(losses.argmin())])
        width = (high - low) / 60
        low, high = best - width, best + width
    return float(torch.tensor(best).exp())


def measure(logits: Tensor, dataset: Dataset) -> dict[str, Any]:
    """A teacher's figures on the test split, with intervals; calibrated logits [N, K]."""
    hard_labels = dataset.test.hard_labels
    figures: dict[str, Any] = {
        "test_size": len(hard_labels),
        "accuracy": metrics.proportion_estimate(metrics.hits(logits, hard_labels)).to_json(),
        "nll": float(F.cross_entropy(logits, hard_labels)),
        "ece": metrics.ece(logits[None], hard_labels).to_json(),
    }
    if dataset.bayes_accuracy is not None and dataset.test.posterior is not None:
        figures["bayes_accuracy"] = dataset.bayes_accuracy
        log_probs = logits.log_softmax(1)
        divergence = F.kl_div(log_probs, dataset.test.posterior, reduction="batchmean")
        figures["kl_from_posterior"] = float(divergence)
    if dataset.superclasses != dataset.class_names:
        figures |= _superclass_figures(logits, dataset)
    return figures


def _superclass_figures(logits: Tensor, dataset: Dataset) -> dict[str, Any]:
    """By superclass the answer is the one with the largest sum of soft labels at T = 1."""
    families = sorted(set(dataset.superclasses))
    member = torch.tensor([families.index(name) for name in dataset.superclasses])
    mass = torch.zeros(len(logits), len(families)).index_add_(1, member, logits.softmax(1))
    right = mass.argmax(1) == member[dataset.test.hard_labels]
    counts = dataset.train.hard_labels.bincount(minlength=dataset.num_classes)
    hits = metrics.hits(logits, dataset.test.hard_labels)
    rows = {}
    for place, name in enumerate(families):
        chosen = right[member[dataset.test.hard_labels] == place]
        low, high = metrics.wilson(int(chosen.sum()), len(chosen))
        rows[name] = {"accuracy": float(chosen.double().mean()), "n": len(chosen), "ci95": [low, high]}
    figures: dict[str, Any] = {
        "superclass_accuracy": metrics.proportion_estimate(right).to_json(),
        "by_superclass": rows,
    }
    large = counts[dataset.test.hard_labels] > counts.max() * 0.8
    if bool(large.any()) and not bool(large.all()):
        figures["large_class_accuracy"] = metrics.proportion_estimate(hits[large]).to_json()
        figures["small_class_accuracy"] = metrics.proportion_estimate(hits[~large]).to_json()
    return figures


def _build_students(name: str, folder: Path, device: str) -> Iterator[EpochEnded | ModelCard]:
    """The arms of a paired run with the dataset's defaults, under the dataset's name."""
    recipe = STUDENT_RECIPES[name]
    config = make_run_config(recipe.dataset, seeds=recipe.seeds, device=device)
    with tempfile.TemporaryDirectory() as scratch:
        run_dir = Path(scratch)
        for event in train(config, run_dir=run_dir):
            if isinstance(event, EpochEnded):
                yield event
            elif isinstance(event, RunFinished):
                for arm in ("baseline", "distilled"):
                    student = load_model(run_dir / "models" / f"{arm}.safetensors")
                    card = {**vars(student.card), "name": f"{recipe.dataset}-{arm}"}
                    card["command"] = f"kdcore teachers train {name}"
                    del card["sha256"], card["size_bytes"]  # of the file that is written now
                    yield save_model(folder, student.network.network, card)


__all__ = ["build", "fit_calibration", "measure", "round_to_half"]
