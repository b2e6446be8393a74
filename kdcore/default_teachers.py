"""Teachers that a run needs and that are not on this machine yet: trained first, once, and kept."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

from kdcore.ensemble_names import is_ensemble, members_of
from kdcore.events import TeacherEpochEnded
from kdcore.model_cards import ModelCard, list_teachers
from kdcore.recipes import teacher_recipe

TIMED_SECONDS = 1.5  # of a training, to tell how long the whole takes: its quickest step counts


def dataset_of(name: str) -> str | None:
    """The dataset that the teacher called `name` learned or would learn; None for a name that nobody knows.

    Of an ensemble whose members learned several, all of them, joined by "+".
    """
    known = {card.name: card.dataset for card in list_teachers()}
    learned: list[str] = []
    for member in members_of(name):
        recipe = teacher_recipe(member)
        dataset = known.get(member) or (recipe.dataset if recipe is not None else None)
        if dataset is None:
            return None
        learned.append(dataset)
    return "+".join(dict.fromkeys(learned))


def model_of(name: str) -> str | None:
    """The network of the teacher called `name`, here or still to be trained; None for an ensemble, and for a name that
    nobody knows."""
    known = {card.name: card.model for card in list_teachers()}
    recipe = None if is_ensemble(name) else teacher_recipe(name)
    return known.get(name) or (recipe.model if recipe is not None else None)


def params_of(name: str) -> int | None:
    """The parameters of the teacher called `name`, here or still to be trained, of an ensemble those of all members;
    None for a name that nobody knows."""
    from kdcore.datasets import dataset_info
    from kdcore.models import count_params, outline

    known, total = {card.name: card.num_params for card in list_teachers()}, 0
    for member in members_of(name):
        if member in known:
            total += known[member]
        elif (recipe := teacher_recipe(member)) is not None:
            info = dataset_info(recipe.dataset)
            total += count_params(outline(recipe.model, info.image_shape, info.num_classes))
        else:
            return None
    return total


def ready_teacher(
    name: str, device: str = "auto", should_stop: Callable[[], bool] = lambda: False
) -> Iterator[TeacherEpochEnded]:
    """Train the teacher called `name` unless it is here; nothing for a name without a recipe.

    Of an ensemble, every member.

    Its training continues where an earlier one was cut off, and takes every core: nothing else trains meanwhile.

    Raises:
        KdError: its dataset is not here, or the disk cannot be written.
    """
    if is_ensemble(name):
        for member in members_of(name):
            if not should_stop():
                yield from ready_teacher(member, device, should_stop)
        return
    recipe = teacher_recipe(name)
    if recipe is None or name in {card.name for card in list_teachers()}:
        return
    import torch

    from kdcore.teacher_build import build

    torch.set_num_threads(os.cpu_count() or 1)
    yield TeacherEpochEnded(name, 0, recipe.epochs, None, 0.0)  # the first word, before an epoch that may take a minute
    for step in build(name, device=device, should_stop=should_stop):
        if not isinstance(step, ModelCard):
            accuracy = getattr(step, "validation_accuracy", None)
            yield TeacherEpochEnded(name, step.epoch, step.epochs, accuracy, step.seconds)


def teacher_seconds(name: str, device: str = "auto") -> float | None:
    """About how long the training of the teacher called `name` takes on this machine; None without a recipe.

    Measured: a few steps of that very training on blank pictures, multiplied.
    """
    import torch

    from kdcore.datasets import dataset_info
    from kdcore.device import pick_device, torch_threads
    from kdcore.models import build_model

    if is_ensemble(name):
        known = {card.name for card in list_teachers()}
        each = [teacher_seconds(member, device) for member in members_of(name) if member not in known]
        return None if None in each else sum(one for one in each if one is not None)
    recipe = teacher_recipe(name)
    if recipe is None:
        return None
    info, here = dataset_info(recipe.dataset), pick_device(device)
    network = here.place(build_model(recipe.model, info.image_shape, info.num_classes, seed=0)).train()
    pictures = torch.zeros(recipe.batch_size, *info.image_shape, device=here.torch)
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    times: list[float] = []
    with torch_threads(os.cpu_count() or 1):  # as its training has
        while sum(times) < TIMED_SECONDS:
            began = time.perf_counter()
            with here.autocast():
                loss = network(pictures).float().square().mean()
            loss.backward()
            here.synchronize()
            times.append(time.perf_counter() - began)
    return min(times) * recipe.epochs * info.train_size / recipe.batch_size
