"""Train the teachers that a run needs and that are not on this machine yet; each is trained once and kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import torch

from kdcore.datasets import Dataset, dataset_info, load_dataset
from kdcore.events import TeacherEpochEnded
from kdcore.machine.device import pick_device, torch_threads, with_torch_threads
from kdcore.machine.parallel import cores
from kdcore.networks.registry import build_model
from kdcore.teachers.building.build import build_teacher
from kdcore.teachers.building.head import estimate_head_seconds
from kdcore.teachers.building.recipes import teacher_recipe
from kdcore.teachers.building.training import TeacherRecipe
from kdcore.teachers.card import ModelCard, teachers_by_name, was_trained_here
from kdcore.teachers.ensemble_names import is_ensemble, members_of

TIMING_SECONDS = 1.5  # how long steps are timed to estimate a whole training; the quickest step is used


def must_be_trained(name: str, cards: Mapping[str, ModelCard] | None = None) -> bool:
    """Whether a run would train the teacher called `name` first, as far as that is known without loading pictures.

    That is so where it has a recipe and is not on this machine, or learned other pictures than its dataset has now.

    Args:
        cards: those of all teachers on this machine, by name; None to read them.
    """
    recipe, card = teacher_recipe(name), (teachers_by_name() if cards is None else cards).get(name)
    if recipe is None or card is None:
        return recipe is not None
    sha256 = dataset_info(recipe.dataset).sha256
    return was_trained_here(card) and sha256 not in ("", card.dataset_sha256)


def _is_outdated(card: ModelCard, recipe: TeacherRecipe, dataset: Dataset | None) -> bool:
    """Whether this machine trained the teacher from other pictures than its dataset has now."""
    if not was_trained_here(card):
        return False
    if dataset is None or dataset.name != recipe.dataset:
        dataset = load_dataset(recipe.dataset)
    learned = (card.dataset_sha256, card.class_names, card.image_shape)
    return learned != (dataset.sha256, dataset.class_names, dataset.image_shape)


def train_missing_teacher(
    name: str,
    device: str = "auto",
    should_stop: Callable[[], bool] = lambda: False,
    dataset: Dataset | None = None,
) -> Iterator[TeacherEpochEnded]:
    """Train the teacher called `name`, or each member of that ensemble, unless it is on this machine already.

    A teacher that this machine trained is trained anew if its dataset has other pictures, classes or sizes now; one
    that came from elsewhere stays. A name without a recipe is passed over. An interrupted training is continued. The
    training uses every core, because nothing else trains meanwhile.

    Args:
        dataset: the dataset that the run has loaded already, if it has.
        should_stop: asked after every batch; True ends the training without a teacher.

    Yields:
        A `TeacherEpochEnded` when a training begins, with epoch 0, and after each epoch.

    Raises:
        KdError: its dataset is not on this machine, or the disk cannot be written.
    """
    if is_ensemble(name):
        for member in members_of(name):
            if not should_stop():
                yield from train_missing_teacher(member, device, should_stop, dataset)
        return
    recipe = teacher_recipe(name)
    card = teachers_by_name().get(name)
    if recipe is None or (card is not None and not _is_outdated(card, recipe, dataset)):
        return
    # Report the beginning at once, because the first epoch may take a minute.
    yield TeacherEpochEnded(name, 0, recipe.epochs, None, 0.0)
    for step in with_torch_threads(cores(), build_teacher(name, device=device, should_stop=should_stop)):
        if not isinstance(step, ModelCard):
            yield TeacherEpochEnded(name, step.epoch, step.epochs, step.validation_accuracy, step.seconds)


def estimate_teacher_seconds(name: str, device: str = "auto") -> float | None:
    """Estimate how long the training of the teacher called `name` takes on this machine, in seconds.

    A few training steps on blank pictures are timed and multiplied; of an ensemble, the members that are not on this
    machine yet are added up. None if a teacher to be trained has no recipe.
    """
    if is_ensemble(name):
        here = teachers_by_name()
        missing = [member for member in members_of(name) if must_be_trained(member) or member not in here]
        estimates = [estimate_teacher_seconds(member, device) for member in missing]
        known = [seconds for seconds in estimates if seconds is not None]
        return sum(known) if len(known) == len(estimates) else None
    recipe = teacher_recipe(name)
    if recipe is None:
        return None
    info, target_device = dataset_info(recipe.dataset), pick_device(device)
    if recipe.features_of:
        with torch_threads(cores()):  # the real training uses as many
            return estimate_head_seconds(recipe, info, target_device)
    network = target_device.place(build_model(recipe.model, info.image_shape, info.num_classes, seed=0)).train()
    pictures = torch.zeros(recipe.batch_size, *info.image_shape, device=target_device.torch)
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    times: list[float] = []
    with torch_threads(cores()):  # the real training uses as many
        while sum(times) < TIMING_SECONDS:
            start = time.perf_counter()
            with target_device.autocast():
                loss = network(pictures).float().square().mean()
            loss.backward()
            target_device.synchronize()
            times.append(time.perf_counter() - start)
    return min(times) * recipe.epochs * info.train_size / recipe.batch_size
