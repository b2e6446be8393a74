"""Build models from their recipes: train, calibrate on validation, measure on test, and write weights and card."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Generator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kdcore.datasets import Dataset, creatures, load_dataset
from kdcore.errors import TrainingDiverged, UnknownName
from kdcore.machine import paths
from kdcore.machine.device import Device, pick_device
from kdcore.machine.distributed import SINGLE_PROCESS, World
from kdcore.metrics import scores
from kdcore.networks.frozen import FrozenNetwork
from kdcore.networks.inference import predict_logits
from kdcore.networks.registry import count_macs, count_params
from kdcore.teachers.building.figures import fit_calibration, fit_threshold, measure, measure_outsiders
from kdcore.teachers.building.head import train_head
from kdcore.teachers.building.recipes import TEACHER_RECIPES, notes_of, teacher_recipe
from kdcore.teachers.building.training import TeacherEpoch, TeacherRecipe, train_teacher
from kdcore.teachers.card import ModelCard, own_model_folder, teachers_by_name
from kdcore.teachers.teacher import Teacher, save_model


def build_teacher(
    name: str,
    out: Path | None = None,
    device: str = "auto",
    should_stop: Callable[[], bool] = lambda: False,
    world: World = SINGLE_PROCESS,
) -> Generator[TeacherEpoch | ModelCard, None, None]:
    """Train the teacher called `name` by its recipe; yields progress, then the card of the file written to `out`.

    Its training continues where an earlier one was cut off, except for that of a new last layer, which is short.

    Args:
        out: `card.own_model_folder()` unless given; the bundled models are in `assets/models`.
        world: the processes that train the teacher together; the first of them writes the card and yields it.

    Raises:
        UnknownName: no recipe has this name.
        TrainingDiverged: the loss or the weights became infinite or not a number.
        KdError: the dataset is not here, or the disk cannot be written.
    """
    recipe = teacher_recipe(name)
    if recipe is None:
        raise UnknownName("recipe", name, TEACHER_RECIPES)
    folder, target_device = out or own_model_folder(), pick_device(device)
    dataset = load_dataset(recipe.dataset)
    if recipe.drawn:  # this seed is far from those of the dataset's own splits
        drawn = creatures.draw_pictures(recipe.drawn, seed=2_000_000 + recipe.seed)
        dataset = replace(dataset, train=drawn)
    checkpoint = paths.home() / "teachers" / f"{recipe.name}.safetensors"
    if recipe.features_of:
        steps = train_head(recipe, dataset, target_device, should_stop)
    else:
        steps = train_teacher(recipe, dataset, target_device, checkpoint, should_stop, world)
    for step in steps:
        if isinstance(step, TeacherEpoch):
            yield step
        elif world.rank == 0:
            network = _check_finite(round_to_fp16(step), recipe.name)
            yield _write_card(recipe, dataset, network, folder, target_device, world.command)
            checkpoint.unlink(missing_ok=True)


def round_to_fp16(network: nn.Module) -> nn.Module:
    """Round matrices and kernels in place to fp16, in which they are saved, so that the figures fit the saved file."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.copy_(parameter.half().float())
    return network


def _check_finite(network: nn.Module, name: str) -> nn.Module:
    """Return a trained network if all its weights are numbers.

    Raises:
        TrainingDiverged: some are not, such as those beyond the range of fp16, although the loss was still finite.
    """
    if all(bool(value.isfinite().all()) for value in network.state_dict().values()):
        return network
    raise TrainingDiverged(
        f"The training of the teacher {name} diverged: its weights are too large to be kept; choose another teacher, "
        "or one that is trained already."
    )


def _write_card(
    recipe: TeacherRecipe, dataset: Dataset, network: nn.Module, folder: Path, device: Device, command: str
) -> ModelCard:
    frozen = FrozenNetwork(network, recipe.crop)
    validation = predict_logits(frozen, dataset.validation.images, device)
    calibration = fit_calibration(validation, dataset.validation.hard_labels)
    logits = predict_logits(frozen, dataset.test.images, device) * calibration
    figures = measure(logits, dataset)
    validation_hits = scores.correct(validation, dataset.validation.hard_labels)
    figures["validation_accuracy"] = scores.proportion_estimate(validation_hits).to_json()
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
        "command": f"{command} teachers train {recipe.name}",
        "seeds": (recipe.seed,),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "notes": notes_of(recipe),
        "crop": recipe.crop,
        "normalisation": teachers_by_name()[recipe.features_of].normalisation if recipe.features_of else None,
    }
    if recipe.outsiders is not None:
        card["none_below"] = fit_threshold(validation * calibration)
        teacher = Teacher(ModelCard(**card, sha256="", size_bytes=0), frozen, device)
        figures["none_of_these"] = measure_outsiders(teacher, dataset, card["none_below"], recipe.outsiders)
    return save_model(folder, network, card, half=True)
